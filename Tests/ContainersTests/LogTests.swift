import CLinux
import Kernel
import Testing

@testable import Containers

@Suite struct LogTests {
  private func withLog(_ body: (String) async throws -> Void) async throws {
    let directory = "/tmp/berth-logs-\(UInt64.random(in: 0 ... .max))"
    try Sys.mkdir(directory)
    defer { try? Sys.removeTree(directory) }
    try await body(directory + "/x-json.log")
  }

  private func line(_ number: Int, _ stream: String = "stdout") -> String {
    "{\"log\":\"line \(number)\\n\",\"stream\":\"\(stream)\",\"time\":\"2026-01-01T00:00:\(number < 10 ? "0" : "")\(number)Z\"}\n"
  }

  private func append(_ text: String, _ path: String) throws {
    let file = try Sys.open(path, O_WRONLY | O_CREAT | O_APPEND)
    try Sys.writeAll(file.raw, text)
  }

  private func cursor(
    _ path: String, _ options: LogOptions, wakes: AsyncStream<Void>? = nil,
    ending: @escaping @Sendable () -> Bool = { true }
  ) -> LogCursor {
    LogCursor(
      files: LogFiles(path: path), options: options, framed: false, wakes: wakes, ending: ending, blocking: { try $0() }
    )
  }

  private func read(_ path: String, _ options: LogOptions) async throws -> String {
    let cursor = cursor(path, options)
    var bytes: [UInt8] = []
    while let part = try await cursor.next() { bytes += part }
    return String(decoding: bytes, as: UTF8.self)
  }

  private let both = LogOptions(stdout: true, stderr: true)

  @Test func rotatedFilesComeInOrder() async throws {
    try await withLog { path in
      try append(line(1) + line(2), path + ".2")
      try append(line(3), path + ".1")
      try append(line(4, "stderr") + line(5), path)
      #expect(try await read(path, both) == "line 1\nline 2\nline 3\nline 4\nline 5\n")
      var options = both
      options.stderr = false
      #expect(try await read(path, options).hasSuffix("line 3\nline 5\n"))
    }
  }

  @Test func tailReadsBackwardsOverFiles() async throws {
    try await withLog { path in
      try append(line(1) + line(2) + line(3), path + ".1")
      try append(line(4) + line(5), path)
      for (tail, first) in [(1, 5), (2, 4), (3, 3), (5, 1), (99, 1)] {
        var options = both
        options.tail = tail
        let expected = (first...5).map { "line \($0)\n" }.joined()
        #expect(try await read(path, options) == expected, "tail \(tail)")
      }
      var none = both
      none.tail = 0
      #expect(try await read(path, none) == "")
    }
  }

  @Test func timesBoundAndLead() async throws {
    try await withLog { path in
      try append(line(1) + line(2) + line(3), path)
      var options = both
      options.since = TimeFilter.calendar("2026-01-01T00:00:02Z")
      options.until = TimeFilter.calendar("2026-01-01T00:00:02Z")
      options.timestamps = true
      #expect(try await read(path, options) == "2026-01-01T00:00:02.000000000Z line 2\n")
    }
  }

  @Test func aTornLineIsLeftOut() async throws {
    try await withLog { path in
      try append(line(1) + "{\"log\":\"half\n" + line(2) + "{\"log\":", path)
      #expect(try await read(path, both) == "line 1\nline 2\n")
    }
  }

  @Test func framesNameStreamAndLength() async throws {
    try await withLog { path in
      try append(line(7, "stderr"), path)
      let cursor = LogCursor(
        files: LogFiles(path: path), options: both, framed: true, wakes: nil, ending: { true }, blocking: { try $0() })
      #expect(try await cursor.next() == [2, 0, 0, 0, 0, 0, 0, 7] + Array("line 7\n".utf8))
    }
  }

  @Test(.timeLimit(.minutes(1))) func followingGoesThroughRotation() async throws {
    try await withLog { path in
      let watch = try FileWatch()
      let directory = String(path.prefix(upTo: path.lastIndex(of: "/") ?? path.endIndex))
      try append(line(1), path)
      let reader = cursor(path, both, wakes: try watch.changes(in: directory), ending: { false })
      #expect(try await reader.next() == Array("line 1\n".utf8))
      async let second = reader.next()
      try append(line(2), path)
      #expect(try await second == Array("line 2\n".utf8))
      try append(line(3), path)
      try Sys.rename(path, to: path + ".1")
      try append(line(4), path)
      var text = ""
      while !text.hasSuffix("line 4\n") { text += String(decoding: try await reader.next() ?? [], as: UTF8.self) }
      #expect(text == "line 3\nline 4\n")
    }
  }
}
