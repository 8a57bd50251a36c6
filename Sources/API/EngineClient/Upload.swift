import CLinux
public import Kernel

/// A request's body that comes from a descriptor: a regular file by sendfile(2) with its length told ahead, anything
/// else in chunks. It is pushed while the response is read, since a daemon may report progress long before it has read
/// all.
public final class Upload {
  /// Borrowed: the caller keeps it open until the response was read.
  let source: Int32
  /// The bytes that will be sent; nil when only reading tells.
  let length: Int64?
  private var remaining: Int64
  private var pending: ArraySlice<UInt8> = []
  private var ended = false
  private(set) var finished = false
  /// Called with the bytes sent so far.
  public var onProgress: ((Int64) -> Void)?
  private var sent: Int64 = 0

  /// From the descriptor's position to its end. SIGPIPE is ignored from now on, since sendfile(2) has no flag against
  /// it.
  public init(_ source: Int32) throws(SyscallError) {
    cl_ignore_signal(SIGPIPE)
    self.source = source
    let status = try Sys.fstat(source)
    if status.st_mode & mode_t(S_IFMT) == mode_t(S_IFREG) {
      let offset = try Sys.lseek(source, 0, SEEK_CUR)
      length = max(0, Int64(status.st_size) - offset)
      remaining = length ?? 0
      finished = remaining == 0
    } else {
      length = nil
      remaining = 0
    }
  }

  /// Moves on until the socket would block or input is awaited; answers what to poll for next.
  func advance(socket: Int32) throws -> (fd: Int32, events: Int16) {
    if length != nil { return try advanceFile(socket) }
    while !finished {
      if pending.isEmpty {
        if ended {
          finished = true
          break
        }
        guard try isReadable(source) else { return (source, Int16(POLLIN)) }
        var chunk = try read(upTo: 256 << 10)
        sent += Int64(chunk.count)
        if chunk.isEmpty {
          ended = true
          chunk = Array("0\r\n\r\n".utf8)
        } else {
          chunk = Array("\(String(chunk.count, radix: 16))\r\n".utf8) + chunk + Array("\r\n".utf8)
        }
        pending = chunk[...]
      }
      let written = try pending.withUnsafeBytes { try write(socket, $0) }
      guard written > 0 else { return (socket, Int16(POLLOUT)) }
      pending = pending.dropFirst(written)
      onProgress?(sent)
    }
    return (-1, 0)
  }

  private func advanceFile(_ socket: Int32) throws -> (fd: Int32, events: Int16) {
    while remaining > 0 {
      do {
        let count = try Sys.retrying("sendfile") { sendfile(socket, source, nil, Int(min(remaining, 1 << 20))) }
        // The file shrank: the daemon must not wait for bytes that will never come.
        guard count > 0 else { throw SyscallError("sendfile", "upload", .io) }
        remaining -= Int64(count)
        sent += Int64(count)
        onProgress?(sent)
      } catch let error as SyscallError where error.errno == .wouldBlock { return (socket, Int16(POLLOUT)) }
    }
    finished = true
    return (-1, 0)
  }

  private func isReadable(_ fd: Int32) throws -> Bool {
    var poll = pollfd(fd: fd, events: Int16(POLLIN), revents: 0)
    return try Sys.retrying("poll") { CLinux.poll(&poll, 1, 0) } > 0
  }

  private func read(upTo count: Int) throws -> [UInt8] {
    var bytes = [UInt8](repeating: 0, count: count)
    let received = try bytes.withUnsafeMutableBytes { try Sys.read(source, $0) }
    bytes.removeLast(count - received)
    return bytes
  }

  private func write(_ socket: Int32, _ bytes: UnsafeRawBufferPointer) throws -> Int {
    do throws(SyscallError) { return try Sys.send(socket, bytes) } catch  where error.errno == .wouldBlock { return 0 }
  }
}
