import CLinux
import EngineClient
import Kernel
import OCI
import Testing

@Suite struct EngineClientTests {
  @Test func readsBodiesWithALengthAndKeepsTheConnection() throws {
    let daemon = try ScriptedDaemon([
      [
        .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"a\":1}"), .expect("\r\n\r\n"),
        .send("HTTP/1.1 204 No Content\r\n\r\n"), .expectEnd,
      ]
    ])
    do {
      let client = EngineClient(host: daemon.host)
      #expect(try client.get("/a", query: ["x": "y z"]).json() == ["a": 1])
      #expect(try client.post("/b").readAll().isEmpty)
    }
    daemon.finish()
    let text = String(decoding: daemon.received[0], as: UTF8.self)
    #expect(text.hasPrefix("GET /a?x=y%20z HTTP/1.1\r\n"))
    #expect(text.contains("POST /b HTTP/1.1\r\n") && text.contains("Content-Length: 0\r\n"))
  }

  @Test func readsChunksHoweverTheyAreCut() throws {
    let body = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;ext=1\r\n world\r\n0\r\n\r\n"
    var steps: [ScriptedDaemon.Step] = [.expect("\r\n\r\n")]
    steps += body.utf8.map { .bytes([$0]) }
    let daemon = try ScriptedDaemon([steps])
    let bytes = try EngineClient(host: daemon.host).get("/").readAll()
    #expect(String(decoding: bytes, as: UTF8.self) == "hello world")
  }

  @Test func turnsErrorBodiesIntoMessages() throws {
    let daemon = try ScriptedDaemon([
      [
        .expect("\r\n\r\n"),
        .send("HTTP/1.1 404 Not Found\r\nContent-Length: 37\r\n\r\n{\"message\":\"No such container: nope\"}"),
      ]
    ])
    do {
      _ = try EngineClient(host: daemon.host).get("/containers/nope/json")
      Issue.record("no error was thrown")
    } catch let error as ClientError {
      #expect(error.status == 404)
      #expect(error.description == "Error response from daemon: No such container: nope")
    }
  }

  @Test func tellsWhyNobodyAnswers() throws {
    do {
      _ = try EngineClient(host: Host(path: "/tmp/nobody-\(getpid()).sock")).get("/")
      Issue.record("no error was thrown")
    } catch let error as ClientError {
      #expect(error.description.hasPrefix("Cannot connect to the Berth daemon at unix:///tmp/nobody-"))
      #expect(error.description.hasSuffix(". Is the berth daemon running?"))
    }
  }

  @Test func refusesATruncatedBody() throws {
    let daemon = try ScriptedDaemon([
      [.expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort")]
    ])
    let response = try EngineClient(host: daemon.host).get("/")
    #expect(throws: ClientError.self) { _ = try response.readAll() }
  }

  @Test func connectsAnewWhenTheIdleConnectionWasClosed() throws {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    let daemon = try ScriptedDaemon([
      [.expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok")],
      [.expect("\r\n\r\n"), .send(answer)],
    ])
    let client = EngineClient(host: daemon.host)
    #expect(try client.get("/one").readAll() == Array("ok".utf8))
    #expect(try client.get("/two").readAll() == Array("ok".utf8))
  }

  @Test func uploadsAFileWithItsLengthAndAPipeInChunks() throws {
    let answer = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    let daemon = try ScriptedDaemon([
      [.expect("\r\n\r\n"), .expect("contents"), .send(answer), .expect("0\r\n\r\n"), .send(answer), .expectEnd]
    ])
    do {
      let client = EngineClient(host: daemon.host)
      let file = try Sys.memfd("upload")
      try Sys.writeAll(file.raw, "the contents")
      _ = try Sys.lseek(file.raw, 0, SEEK_SET)
      var request = Request("POST", "/images/load")
      request.upload = try Upload(file.raw)
      #expect(try client.send(request).readAll() == Array("ok".utf8))

      let (read, write) = try Sys.pipe()
      let source = Descriptor(owning: read)
      try Sys.writeAll(write, "piped")
      try Descriptor(owning: write).close()
      request.upload = try Upload(source.raw)
      #expect(try client.send(request).readAll() == Array("ok".utf8))
    }
    daemon.finish()
    let text = String(decoding: daemon.received[0], as: UTF8.self)
    #expect(text.contains("Content-Length: 12\r\n\r\nthe contents"))
    #expect(text.hasSuffix("Transfer-Encoding: chunked\r\n\r\n5\r\npiped\r\n0\r\n\r\n"))
  }

  @Test func readsTheAnswerOfADaemonThatRefusesAnUpload() throws {
    // More than the socket holds, and nobody reads it.
    let daemon = try ScriptedDaemon([
      [
        .expect("\r\n\r\n"),
        .send("HTTP/1.1 501 Not Implemented\r\nConnection: close\r\nContent-Length: 17\r\n\r\n{\"message\":\"not\"}"),
      ]
    ])
    let file = try Sys.memfd("upload")
    try Sys.ftruncate(file.raw, 64 << 20)
    var request = Request("POST", "/images/load")
    request.upload = try Upload(file.raw)
    do {
      _ = try EngineClient(host: daemon.host).send(request)
      Issue.record("no error was thrown")
    } catch let error as ClientError { #expect(error.status == 501) }
  }

  @Test func hijacksWithBytesThatCameWithTheHead() throws {
    let daemon = try ScriptedDaemon([
      [
        .expect("\r\n\r\n"),
        .send(
          "HTTP/1.1 101 UPGRADED\r\nContent-Type: application/vnd.docker.raw-stream\r\nConnection: Upgrade\r\n\r\nearly"
        ),
        .expectEnd, .send("late"),
      ]
    ])
    let stream = try EngineClient(host: daemon.host).hijack(Request("POST", "/containers/x/attach"))
    #expect(stream.hasUnread)
    #expect(try stream.next().map { String(decoding: $0, as: UTF8.self) } == "early")
    #expect(try stream.writeSome(Array("input".utf8)[...]) == 5)
    try stream.closeWrite()
    #expect(try stream.next().map { String(decoding: $0, as: UTF8.self) } == "late")
    #expect(try stream.next() == nil)
    daemon.finish()
    #expect(String(decoding: daemon.received[0], as: UTF8.self).hasSuffix("\r\n\r\ninput"))
  }
}
