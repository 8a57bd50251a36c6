import CLinux
import ContainerRuntime
import Kernel
import Terminal

/// A client's connection to the streams of a process.
///
/// A client that closes its end is dropped at once, after what it sent before has reached the process. One that only
/// ends its input (SHUT_WR) goes on receiving where Docker has it so.
final class Attacher: Source {
  let request: ShimProtocol.Attach
  private unowned let streams: Streams
  private let socket: SharedDescriptor
  private var matcher: DetachKeyMatcher?
  private var queue: [UInt8] = []
  private var sent = 0
  private var readsInput: Bool
  /// The client can't receive any more.
  private var isDeaf = false
  private var isEnding = false
  private var isRemoved = false

  static let readSize = 32 << 10

  init(_ streams: Streams, _ request: ShimProtocol.Attach, _ socket: SharedDescriptor) {
    self.streams = streams
    self.socket = socket
    readsInput = request.stdin
    if streams.plan.terminal { matcher = DetachKeyMatcher(DetachKeys(raw: request.detachKeys) ?? .standard) }
    var request = request
    self.pending = request.pending
    request.pending = []
    self.request = request
    super.init(streams.loop, fd: socket.raw, owned: false)
  }

  private var pending: [UInt8]

  func begin() {
    let pending = self.pending
    self.pending = []
    if readsInput, !pending.isEmpty { pending.withUnsafeBytes { take($0) } }
    update()
  }

  var isDrained: Bool { queue.isEmpty }

  /// Watches for what can be dealt with now.
  func update() {
    guard !isRemoved else { return }
    let reads = readsInput && streams.takesInput
    if isDeaf {
      // The hang-up is always reported: look only while there is something to read.
      if reads { watch(Self.readable) } else if readsInput { watch(nil) } else { drop() }
      return
    }
    watch((reads ? Self.readable : 0) | (queue.isEmpty ? 0 : Self.writable))
  }

  override func ready(_ events: UInt32) {
    if events & (Self.hangUp | Self.error) != 0, !isDeaf {
      isDeaf = true
      queue = []
      sent = 0
      streams.attacherDrained()
    }
    if events & Self.writable != 0, !isDeaf { flush() }
    if events & (Self.readable | Self.hangUp) != 0, readsInput, !isRemoved, streams.takesInput { readInput() }
    update()
  }

  // MARK: Input

  private func readInput() {
    let buffer = UnsafeMutableRawBufferPointer(rebasing: loop.buffer.bytes[..<Self.readSize])
    let count: Int
    do throws(SyscallError) {
      count = try Sys.retrying("recv") { recv(fd, buffer.baseAddress, buffer.count, Int32(MSG_DONTWAIT)) }
    } catch  where error.errno == .wouldBlock {
      return
    } catch {
      isDeaf = true
      endInput()
      return
    }
    loop.buffer.used = max(loop.buffer.used, count)
    if count > 4096 { loop.touch() }
    if count == 0 { endInput() } else { take(UnsafeRawBufferPointer(rebasing: buffer[..<count])) }
  }

  private func take(_ typed: UnsafeRawBufferPointer) {
    guard matcher != nil else {
      streams.write(typed)
      return
    }
    guard let (passed, detached) = matcher?.pass(typed) else { return }
    passed.withUnsafeBytes { streams.write($0) }
    if detached { leave(detached: true) }
  }

  private func endInput() {
    readsInput = false
    if streams.closesInput { streams.closeInput() } else { end() }
  }

  // MARK: Output

  /// Sends now what can be sent now, and queues the rest.
  func send(_ bytes: UnsafeRawBufferPointer) {
    guard !isDeaf, !isEnding, !isRemoved else { return }
    var rest = bytes
    if queue.isEmpty {
      guard let count = transmit(bytes) else { return }
      rest = UnsafeRawBufferPointer(rebasing: bytes.dropFirst(count))
    }
    guard !rest.isEmpty else { return }
    queue += rest
    update()
  }

  /// Answers how many bytes the socket took; nil: the client is gone.
  private func transmit(_ bytes: UnsafeRawBufferPointer) -> Int? {
    do throws(SyscallError) {
      return try Sys.retrying("send") {
        CLinux.send(fd, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
      }
    } catch  where error.errno == .wouldBlock {
      return 0
    } catch {
      isDeaf = true
      queue = []
      update()
      return nil
    }
  }

  private func flush() {
    while sent < queue.count {
      guard let count = queue.withUnsafeBytes({ transmit(UnsafeRawBufferPointer(rebasing: $0[sent...])) }) else {
        return
      }
      if count == 0 { return }
      sent += count
    }
    queue = []
    sent = 0
    streams.attacherDrained()
    if isEnding { leave(detached: false) }
  }

  // MARK: The end

  /// Gives the client what is queued, then its end.
  func end() {
    guard !isRemoved, !isEnding else { return }
    isEnding = true
    readsInput = false
    if queue.isEmpty || isDeaf { leave(detached: false) } else { update() }
  }

  /// Lets go of the client now.
  func drop() { leave(detached: false) }

  private func leave(detached: Bool) {
    guard !isRemoved else { return }
    isRemoved = true
    queue = []
    watch(nil)
    // Closing a socket with unread input would show the client an error in place of the end.
    for _ in 0..<16 where recv(fd, loop.buffer.bytes.baseAddress, Self.readSize, Int32(MSG_DONTWAIT)) <= 0 {
      break
    }
    _ = CLinux.shutdown(fd, Int32(SHUT_RDWR))
    close()
    streams.remove(self, detached: detached)
  }
}
