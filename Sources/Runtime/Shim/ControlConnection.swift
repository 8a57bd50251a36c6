import CLinux
import ContainerRuntime
import Kernel

/// One daemon's socket.
final class ControlConnection: Source {
  private unowned let shim: Shim
  /// Messages that the daemon hasn't room for now.
  private var queue: [[UInt8]] = []

  /// A daemon that leaves more unread than this is taken for dead; it may come back and ask for the state.
  static let queueLimit = 1024

  init(_ shim: Shim, fd: Int32) {
    self.shim = shim
    super.init(shim.loop, fd: fd)
  }

  override func ready(_ events: UInt32) {
    if events & Self.writable != 0 { flush() }
    guard !isClosed, events & (Self.readable | Self.hangUp | Self.error) != 0 else { return }
    do throws(SyscallError) {
      // What came in a descriptor's company is dealt with before the next message: they are served in order.
      guard let received = try ShimProtocol.receive(fd, through: loop.buffer.bytes) else {
        close()
        return
      }
      loop.buffer.used = max(loop.buffer.used, min(received.message.count, loop.buffer.bytes.count))
      loop.touch()
      shim.serve(received, from: self)
    } catch  where error.errno == .wouldBlock {
      return
    } catch {
      if error.errno != .connectionReset { Complaint.tell("control connection: \(error)") }
      close()
    }
  }

  /// The daemon has closed its end, whether the loop has seen that or not.
  var isDeserted: Bool {
    guard !isClosed else { return true }
    do throws(SyscallError) { return try Sys.poll(fd, 0, timeout: 0) & Int16(POLLHUP) != 0 } catch {
      Complaint.tell("\(error)")
      return false
    }
  }

  /// False when the daemon is gone.
  @discardableResult
  func send(_ message: [UInt8]) -> Bool {
    guard !isClosed else { return false }
    guard queue.isEmpty else { return enqueue(message) }
    do throws(SyscallError) {
      try ShimProtocol.send(message, on: fd)
      return true
    } catch  where error.errno == .wouldBlock {
      return enqueue(message)
    } catch {
      close()
      return false
    }
  }

  private func enqueue(_ message: [UInt8]) -> Bool {
    guard queue.count < Self.queueLimit else {
      Complaint.tell("a daemon doesn't read; its connection is closed")
      close()
      return false
    }
    queue.append(message)
    watch(Self.readable | Self.writable)
    return true
  }

  private func flush() {
    while let message = queue.first {
      do throws(SyscallError) {
        try ShimProtocol.send(message, on: fd)
        queue.removeFirst()
      } catch  where error.errno == .wouldBlock {
        return
      } catch {
        close()
        return
      }
    }
    watch(Self.readable)
  }

  override func close() {
    guard !isClosed else { return }
    super.close()
    shim.lost(self)
  }
}

/// `shim.sock`: where later daemons come in.
final class ControlListener: Source {
  private unowned let shim: Shim

  /// Binds the socket in the run directory, for root alone. The way through the descriptor keeps the address short.
  init(_ shim: Shim, directory: Int32) throws(SyscallError) {
    self.shim = shim
    let socket = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket | Sys.sockNonBlock)
    do throws(SyscallError) {
      try Sys.unlink(ShimProtocol.socketName, at: directory)
    } catch  where error.errno == .noSuchFile {}
    let mask = umask(0o177)
    defer { umask(mask) }
    try Sys.bind(socket.raw, path: "/proc/self/fd/\(directory)/\(ShimProtocol.socketName)")
    try Sys.listen(socket.raw)
    super.init(shim.loop, fd: socket.take())
  }

  override func ready(_ events: UInt32) {
    do throws(SyscallError) {
      let connection = try Sys.accept(fd, nonBlocking: true)
      // The container's processes can't reach the socket's path; whoever could and isn't root has no business here.
      guard try Sys.peerCredentials(connection.raw).uid == geteuid() else { return }
      shim.joined(connection.take())
    } catch  where error.errno == .wouldBlock {
      return
    } catch { Complaint.tell("accept: \(error)") }
  }
}
