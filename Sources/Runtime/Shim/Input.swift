import CLinux
import Kernel

/// The writing end of a process's stdin, or the master of its terminal. What the process doesn't take at once waits
/// here.
final class Input: Source {
  private unowned let streams: Streams
  private var queue: [UInt8] = []
  private var sent = 0
  private var isClosing = false

  init(_ streams: Streams, fd: Int32) {
    self.streams = streams
    super.init(streams.loop, fd: fd)
  }

  var isDrained: Bool { queue.isEmpty }

  func write(_ bytes: UnsafeRawBufferPointer) {
    guard !isClosing else { return }
    queue += bytes
    flush()
  }

  private func flush() {
    guard !isClosed else { return }
    while sent < queue.count {
      do throws(SyscallError) {
        let written: Result<Int, SyscallError> = queue.withUnsafeBytes { bytes in
          let rest = UnsafeRawBufferPointer(rebasing: bytes[sent...])
          do throws(SyscallError) { return .success(try Sys.write(fd, rest)) } catch { return .failure(error) }
        }
        sent += try written.get()
      } catch  where error.errno == .wouldBlock {
        watch(Self.writable)
        return
      } catch {
        // EPIPE: the process closed its stdin and wants no more.
        close()
        return
      }
    }
    let waited = !queue.isEmpty
    queue = []
    sent = 0
    watch(nil)
    if isClosing { close() } else if waited { streams.inputDrained() }
  }

  override func ready(_ events: UInt32) { flush() }

  func closeWhenDrained() {
    isClosing = true
    flush()
  }

  override func close() {
    guard !isClosed else { return }
    super.close()
    queue = []
    streams.inputClosed()
  }
}
