import CLinux
import Kernel

/// A connection to a message bus, or to systemd itself, that one thread makes calls on.
public final class DBusConnection {
  private let socket: Descriptor
  /// systemd's own socket: no bus between, so no names.
  public let isDirect: Bool
  private var serial: UInt32 = 0
  private var received: [UInt8] = []
  /// Signals that came while an answer was awaited.
  private var signals: [DBusMessage] = []

  /// Connects and authenticates as the caller's user (D-Bus specification, "Authentication Protocol": EXTERNAL by the socket's
  /// credentials).
  public init(path: String, isDirect: Bool) throws(SystemdError) {
    do throws(SyscallError) {
      let socket = try Sys.socket(AF_UNIX, Sys.sockStream)
      try Sys.connect(socket.raw, path: path)
      self.socket = socket
    } catch { throw SystemdError("connect to \"\(path)\": \(error.errno)") }
    self.isDirect = isDirect
    let digits = "\(geteuid())".utf8.map { String($0, radix: 16) }.joined()
    try write(Array("\0AUTH EXTERNAL \(digits)\r\n".utf8))
    let answer = try line()
    guard answer.hasPrefix("OK ") else { throw SystemdError("\"\(path)\" refused the connection: \(answer)") }
    try write(Array("BEGIN\r\n".utf8))
    guard !isDirect else { return }
    _ = try call(.call("org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "Hello"))
  }

  private func write(_ bytes: [UInt8]) throws(SystemdError) {
    var rest = bytes[...]
    while !rest.isEmpty {
      let outcome: Result<Int, SyscallError> = rest.withUnsafeBytes { buffer in
        do throws(SyscallError) { return .success(try Sys.send(socket.raw, buffer)) } catch { return .failure(error) }
      }
      do throws(SyscallError) { rest = rest.dropFirst(try outcome.get()) } catch {
        throw SystemdError("write to the bus: \(error.errno)")
      }
    }
  }

  /// Reads what is there; waits for it until `end` (CLOCK_MONOTONIC, nanoseconds).
  private func receive(until end: UInt64) throws(SystemdError) {
    do throws(SyscallError) {
      let now = Sys.monotonicNanoseconds()
      guard now < end,
        try Sys.poll(socket.raw, Int16(POLLIN), timeout: Int32(clamping: (end - now) / 1_000_000 + 1)) != 0
      else { throw SyscallError("poll", "bus", .timedOut) }
      let raw = socket.raw
      received += try withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 8) { buffer throws(SyscallError) in
        let (count, descriptors, _) = try Sys.receive(raw, buffer)
        // Descriptors that a peer sends are none of ours.
        for descriptor in descriptors { _ = CLinux.close(descriptor) }
        guard count > 0 else { throw SyscallError("read", "bus", .brokenPipe) }
        return Array(buffer.prefix(count))
      }
    } catch {
      throw SystemdError(error.errno == .timedOut ? "the bus doesn't answer" : "read from the bus: \(error.errno)")
    }
  }

  private static var end: UInt64 { Sys.monotonicNanoseconds() + Systemd.deadline * 1_000_000 }

  /// A line of the authentication.
  private func line() throws(SystemdError) -> String {
    let end = Self.end
    while true {
      if let index = received.firstIndex(of: UInt8(ascii: "\n")) {
        let text = String(decoding: received[..<index], as: UTF8.self)
        received.removeFirst(index + 1)
        return text.hasSuffix("\r") ? String(text.dropLast()) : text
      }
      guard received.count < 4096 else { throw SystemdError("the bus answers in an endless line") }
      try receive(until: end)
    }
  }

  /// The next message.
  private func message(until end: UInt64) throws(SystemdError) -> DBusMessage {
    while true {
      if received.count >= DBusMessage.prefix {
        guard let length = DBusMessage.length(received) else { throw SystemdError("the bus sent what is no message") }
        if received.count >= length {
          let bytes = Array(received[..<length])
          received.removeFirst(length)
          guard let message = DBusMessage(decoding: bytes) else { throw SystemdError("the bus sent a broken message") }
          return message
        }
      }
      try receive(until: end)
    }
  }

  /// Makes a call and waits for its answer: the body. An error of the peer's has its name.
  public func call(_ call: DBusMessage) throws(SystemdError) -> [DBusValue] {
    serial += 1
    var call = call
    call.serial = serial
    if isDirect { call.destination = nil }
    try write(call.encoded())
    let end = Self.end
    while true {
      let message = try message(until: end)
      switch message.kind {
      case .signal: signals.append(message)
      case .reply where message.replySerial == serial: return message.body
      case .error where message.replySerial == serial:
        throw SystemdError(
          message.body.first?.text ?? "\(call.member ?? "") failed",
          name: message.errorName ?? "org.freedesktop.DBus.Error.Failed")
      case .call, .reply, .error: continue
      }
    }
  }

  /// The first signal that fits, of those that came and those to come.
  public func signal(_ fits: (DBusMessage) -> Bool) throws(SystemdError) -> DBusMessage {
    if let index = signals.firstIndex(where: fits) { return signals.remove(at: index) }
    let end = Self.end
    while true {
      let message = try message(until: end)
      if message.kind == .signal, fits(message) { return message }
    }
  }
}
