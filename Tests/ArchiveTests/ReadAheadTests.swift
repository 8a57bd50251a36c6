import Archive
import Testing

@Suite struct ReadAheadTests {
  /// Gives `chunk` bytes at a time, and fails at `failsAt`.
  final class Dribble: ByteSource {
    let bytes: [UInt8]
    let chunk: Int
    let failsAt: Int?
    var position = 0

    init(_ bytes: [UInt8], chunk: Int, failsAt: Int? = nil) {
      self.bytes = bytes
      self.chunk = chunk
      self.failsAt = failsAt
    }

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
      if let failsAt, position >= failsAt { throw ArchiveError("as told") }
      let count = min(buffer.count, chunk, (failsAt ?? bytes.count) - position)
      buffer.copyBytes(from: bytes[position..<position + count])
      position += count
      return count
    }
  }

  static let sample = (0..<100_000).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) }

  @Test(arguments: [0, 1, 511, 512, 513, 1024, 100_000])
  func passesBytesInOrder(length: Int) throws {
    let bytes = Array(Self.sample.prefix(length))
    for chunk in [7, 512, 1 << 20] {
      let source = try ReadAhead(Dribble(bytes, chunk: chunk), buffers: 2, size: 512)
      #expect(try source.readAll(limit: 1 << 20) == bytes)
      #expect(try source.readAll(limit: 1 << 20).isEmpty)
    }
  }

  @Test func tellsAnErrorBehindTheBytesBeforeIt() throws {
    let source = try ReadAhead(Dribble(Self.sample, chunk: 100, failsAt: 5000), buffers: 2, size: 512)
    var count = 0
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 333, alignment: 1)
    defer { buffer.deallocate() }
    do {
      while true { count += try source.read(into: buffer) }
    } catch let error as ArchiveError { #expect(error.reason == "as told") }
    #expect(count == 5000)
  }

  @Test func canBeDroppedAtAnyTime() throws {
    for taken in [0, 1, 600, 3000] {
      let source = try ReadAhead(Dribble(Self.sample, chunk: 100), buffers: 3, size: 512)
      let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: max(1, taken), alignment: 1)
      defer { buffer.deallocate() }
      if taken > 0 { #expect(try source.read(into: buffer) > 0) }
    }
  }

  @Test func theSourceIsTheCallersAgainAtTheEnd() throws {
    let dribble = Dribble(Self.sample, chunk: 999)
    let source = try ReadAhead(dribble, buffers: 2, size: 4096)
    #expect(try source.readAll(limit: 1 << 20) == Self.sample)
    let rest = UnsafeMutableRawBufferPointer.allocate(byteCount: 1, alignment: 1)
    defer { rest.deallocate() }
    #expect(try dribble.read(into: rest) == 0)
  }
}
