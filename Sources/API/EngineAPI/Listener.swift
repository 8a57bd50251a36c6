import CLinux
import Errdefs
import Kernel

/// Makes the listening sockets, and takes the names away again.
///
/// A unix socket is bound beside its name, given its owner and mode, set listening, and moved onto its name: nobody ever finds it with other
/// rights, and a stale one is replaced without a gap. A live daemon's socket is never taken.
struct Listener: Sendable {
  let descriptor: Int32
  /// The path and its inode, to remove it only while it's ours.
  let path: String?
  let inode: UInt64

  static func unix(_ path: String) throws -> Listener {
    if isAlive(path) { throw EngineError(.conflict, "listen on unix://\(path): another daemon answers there") }
    if let slash = path.lastIndex(of: "/"), slash != path.startIndex {
      try Sys.mkdirAll(String(path[..<slash]), mode: 0o755)
    }
    let status = try? Sys.status(path, flags: AT_SYMLINK_NOFOLLOW)
    if let status, status.st_mode & mode_t(S_IFMT) != mode_t(S_IFSOCK) {
      throw EngineError(.conflict, "listen on unix://\(path): a file that is no socket is in the way")
    }
    let temporary = "\(path).\(getpid())"
    let socket = try Sys.socket(AF_UNIX, Sys.sockStream | Sys.sockNonBlock)
    try? Sys.unlink(temporary)
    try Sys.bind(socket.raw, path: temporary)
    do {
      try Sys.chmod(temporary, 0o660)
      if let group = groupNumber("docker") { try Sys.chown(temporary, 0, group) }
      try Sys.listen(socket.raw, backlog: 1024)
      let inode = UInt64(try Sys.status(temporary, flags: AT_SYMLINK_NOFOLLOW).st_ino)
      try Sys.rename(temporary, to: path)
      return Listener(descriptor: socket.take(), path: path, inode: inode)
    } catch {
      try? Sys.unlink(temporary)
      throw error
    }
  }

  /// The descriptors that systemd passed to this process: from 3 up, counted by `LISTEN_FDS`.
  static func systemd(_ wanted: Int32?) throws -> [Listener] {
    guard let pid = environment("LISTEN_PID").flatMap({ Int32($0) }), pid == getpid(),
      let count = environment("LISTEN_FDS").flatMap({ Int32($0) }), (1...64).contains(count)
    else { throw EngineError.invalidParameter("listen on fd://: systemd has passed no sockets") }
    let numbers = (3..<3 + count).filter { wanted == nil || $0 == wanted }
    guard !numbers.isEmpty else {
      throw EngineError.invalidParameter("listen on fd://: systemd has not passed that socket")
    }
    return try numbers.map { number in
      _ = try Sys.fcntl(number, F_SETFD, Int(FD_CLOEXEC))
      try Sys.setNonBlocking(number, true)
      return Listener(descriptor: number, path: nil, inode: 0)
    }
  }

  /// Removes the socket's name, unless another daemon has put its own there.
  func remove() {
    guard let path, let status = try? Sys.status(path, flags: AT_SYMLINK_NOFOLLOW), UInt64(status.st_ino) == inode
    else { return }
    try? Sys.unlink(path)
  }

  private static func isAlive(_ path: String) -> Bool {
    guard let probe = try? Sys.socket(AF_UNIX, Sys.sockStream | Sys.sockNonBlock) else { return false }
    do throws(SyscallError) {
      try Sys.connect(probe.raw, path: path)
      return true
    } catch {
      // A full queue is a live daemon too.
      return error.errno == .wouldBlock
    }
  }

  private static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }

  /// The group's number in `/etc/group`, read by hand: NSS would load code.
  static func groupNumber(_ name: String) -> gid_t? {
    guard let bytes = try? Sys.readFile("/etc/group", limit: 1 << 20) else { return nil }
    for line in bytes.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
      guard fields.count >= 3, String(decoding: fields[0], as: UTF8.self) == name else { continue }
      return gid_t(String(decoding: fields[2], as: UTF8.self))
    }
    return nil
  }
}
