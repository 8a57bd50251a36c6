import EngineClient
import OCI
import Testing

@Suite struct StreamTests {
  @Test func framesAreTakenApartHoweverTheyAreCut() throws {
    let bytes: [UInt8] = [
      1, 0, 0, 0, 0, 0, 0, 2, 0x61, 0x62, 2, 0, 0, 0, 0, 0, 0, 1, 0x63, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 1,
      0x64,
    ]
    for size in 1...bytes.count {
      var streams = StandardStreams()
      var (out, err) = ("", "")
      for start in stride(from: 0, to: bytes.count, by: size) {
        try streams.feed(bytes[start..<min(start + size, bytes.count)]) { stream, part in
          if stream == .stderr {
            err += String(decoding: part, as: UTF8.self)
          } else {
            out += String(decoding: part, as: UTF8.self)
          }
        }
      }
      #expect(out == "abd" && err == "c", "pieces of \(size)")
    }
  }

  @Test func anUnknownStreamIsAnError() {
    var streams = StandardStreams()
    #expect(throws: ClientError.self) { try streams.feed([9, 0, 0, 0, 0, 0, 0, 1][...]) { _, _ in } }
  }

  @Test func aDaemonsErrorInMidStreamIsThrown() {
    var streams = StandardStreams()
    #expect(throws: ClientError.self) { try streams.feed([3, 0, 0, 0, 0, 0, 0, 1, 0x65][...]) { _, _ in } }
  }

  @Test func valuesOfAStreamNeedNoLines() throws {
    let daemon = try ScriptedDaemon([
      [
        .expect("\r\n\r\n"), .send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        .send("a\r\n{\"a\":\"}{\\\"\r\n"),
        .send("10\r\n\"}\r\n \u{1E}{\"b\":[{}]}\r\n0\r\n\r\n"),
      ]
    ])
    let stream = JSONStream(try EngineClient(host: daemon.host).get("/events"))
    #expect(try stream.next() == ["a": "}{\""])
    #expect(try stream.next() == ["b": [[:]]])
    #expect(try stream.next() == nil)
  }

  @Test func hostsAreReadAsDockerWritesThem() throws {
    #expect(try Host(parsing: "unix:///run/x.sock").path == "/run/x.sock")
    #expect(try Host(parsing: "/run/x.sock").address == "unix:///run/x.sock")
    #expect(try Host(parsing: "tcp://1.2.3.4").tcp == Host.Endpoint(address: "1.2.3.4", port: 2375))
    #expect(try Host(parsing: "tcp://[::1]:99/").tcp == Host.Endpoint(address: "::1", port: 99))
    #expect(try Host(parsing: "tcp://localhost:1").tcp == Host.Endpoint(address: "127.0.0.1", port: 1))
    for text in [
      "tcp://name.example:1", "tcp://1.2.3.4:0", "tcp://1.2.3.4:x", "ssh://host", "unix://", "nonsense",
      "unix:///" + String(repeating: "x", count: 120),
    ] {
      #expect(throws: HostError.self) { try Host(parsing: text) }
    }
  }
}
