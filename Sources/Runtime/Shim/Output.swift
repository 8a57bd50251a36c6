import CLinux
import Kernel
import Terminal

/// The reading end of a process's stdout or stderr, or the master of its terminal.
final class Output: Source {
  private unowned let streams: Streams
  let stream: JSONLog.Stream
  private let isTerminal: Bool
  /// Our own hold on the terminal's slave, taken when the container let go of it while it runs on: without one the
  /// master reports a hang-up for ever, and with it whoever opens the slave again is heard.
  private var peer: Descriptor?
  /// Nobody can write to it any more, but its process runs.
  private(set) var isIdle = false

  init(_ streams: Streams, _ stream: JSONLog.Stream, fd: Int32, isTerminal: Bool = false) {
    self.streams = streams
    self.stream = stream
    self.isTerminal = isTerminal
    super.init(streams.loop, fd: fd)
  }

  private enum Result { case data(Int), nothing, hangUp, end }

  private func read() -> Result {
    let buffer = UnsafeMutableRawBufferPointer(rebasing: loop.buffer.bytes[EventLoop.headerRoom...])
    do throws(SyscallError) {
      let count = try Sys.read(fd, buffer)
      return count > 0 ? .data(count) : .end
    } catch {
      switch error.errno {
      case .wouldBlock: return .nothing
      case .io where isTerminal: return .hangUp
      default:
        Complaint.tell("read \(stream): \(error.errno)")
        return .end
      }
    }
  }

  override func ready(_ events: UInt32) {
    switch read() {
    case .data(let count): streams.deliver(stream, count: count)
    case .nothing: break
    case .hangUp: hold()
    case .end: streams.ended(self)
    }
  }

  private func hold() {
    do throws(SyscallError) {
      peer = nil
      peer = try Terminal.openPeer(of: fd)
    } catch {
      isIdle = true
      watch(nil)
    }
  }

  /// Reads what is there now, its process having exited.
  func drain(limit: Int) {
    peer = nil
    var total = 0
    while !isClosed, total < limit {
      switch read() {
      case .data(let count):
        total += count
        streams.deliver(stream, count: count)
      case .nothing: return
      case .hangUp, .end:
        streams.ended(self)
        return
      }
    }
  }
}
