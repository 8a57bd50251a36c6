import CCompression

/// Gzip of a stream, the same bytes for the same input: no name, no time.
public enum GzipWriter {
  /// zlib's level: 6 is Docker's, and costs three times as much for 5 % less.
  public static let level: Int32 = 3

  /// Reads `source` to its end and hands the compressed bytes to `write`.
  public static func compress(_ source: any ByteSource, write: (UnsafeRawBufferPointer) throws -> Void) throws {
    let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
    stream.initialize(to: z_stream())
    defer { stream.deallocate() }
    guard cc_deflate_init(stream, level) == Z_OK else { throw ArchiveError("gzip: out of memory") }
    defer { deflateEnd(stream) }
    let input = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    let output = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    defer {
      input.deallocate()
      output.deallocate()
    }
    var flush = Z_NO_FLUSH
    while flush == Z_NO_FLUSH {
      let count = try source.read(into: input)
      if count == 0 { flush = Z_FINISH }
      stream.pointee.next_in = input.baseAddress?.assumingMemoryBound(to: UInt8.self)
      stream.pointee.avail_in = UInt32(count)
      while true {
        stream.pointee.next_out = output.baseAddress?.assumingMemoryBound(to: UInt8.self)
        stream.pointee.avail_out = UInt32(output.count)
        let result = deflate(stream, flush)
        guard result == Z_OK || result == Z_STREAM_END || result == Z_BUF_ERROR else {
          throw ArchiveError("gzip: error \(result)")
        }
        let made = output.count - Int(stream.pointee.avail_out)
        if made > 0 { try write(UnsafeRawBufferPointer(rebasing: output[..<made])) }
        if result == Z_STREAM_END || stream.pointee.avail_out > 0 { break }
      }
    }
  }
}
