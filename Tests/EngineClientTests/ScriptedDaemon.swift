import CLinux
import Dispatch
import EngineClient
import Kernel

/// A daemon that plays one script per connection, on a socket of its own in a scratch directory.
final class ScriptedDaemon {
  /// What it does on a connection, in order.
  enum Step {
    /// Reads until the text was seen; the bytes up to its end are recorded.
    case expect(String)
    /// Reads until the client's half-close.
    case expectEnd
    case send(String)
    case bytes([UInt8])
  }

  let host: Host
  private let directory: String
  private let listener: Int32
  private let done = DispatchSemaphore(value: 0)
  private let connections: Int
  /// What each connection received; complete after `finish`.
  private(set) var received: [[UInt8]] = []

  init(_ scripts: [[Step]]) throws {
    directory = "/tmp/engine-client-\(getpid())-\(UInt32.random(in: .min ... .max))"
    try Sys.mkdir(directory)
    host = Host(path: "\(directory)/sock")
    let socket = try Sys.socket(AF_UNIX, Sys.sockStream)
    try Sys.bind(socket.raw, path: host.path)
    try Sys.listen(socket.raw)
    listener = socket.take()
    connections = scripts.count
    let (listener, done) = (listener, done)
    // SAFETY: written by the queue's one block before it signals `done`, read after `finish` has waited for that.
    nonisolated(unsafe) let daemon = self
    DispatchQueue(label: "daemon").async {
      for script in scripts { daemon.received.append(ScriptedDaemon.play(script, on: listener)) }
      done.signal()
    }
  }

  /// Waits until all scripts were played.
  func finish() { done.wait() }

  deinit {
    _ = close(listener)
    try? Sys.removeTree(directory)
  }

  private static func play(_ script: [Step], on listener: Int32) -> [UInt8] {
    guard let connection = try? Sys.accept(listener) else { return [] }
    var received: [UInt8] = []
    var seen = 0
    for step in script {
      switch step {
      case .send(let text): try? Sys.writeAll(connection.raw, text)
      case .bytes(let bytes): try? Sys.writeAll(connection.raw, bytes)
      case .expect(let text):
        while position(of: Array(text.utf8), in: received[seen...]) == nil, read(connection.raw, &received) {}
        seen = position(of: Array(text.utf8), in: received[seen...]).map { $0 + text.utf8.count } ?? received.count
      case .expectEnd: while read(connection.raw, &received) {}
      }
    }
    return received
  }

  private static func read(_ fd: Int32, _ bytes: inout [UInt8]) -> Bool {
    var buffer = [UInt8](repeating: 0, count: 65536)
    guard let count = try? buffer.withUnsafeMutableBytes({ try Sys.read(fd, $0) }), count > 0 else { return false }
    bytes += buffer[..<count]
    return true
  }

  private static func position(of text: [UInt8], in bytes: ArraySlice<UInt8>) -> Int? {
    guard text.count <= bytes.count else { return nil }
    for start in bytes.startIndex...(bytes.endIndex - text.count) where bytes[start...].starts(with: text) {
      return start
    }
    return nil
  }
}
