import CLinux
import Kernel

/// Standard output, buffered: one write(2) for what a command prints at once.
final class Output {
  private let fd: Int32
  private var buffer: [UInt8] = []

  init(fd: Int32 = 1) { self.fd = fd }

  func print(_ text: String) {
    buffer += text.utf8
    if buffer.count > 64 << 10 { flush() }
  }

  func line(_ text: String) { print(text + "\n") }

  func write(_ bytes: ArraySlice<UInt8>) {
    buffer += bytes
    if buffer.count > 64 << 10 { flush() }
  }

  func flush() {
    guard !buffer.isEmpty else { return }
    let bytes = buffer
    buffer.removeAll(keepingCapacity: true)
    do throws(SyscallError) { try Output.write(fd, bytes[...]) } catch { _exit(1) }
  }

  /// Writes all, waiting where a terminal or a pipe was made non-blocking by someone else.
  static func write(_ fd: Int32, _ bytes: ArraySlice<UInt8>) throws(SyscallError) {
    var rest = bytes
    while !rest.isEmpty {
      let failure: Result<Int, SyscallError> = rest.withUnsafeBytes { buffer in
        do throws(SyscallError) { return .success(try Sys.write(fd, buffer)) } catch { return .failure(error) }
      }
      switch failure {
      case .success(let count): rest = rest.dropFirst(count)
      case .failure(let error) where error.errno == .wouldBlock:
        var poll = pollfd(fd: fd, events: Int16(POLLOUT), revents: 0)
        try Sys.retrying("poll") { CLinux.poll(&poll, 1, -1) }
      case .failure(let error):
        // A reader that has enough ends us quietly, as it ends any program.
        if error.errno == .brokenPipe, fd == 1 {
          cl_default_signal(SIGPIPE)
          raise(SIGPIPE)
        }
        throw error
      }
    }
  }
}
