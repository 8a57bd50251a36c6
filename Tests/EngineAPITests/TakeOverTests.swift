import CLinux
import Kernel
import NIOCore
import NIOHTTP1
import Testing

@testable import EngineAPI

@Suite struct TakeOverTests {
  /// Takes the socket over, says what was read ahead, then echoes in capitals from a thread, outside of NIO, till the client's end.
  static func shouting(_ router: inout Router) {
    router.add(.POST, "/exec/{id}/start") { request in
      let head = HTTPResponseHead(
        version: .http1_1, status: .custom(code: 101, reasonPhrase: "UPGRADED"),
        headers: [
          "Content-Type": "application/vnd.docker.raw-stream", "Connection": "Upgrade", "Upgrade": "tcp",
        ])
      let taken = try await request.connection.takeOver(head)
      let pending = taken.pending
      let socket = SharedDescriptor(owning: taken.descriptor)
      let body = request.body
      Task.detached {
        try Sys.setNonBlocking(socket.raw, false)
        try Sys.writeAll(
          socket.raw,
          "body=\(String(decoding: body, as: UTF8.self)) pending=\(String(decoding: pending, as: UTF8.self))\n")
        var buffer = [UInt8](repeating: 0, count: 4096)
        while true {
          let count = try buffer.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
          if count == 0 { break }
          try Sys.writeAll(socket.raw, String(decoding: buffer[..<count], as: UTF8.self).uppercased())
        }
        try Sys.writeAll(socket.raw, "after the half-close\n")
      }
      return .taken
    }
  }

  static let request =
    "POST /v1.45/exec/e/start HTTP/1.1\r\nHost: d\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n"
    + "Content-Type: application/json\r\nContent-Length: 16\r\n\r\n{\"Detach\":false}"

  @Test func handsOverTheSocketWithWhatWasReadAhead() async throws {
    try await ServerFixture.with(Self.shouting) { fixture in
      let texts = try await fixture.client { client in
        try client.send(Self.request + "early")
        let first = try client.receive(until: "early\n")
        try client.send("more\n")
        let second = try client.receive(until: "\n")
        try Sys.shutdown(client.socket.raw, Int32(SHUT_WR))
        return [first, second, try client.receiveToEnd()]
      }
      #expect(
        texts[0]
          == "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
          + "body={\"Detach\":false} pending=early\n")
      #expect(texts[1] == "MORE\n")
      #expect(texts[2] == "after the half-close\n")
      #expect(fixture.server.connectionCount == 0)
    }
  }

  @Test func losesNothingOfAClientThatHalfClosesBeforeTheAnswer() async throws {
    try await ServerFixture.with(Self.shouting) { fixture in
      for _ in 0..<20 {
        let text = try await fixture.client { client in
          try client.send(Self.request + "all at once")
          try Sys.shutdown(client.socket.raw, Int32(SHUT_WR))
          return try client.receiveToEnd()
        }
        #expect(text.contains("pending=all at once\n") || text.contains("ALL AT ONCE"), "\(text)")
        #expect(text.hasSuffix("after the half-close\n"))
      }
    }
  }

  @Test func leavesNoDescriptorBehind() async throws {
    try await ServerFixture.with(Self.shouting) { fixture in
      func round() async throws {
        _ = try await fixture.client { client in
          try client.send(Self.request)
          try Sys.shutdown(client.socket.raw, Int32(SHUT_WR))
          return try client.receiveToEnd()
        }
      }
      try await round()
      let before = fixture.server.connectionCount
      for _ in 0..<50 { try await round() }
      #expect(fixture.server.connectionCount == before)
    }
  }
}
