import CLinux
import Kernel

/// Where the master of a detached container's terminal goes: a listening stream socket that takes one descriptor
/// (runc's docs/terminals.md).
struct ConsoleSocket: ~Copyable {
  private let socket: Descriptor?

  init(_ path: String?, terminal: Bool, detached: Bool) throws(CommandError) {
    guard let path, !path.isEmpty else {
      if terminal, detached {
        throw CommandError("cannot allocate tty if runc will detach without setting console socket")
      }
      socket = nil
      return
    }
    guard terminal else {
      throw CommandError("cannot use console socket if runc will not detach or allocate tty")
    }
    socket = try attempt("connect to console socket \"\(path)\"") { () throws(SyscallError) in
      let socket = try Sys.socket(AF_UNIX, Sys.sockStream)
      guard path.utf8.count > 107, let slash = path.lastIndex(of: "/") else {
        try Sys.connect(socket.raw, path: path)
        return socket
      }
      // Longer than an address may be: by its directory.
      let directory = try Sys.open(String(path[...slash]), O_PATH | O_DIRECTORY)
      try Sys.connect(socket.raw, path: "/proc/self/fd/\(directory.raw)/\(path[path.index(after: slash)...])")
      return socket
    }
  }

  var isGiven: Bool { socket != nil }

  /// Without a socket nothing happens: the caller keeps the terminal.
  borrowing func send(_ terminal: SharedDescriptor) throws(CommandError) {
    let fd: Int32
    switch socket {
    case .some(let socket): fd = socket.raw
    case .none: return
    }
    try attempt("send the terminal to the console socket") { () throws(SyscallError) in
      let name = Array("/dev/pts/ptmx".utf8)
      let failure: SyscallError? = name.withUnsafeBytes { bytes in
        do throws(SyscallError) {
          try Sys.send(fd, bytes, descriptors: [terminal.raw])
          return nil
        } catch { return error }
      }
      if let failure { throw failure }
    }
  }
}
