import CLinux
import Dispatch
import Kernel
import Logging
import NIOCore
import NIOHTTP1

@testable import EngineAPI

/// A server with a router of the test's own on a socket in a directory of its own.
struct ServerFixture: Sendable {
  let server: HTTPServer
  let path: String
  private let directory: String

  static func with(
    _ routes: (inout Router) -> Void, onIdle: (@Sendable () -> Void)? = nil, readTimeout: TimeAmount = .minutes(5),
    test: @Sendable (ServerFixture) async throws -> Void
  ) async throws {
    let directory = "/tmp/engine-api-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    try Sys.mkdir(directory, mode: 0o700)
    var router = Router()
    routes(&router)
    let fixture = ServerFixture(
      server: HTTPServer(
        router: router, version: "0.1", log: Logger(label: "test") { _ in SwiftLogNoOpLogHandler() },
        idleAfter: .milliseconds(500), readTimeout: readTimeout, onIdle: onIdle),
      path: "\(directory)/api.sock", directory: directory)
    let outcome: Result<Void, any Error>
    do {
      try await fixture.server.listen(.unix(fixture.path))
      outcome = .success(try await test(fixture))
    } catch { outcome = .failure(error) }
    await fixture.server.shutdown(grace: .milliseconds(200))
    try? Sys.rmdir(directory)
    try outcome.get()
  }

  /// Runs a client's blocking steps on a thread of their own.
  func client<T: Sendable>(_ body: @Sendable @escaping (borrowing Client) throws -> T) async throws -> T {
    let path = self.path
    return try await withCheckedThrowingContinuation { continuation in
      DispatchQueue(label: "client").async {
        continuation.resume(with: Result { try body(try Client(path)) })
      }
    }
  }
}

/// A client that speaks bytes; each read waits for at most five seconds.
struct Client: ~Copyable {
  let socket: Descriptor

  init(_ path: String) throws {
    let socket = try Sys.socket(AF_UNIX, Sys.sockStream)
    var timeout = timeval(tv_sec: 5, tv_usec: 0)
    setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
    try Sys.connect(socket.raw, path: path)
    self.socket = socket
  }

  func send(_ text: String) throws { try Sys.writeAll(socket.raw, text) }

  /// Some bytes, empty at the end.
  func receive(_ limit: Int = 65536) throws -> String {
    var count = 0
    let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, initialized in
      count = (try? Sys.read(socket.raw, UnsafeMutableRawBufferPointer(buffer))) ?? -1
      initialized = max(count, 0)
    }
    if count < 0 { throw ClientTimeout() }
    return String(decoding: bytes, as: UTF8.self)
  }

  func receive(until end: String) throws -> String {
    var text = ""
    while !text.contains(end) {
      let more = try receive()
      if more.isEmpty { break }
      text += more
    }
    return text
  }

  func receiveToEnd() throws -> String {
    var text = ""
    while true {
      let more = try receive()
      if more.isEmpty { return text }
      text += more
    }
  }

  /// The head of an answer and its body by Content-Length.
  func response() throws -> (head: String, body: String) {
    var text = try receive(until: "\r\n\r\n")
    guard let split = text.range(of: "\r\n\r\n") else { return (text, "") }
    let head = String(text[..<split.lowerBound])
    var body = String(text[split.upperBound...])
    let length =
      head.split(separator: "\r\n").first { $0.lowercased().hasPrefix("content-length:") }
      .flatMap { Int($0.drop { $0 != ":" }.dropFirst().drop { $0 == " " }) } ?? 0
    while body.utf8.count < length {
      text = try receive()
      if text.isEmpty { break }
      body += text
    }
    return (head, body)
  }
}

struct ClientTimeout: Error {}

extension String {
  func range(of text: String) -> Range<String.Index>? {
    var start = startIndex
    while start < endIndex {
      if self[start...].hasPrefix(text) { return start..<index(start, offsetBy: text.count) }
      start = index(after: start)
    }
    return nil
  }
}
