import CLinux
import EngineClient
import Kernel
import Terminal

/// Carries a container's standard streams between the user and a hijacked connection: raw terminal, detach keys,
/// half-close of input, signals and the terminal's size passed on, all in one poll(2) loop.
final class AttachedStreams {
  private let stream: HijackedStream
  private let tty: Bool
  private let readsInput: Bool
  private let signals: ProxiedSignals?
  private let wait: ExitWait?
  private let onResize: (() throws -> Void)?
  private var keys: DetachKeyMatcher?
  private var rawMode: RawMode?
  private var demultiplexer = StandardStreams()
  private var pending: ArraySlice<UInt8> = []
  private var inputEnded: Bool
  private var halfClosed = false

  enum End: Equatable {
    /// The container's output ended.
    case closed
    /// The user typed the detach keys.
    case detached
  }

  /// `input`: stdin is read and sent. `signals` are passed on meanwhile, and `wait` is kept up; `onResize` is called
  /// when the terminal changed its size.
  init(
    _ stream: HijackedStream, tty: Bool, input: Bool, detachKeys: String, signals: ProxiedSignals?,
    wait: ExitWait? = nil,
    onResize: (() throws -> Void)?
  ) throws {
    self.stream = stream
    self.tty = tty
    readsInput = input
    inputEnded = !input
    self.signals = signals
    self.wait = wait
    self.onResize = onResize
    if tty && input {
      // Keys that can't be read are as docker's: the standard ones.
      keys = DetachKeyMatcher((try? DetachKeys(detachKeys)) ?? .standard)
      rawMode = Terminal.isTerminal(0) ? try RawMode(0) : nil
    }
    if !input { try closeInput() }
  }

  /// Gives the terminal back as it was.
  func restore() {
    // A terminal that is gone needs nothing.
    try? rawMode?.restore()
    rawMode = nil
  }

  func run() throws -> End {
    defer { restore() }
    while true {
      if stream.hasUnread {
        guard try receive() else { return .closed }
        continue
      }
      var polls = [
        pollfd(fd: stream.fd, events: Int16(POLLIN) | (pending.isEmpty ? 0 : Int16(POLLOUT)), revents: 0),
        pollfd(fd: inputEnded || !pending.isEmpty ? -1 : 0, events: Int16(POLLIN), revents: 0),
        pollfd(fd: signals?.fd ?? -1, events: Int16(POLLIN), revents: 0),
        pollfd(fd: wait?.fd ?? -1, events: Int16(POLLIN), revents: 0),
      ]
      try Sys.retrying("poll") { poll(&polls, 4, -1) }
      if polls[3].revents != 0 { try wait?.advance() }
      if polls[2].revents != 0 { try signals?.forward(onResize: onResize) }
      if polls[1].revents != 0, try takeInput() == .detached { return .detached }
      if !pending.isEmpty, polls[0].revents & Int16(POLLOUT | POLLERR | POLLHUP) != 0 || polls[1].revents != 0 {
        try send()
      }
      if polls[0].revents & Int16(POLLIN | POLLHUP | POLLERR) != 0 {
        guard try receive() else { return .closed }
      }
    }
  }

  /// Takes one piece of the container's output; false at its end.
  private func receive() throws -> Bool {
    guard let piece = try stream.next() else { return false }
    if tty {
      try Output.write(1, piece)
    } else {
      try demultiplexer.feed(piece) { stream, bytes in try Output.write(stream == .stderr ? 2 : 1, bytes) }
    }
    return true
  }

  private func takeInput() throws -> End {
    var bytes = [UInt8](repeating: 0, count: 32 << 10)
    var count = 0
    do { count = try bytes.withUnsafeMutableBytes { try Sys.read(0, $0) } } catch let error as SyscallError {
      // A closed stdin, or a terminal that is gone, has nothing more to say.
      guard error.errno == .badDescriptor || error.errno == .io || error.errno == .isDirectory else { throw error }
    }
    guard count > 0 else {
      inputEnded = true
      try closeInput()
      return .closed
    }
    guard let (passed, detached) = bytes.withUnsafeBytes({ keys?.pass(UnsafeRawBufferPointer(rebasing: $0[..<count])) })
    else {
      pending = bytes[..<count]
      return .closed
    }
    pending = passed[...]
    return detached ? .detached : .closed
  }

  private func send() throws {
    do {
      pending = pending.dropFirst(try stream.writeSome(pending))
    } catch let error as SyscallError where error.errno == .brokenPipe || error.errno == .connectionReset {
      // The container takes no more input; its output still matters.
      pending = []
      inputEnded = true
      halfClosed = true
    }
  }

  private func closeInput() throws {
    guard !halfClosed else { return }
    halfClosed = true
    do { try stream.closeWrite() } catch let error as SyscallError {
      // The daemon was faster.
      _ = error
    }
  }
}
