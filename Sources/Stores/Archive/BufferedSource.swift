/// A source with a look-ahead: bytes are handed out in place, without copying them once more.
final class BufferedSource {
  private let source: any ByteSource
  private let buffer: UnsafeMutableRawBufferPointer
  private var start = 0
  private var end = 0
  private var atEnd = false
  /// Bytes handed out.
  private(set) var position: Int64 = 0

  init(_ source: any ByteSource, capacity: Int = 256 << 10) {
    self.source = source
    buffer = .allocate(byteCount: capacity, alignment: 4096)
  }

  deinit { buffer.deallocate() }

  /// Reads until `count` bytes are there or the source ends; answers how many there are (at most `count`).
  private func fill(_ count: Int) throws -> Int {
    if end - start >= count { return count }
    if start > 0, start == end || buffer.count - start < count {
      buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: buffer[start..<end]))
      end -= start
      start = 0
    }
    while end - start < count, !atEnd {
      let read = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer[end...]))
      if read == 0 { atEnd = true } else { end += read }
    }
    return min(count, end - start)
  }

  /// The next bytes without taking them: `count` of them, at most the capacity, fewer only at the end.
  /// Valid until the next call.
  func peek(_ count: Int) throws -> UnsafeRawBufferPointer {
    let available = try fill(count)
    return UnsafeRawBufferPointer(rebasing: buffer[start..<start + available])
  }

  /// All that is buffered, without taking it; reads only when that is nothing. Empty at the end. Valid until the next call.
  func available() throws -> UnsafeRawBufferPointer {
    if start == end { _ = try fill(1) }
    return UnsafeRawBufferPointer(rebasing: buffer[start..<end])
  }

  /// Takes `count` bytes that `peek` or `next` showed.
  func skip(_ count: Int) {
    start += count
    position += Int64(count)
  }

  /// Takes from 1 to `limit` bytes, as many as are there; empty at the end. Valid until the next call.
  func next(atMost limit: Int) throws -> UnsafeRawBufferPointer {
    guard limit > 0 else { return UnsafeRawBufferPointer(start: nil, count: 0) }
    if start == end { _ = try fill(1) }
    let count = min(limit, end - start)
    let bytes = UnsafeRawBufferPointer(rebasing: buffer[start..<start + count])
    skip(count)
    return bytes
  }

  /// Takes up to `target.count` bytes into memory of the caller; large requests bypass the buffer.
  func read(into target: UnsafeMutableRawBufferPointer) throws -> Int {
    if start == end, target.count >= buffer.count, !atEnd {
      let read = try source.read(into: target)
      if read == 0, target.count > 0 { atEnd = true }
      position += Int64(read)
      return read
    }
    let bytes = try next(atMost: target.count)
    target.copyMemory(from: bytes)
    return bytes.count
  }
}
