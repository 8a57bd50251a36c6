import Kernel

/// A reader's place in a log: gives chunk after chunk, follows through rotation, ends with the log or with the container.
actor LogCursor {
  private let files: LogFiles
  private let options: LogOptions
  private let framed: Bool
  /// Wakes when there may be more; `nil` when not followed. Ends when the container has ended.
  private var wakes: AsyncStream<Void>.Iterator?
  private var ending: @Sendable () -> Bool
  /// Those still to be read, oldest first; the first is being read.
  private var entries: [LogFiles.Entry] = []
  private var offset: Int64 = 0
  /// A line that isn't whole yet.
  private var rest: [UInt8] = []
  private var opened = false
  private var finished = false
  private let blocking: Blocking

  typealias Blocking = @Sendable (@escaping @Sendable () throws -> Chunk) async throws -> Chunk

  struct Chunk: Sendable {
    var entries: [LogFiles.Entry]
    var offset: Int64
    var bytes: [UInt8]
  }

  init(
    files: LogFiles, options: LogOptions, framed: Bool, wakes: AsyncStream<Void>?,
    ending: @escaping @Sendable () -> Bool,
    blocking: @escaping Blocking
  ) {
    self.files = files
    self.options = options
    self.framed = framed
    self.wakes = wakes?.makeAsyncIterator()
    self.ending = ending
    self.blocking = blocking
  }

  /// `nil` at the end.
  func next() async throws -> [UInt8]? {
    while !finished {
      try Task.checkCancellation()
      // Asked before the read: what is written before the end is read before it.
      let last = wakes == nil || ending()
      let bytes = try await read()
      if !bytes.isEmpty {
        let output = render(bytes)
        if !output.isEmpty { return output }
        continue
      }
      if last { break }
      guard await wait() else { break }
    }
    finished = true
    return nil
  }

  private func wait() async -> Bool {
    guard var iterator = wakes else { return false }
    let woken = await iterator.next(isolation: self) != nil
    wakes = iterator
    return woken
  }

  /// The next piece, of the next file when one has come to its end; empty when there is nothing now.
  private func read() async throws -> [UInt8] {
    let (files, options, entries, offset, opened) = (files, options, entries, offset, opened)
    let chunk = try await blocking {
      if !opened {
        let all = try files.open()
        var start: (index: Int, offset: Int64) = (0, 0)
        if let tail = options.tail { start = try LogFiles.tail(all, tail) }
        return try Chunk(entries: Array(all.dropFirst(start.index)), offset: start.offset, bytes: []).filled()
      }
      var chunk = try Chunk(entries: entries, offset: offset, bytes: []).filled()
      if chunk.bytes.isEmpty {
        // Nothing more here: has it been rotated away? Those after it come next.
        let present = try files.open()
        if let last = chunk.entries.last {
          if let index = present.firstIndex(where: { $0.inode == last.inode }) {
            if index + 1 < present.count {
              chunk = try Chunk(entries: Array(present[index...]), offset: chunk.offset, bytes: []).filled()
            }
          } else {
            chunk = try Chunk(entries: present, offset: 0, bytes: []).filled()
          }
        } else {
          chunk = try Chunk(entries: present, offset: 0, bytes: []).filled()
        }
      }
      return chunk
    }
    self.opened = true
    self.entries = chunk.entries
    self.offset = chunk.offset
    return chunk.bytes
  }

  /// Whole lines only; a line longer than 1 MiB is no line of a log and is left out.
  private func render(_ bytes: [UInt8]) -> [UInt8] {
    rest += bytes
    guard let end = rest.lastIndex(of: UInt8(ascii: "\n")) else {
      if rest.count > 1 << 20 { rest = [] }
      return []
    }
    var output: [UInt8] = []
    rest.withUnsafeBufferPointer { buffer in
      var start = 0
      while start <= end {
        var stop = start
        while buffer[stop] != UInt8(ascii: "\n") { stop += 1 }
        if let line = LogLine(UnsafeBufferPointer(rebasing: buffer[start..<stop])) { add(line, &output) }
        start = stop + 1
      }
    }
    rest.removeFirst(end + 1)
    return output
  }

  private func add(_ line: LogLine, _ output: inout [UInt8]) {
    guard line.stream == .stdout ? options.stdout : options.stderr else { return }
    if let since = options.since, line.time < since { return }
    if let until = options.until, line.time > until {
      finished = true
      return
    }
    line.write(into: &output, options, framed: framed)
  }
}

extension LogCursor.Chunk {
  /// Reads on, over the ends of files.
  fileprivate consuming func filled() throws(SyscallError) -> LogCursor.Chunk {
    var chunk = self
    while let first = chunk.entries.first {
      chunk.bytes = try LogFiles.read(first, at: chunk.offset, count: Int(LogFiles.blockSize))
      chunk.offset += Int64(chunk.bytes.count)
      if !chunk.bytes.isEmpty || chunk.entries.count == 1 { break }
      chunk.entries.removeFirst()
      chunk.offset = 0
    }
    return chunk
  }
}
