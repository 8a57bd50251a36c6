/// Collects small writes, since each write of a stream costs its reader's thread a wake.
public final class BufferedSink {
  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
  private var count = 0

  public init(_ sink: @escaping (UnsafeRawBufferPointer) throws -> Void) { self.sink = sink }

  deinit { buffer.deallocate() }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    if count + bytes.count > buffer.count { try flush() }
    guard bytes.count < buffer.count else { return try sink(bytes) }
    UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(from: bytes)
    count += bytes.count
  }

  public func flush() throws {
    guard count > 0 else { return }
    try sink(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
    count = 0
  }
}
