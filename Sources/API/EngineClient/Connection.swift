import CLinux
import Kernel

/// One connection to the daemon, with the bytes that were read and not yet used.
final class Connection {
  private let socket: Descriptor
  private var buffer = [UInt8](repeating: 0, count: 16 << 10)
  private var start = 0
  private var end = 0
  private var upload: Upload?

  init(to host: Host) throws {
    do throws(SyscallError) {
      if let tcp = host.tcp {
        socket = try Sys.connect(address: tcp.address, port: tcp.port)
      } else {
        socket = try Sys.socket(AF_UNIX, Sys.sockStream)
        try Sys.connect(socket.raw, path: host.path)
      }
    } catch { throw ClientError.cannotConnect(host, error) }
  }

  var fd: Int32 { socket.raw }

  func send(_ request: Request, apiVersion: String?) throws {
    var bytes = request.head(apiVersion: apiVersion)
    if request.upload == nil, let body = request.body { bytes += body }
    do {
      try bytes.withUnsafeBytes { whole in
        var rest = whole[...]
        while !rest.isEmpty { rest = rest.dropFirst(try Sys.send(fd, UnsafeRawBufferPointer(rebasing: rest))) }
      }
      if let upload = request.upload {
        try Sys.setNonBlocking(fd)
        self.upload = upload
      }
    } catch let error as SyscallError { throw ClientError.system(error) }
  }

  /// The bytes read ahead.
  var unread: ArraySlice<UInt8> { buffer[start..<end] }

  func consume(_ count: Int) { start += count }

  /// Gives what was read ahead away, up to `limit` bytes.
  func take(_ limit: Int) -> ArraySlice<UInt8> {
    let slice = buffer[start..<(start + min(end - start, max(0, limit)))]
    start = slice.endIndex
    return slice
  }

  /// Reads more; false at the end of the stream. An upload goes on meanwhile.
  func fill() throws -> Bool {
    if start == end {
      start = 0
      end = 0
    } else if end == buffer.count {
      if start > 0 {
        buffer.removeSubrange(0..<start)
        end -= start
        start = 0
      }
      buffer += [UInt8](repeating: 0, count: max(16 << 10, buffer.count))
    }
    do {
      try awaitReadable()
      let count = try buffer.withUnsafeMutableBytes { bytes in
        try Sys.read(fd, UnsafeMutableRawBufferPointer(rebasing: bytes[end...]))
      }
      end += count
      return count > 0
    } catch let error as SyscallError {
      // A daemon that went away in mid-answer is an end, told by whoever misses the rest.
      if error.errno == .connectionReset { return false }
      throw ClientError.system(error)
    }
  }

  private func awaitReadable() throws {
    guard let upload else { return }
    while true {
      var next: (fd: Int32, events: Int16)
      do { next = try upload.advance(socket: fd) } catch let error as SyscallError
        where
        error.errno == .brokenPipe || error.errno == .connectionReset
      {
        // The daemon refuses the rest; its answer says why.
        next = (-1, 0)
      }
      var polls = [pollfd(fd: fd, events: Int16(POLLIN), revents: 0)]
      if next.fd == fd {
        polls[0].events |= next.events
      } else if next.fd >= 0 {
        polls.append(pollfd(fd: next.fd, events: next.events, revents: 0))
      }
      _ = try Sys.retrying("poll") { poll(&polls, nfds_t(polls.count), -1) }
      if polls[0].revents & ~Int16(POLLOUT) != 0 { return }
      if next.fd < 0 { return }
    }
  }

  /// After the response's end: whether another request may follow.
  func isReusable() -> Bool {
    guard upload?.finished ?? true else { return false }
    if upload != nil {
      upload = nil
      do throws(SyscallError) { try Sys.setNonBlocking(fd, false) } catch { return false }
    }
    return true
  }
}
