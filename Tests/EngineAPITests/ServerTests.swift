import CLinux
import Errdefs
import Kernel
import NIOCore
import NIOHTTP1
import OCI
import Synchronization
import Testing

@testable import EngineAPI

@Suite struct ServerTests {
  static func echo(_ router: inout Router) {
    router.add(.GET, "/_ping") { _ in .text("OK") }
    router.add(.GET, "/containers/{id}/json") { request in
      guard request.parameter("id") != "none" else { throw EngineError.notFound("No such container: none") }
      return .json(
        .object(JSONObject([("Id", .string(request.parameter("id"))), ("v", .string("\(request.version)"))])))
    }
    router.add(.POST, "/containers/create") { request in .json(try request.json() ?? .null, status: .created) }
    router.add(.POST, "/images/load", body: .streamed) { request in
      var count = 0
      while let part = try await request.connection.nextBodyPart() { count += part.readableBytes }
      return .text("\(count)")
    }
  }

  @Test func answersWithDockersHeaders() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let answer = try await fixture.client { client in
        try client.send("GET /v1.45/_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        return try client.response()
      }
      #expect(answer.head.hasPrefix("HTTP/1.1 200 OK\r\n"))
      for line in ["Api-Version: 1.55", "Docker-Experimental: false", "Ostype: linux", "Server: Berth/0.1 (linux)"] {
        #expect(answer.head.contains("\r\n\(line)"), "\(line)")
      }
      #expect(answer.body == "OK")
    }
  }

  @Test(arguments: [
    ("GET /nowhere", 404, #"{"message":"page not found"}"#),
    ("GET /v1.45/nowhere", 404, #"{"message":"page not found"}"#),
    ("DELETE /_ping", 404, #"{"message":"page not found"}"#),
    ("GET /v1.99/_ping", 400, #"{"message":"client version 1.99 is too new. Maximum supported API version is 1.55"}"#),
    (
      "GET /v1.23/_ping", 400,
      "client version 1.23 is too old. Minimum supported API version is 1.24, please upgrade your client to a newer version"
    ),
    ("GET /containers/none/json", 404, #"{"message":"No such container: none"}"#),
    ("GET /v1.30/containers/a%2Fb/json", 200, #"{"Id":"a/b","v":"1.30"}"#),
    ("GET http://docker/containers/%3Cx%3E/json?a=b", 200, #"{"Id":"<x>","v":"1.55"}"#),
    ("OPTIONS /anything", 200, ""),
  ])
  func routes(_ line: String, _ status: Int, _ body: String) async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let answer = try await fixture.client { client in
        try client.send("\(line) HTTP/1.1\r\nHost: d\r\n\r\n")
        return try client.response()
      }
      #expect(answer.head.hasPrefix("HTTP/1.1 \(status) "))
      #expect(answer.body == (body.isEmpty ? "" : body + "\n"))
    }
  }

  @Test(arguments: [
    ("text/plain", "{}", "unsupported Content-Type header (text/plain): must be 'application/json'"),
    ("application/json", "{", "invalid JSON: unexpected EOF"),
    ("application/json", "{x}", "invalid JSON: invalid character 'x' looking for beginning of object key string"),
    ("application/json", "[1 2]", "invalid JSON: invalid character '2' after array element"),
    ("application/json", "nul!", "invalid JSON: invalid character '!' in literal null (expecting 'l')"),
    ("application/json; charset=utf-8", "{} x", "unexpected content after JSON"),
  ])
  func refusesBodies(_ type: String, _ body: String, _ message: String) async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let answer = try await fixture.client { client in
        try client.send(
          "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: \(type)\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
        )
        return try client.response()
      }
      #expect(answer.head.hasPrefix("HTTP/1.1 400 "))
      #expect(answer.body == "{\"message\":\"\(message)\"}\n")
    }
  }

  /// What isn't whole in time is cut; a connection that asks nothing may stay.
  @Test(arguments: [
    "GET /_ping HTTP/1.1\r\nHo",
    "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: 10\r\n\r\n{",
  ])
  func cutsARequestThatNeverBecomesWhole(_ part: String) async throws {
    try await ServerFixture.with(Self.echo, readTimeout: .milliseconds(50)) { fixture in
      let rest = try await fixture.client { client in
        try client.send(part)
        return try client.receiveToEnd()
      }
      #expect(rest.isEmpty)
      let body = try await fixture.client { client in
        try client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        let first = try client.response().body
        var nothing = pollfd(fd: client.socket.raw, events: Int16(POLLIN), revents: 0)
        _ = try Sys.retrying("poll") { poll(&nothing, 1, 150) }
        try client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        return try client.response().body + first
      }
      #expect(body == "OKOK")
    }
  }

  @Test func keepsAConnectionAndServesPipelinedRequestsInOrder() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let bodies = try await fixture.client { client in
        var bodies: [String] = []
        try client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        bodies.append(try client.response().body)
        let body = #"{"a":1}"#
        try client.send(
          "GET /containers/1/json HTTP/1.1\r\nHost: d\r\n\r\n"
            + "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nContent-Length: \(body.utf8.count)\r\n\r\n\(body)"
            + "GET /containers/3/json HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        bodies.append(try client.receiveToEnd())
        return bodies
      }
      #expect(bodies[0] == "OK")
      let one = try #require(bodies[1].range(of: #""Id":"1""#))
      let two = try #require(bodies[1].range(of: #"{"a":1}"#))
      let three = try #require(bodies[1].range(of: #""Id":"3""#))
      #expect(one.lowerBound < two.lowerBound && two.lowerBound < three.lowerBound)
    }
  }

  @Test func answersAHalfClosedClient() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let text = try await fixture.client { client in
        try client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
        try Sys.shutdown(client.socket.raw, Int32(SHUT_WR))
        return try client.receiveToEnd()
      }
      #expect(text.hasSuffix("\r\n\r\nOK"))
    }
  }

  @Test func streamsAnUploadWithExpectContinue() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let (first, answer) = try await fixture.client { client in
        try client.send(
          "POST /images/load HTTP/1.1\r\nHost: d\r\nTransfer-Encoding: chunked\r\nExpect: 100-continue\r\n\r\n")
        let first = try client.receive(until: "\r\n\r\n")
        let chunk = String(repeating: "x", count: 1 << 20)
        for _ in 0..<32 { try client.send("100000\r\n\(chunk)\r\n") }
        try client.send("0\r\n\r\n")
        return (first, try client.response())
      }
      #expect(first == "HTTP/1.1 100 Continue\r\n\r\n")
      #expect(answer.body == "\(32 << 20)")
    }
  }

  @Test func leavesAnUploadThatNobodyReadsInTheKernel() async throws {
    let taken = Mutex(0)
    try await ServerFixture.with({ router in
      router.add(.POST, "/images/load", body: .streamed) { request in
        while let part = try await request.connection.nextBodyPart() {
          taken.withLock { $0 += part.readableBytes }
          try await Task.sleep(for: .seconds(30))
        }
        return .empty()
      }
    }) { fixture in
      let sent = try await fixture.client { client in
        try client.send("POST /images/load HTTP/1.1\r\nHost: d\r\nContent-Length: 1000000000\r\n\r\n")
        try Sys.setNonBlocking(client.socket.raw)
        let chunk = [UInt8](repeating: 1, count: 1 << 16)
        var sent = 0
        for _ in 0..<1000 {
          let count = chunk.withUnsafeBytes { (try? Sys.write(client.socket.raw, $0)) ?? 0 }
          sent += count
          if count == 0 { usleep(1000) }
        }
        return sent
      }
      // What the socket's buffer holds, and a read or two of ours.
      #expect(sent < 8 << 20, "\(sent) bytes were taken from a client whose upload nobody reads")
      #expect(taken.withLock { $0 } < 4 << 20)
    }
  }

  @Test func refusesAnEndlessJSONBody() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let answer = try await fixture.client { client in
        try client.send(
          "POST /containers/create HTTP/1.1\r\nHost: d\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        let chunk = String(repeating: " ", count: 1 << 20)
        for _ in 0..<8 { do { try client.send("100000\r\n\(chunk)\r\n") } catch { break } }
        return try client.response()
      }
      #expect(answer.head.hasPrefix("HTTP/1.1 413 "))
    }
  }

  @Test func sendsAStreamsHeadAtOnceAndCancelsItWhenTheClientGoes() async throws {
    let (events, feed) = AsyncStream.makeStream(of: String.self)
    try await ServerFixture.with({ router in
      router.add(.POST, "/containers/{id}/wait") { _ in
        .stream(["Content-Type": "application/json"]) { stream in
          do {
            try await stream.write(["first": 1] as JSON)
            try await Task.sleep(for: .seconds(60))
          } catch {
            feed.yield("cancelled")
            throw error
          }
        }
      }
    }) { fixture in
      let text = try await fixture.client { client in
        try client.send("POST /containers/a/wait HTTP/1.1\r\nHost: d\r\n\r\n")
        return try client.receive(until: "\n\r\n")
      }
      #expect(text.contains("Transfer-Encoding: chunked") || text.contains("transfer-encoding: chunked"))
      #expect(text.contains(#"{"first":1}"#))
      var iterator = events.makeAsyncIterator()
      #expect(await iterator.next() == "cancelled")
    }
  }

  @Test func servesADownloadAtTheReadersPace() async throws {
    let written = Mutex(0)
    try await ServerFixture.with({ router in
      router.add(.GET, "/events") { _ in
        .stream([:]) { stream in
          for _ in 0..<1000 {
            try await stream.write([UInt8](repeating: 65, count: 1 << 16))
            written.withLock { $0 += 1 << 16 }
          }
        }
      }
    }) { fixture in
      let before = try await fixture.client { client in
        try client.send("GET /events HTTP/1.1\r\nHost: d\r\nConnection: close\r\n\r\n")
        usleep(300_000)
        let before = written.withLock { $0 }
        var total = 0
        while true {
          let more = try client.receive(1 << 20)
          if more.isEmpty { break }
          total += more.utf8.count
        }
        #expect(total > 65_536_000)
        return before
      }
      #expect(before < 2 << 20, "\(before) bytes were written to a client that doesn't read")
    }
  }

  @Test func answersNonsenseWith400() async throws {
    try await ServerFixture.with(Self.echo) { fixture in
      let text = try await fixture.client { client in
        try client.send("no http at all\r\n\r\n")
        return try client.receiveToEnd()
      }
      #expect(text.hasPrefix("HTTP/1.1 400 Bad Request\r\n"))
    }
  }
}

@Suite struct IdlenessTests {
  @Test func tellsOnceWhenNobodyAsksAnyMore() async throws {
    let (times, feed) = AsyncStream.makeStream(of: ContinuousClock.Instant.self)
    try await ServerFixture.with(
      { router in router.add(.GET, "/_ping") { _ in .text("OK") } }, onIdle: { feed.yield(.now) }
    ) { fixture in
      let last = try await fixture.client { client in
        for _ in 0..<10 {
          usleep(100_000)
          try client.send("GET /_ping HTTP/1.1\r\nHost: d\r\n\r\n")
          _ = try client.response()
        }
        return ContinuousClock.Instant.now
      }
      // A second of requests, and half a second after the last one the news.
      var iterator = times.makeAsyncIterator()
      let told = try #require(await iterator.next())
      #expect(told - last > .milliseconds(350))
    }
  }
}
