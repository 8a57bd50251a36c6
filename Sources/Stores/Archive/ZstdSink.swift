import CCompression

/// Compresses what is written to it into one zstd frame (RFC 8878), with a checksum.
public final class ZstdSink {
  private let context: OpaquePointer
  private let sink: (UnsafeRawBufferPointer) throws -> Void
  private let output: UnsafeMutableRawBufferPointer

  /// `level`: 1 to 19; 3 is zstd's own.
  public init(level: Int32 = 3, _ sink: @escaping (UnsafeRawBufferPointer) throws -> Void) throws {
    guard let context = ZSTD_createCCtx() else { throw ArchiveError("zstd: out of memory") }
    self.context = context
    self.sink = sink
    output = UnsafeMutableRawBufferPointer.allocate(byteCount: ZSTD_CStreamOutSize(), alignment: 16)
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_compressionLevel, level)
    _ = ZSTD_CCtx_setParameter(context, ZSTD_c_checksumFlag, 1)
  }

  deinit {
    ZSTD_freeCCtx(context)
    output.deallocate()
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws {
    var input = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
    while input.pos < input.size { _ = try step(&input, ZSTD_e_continue) }
  }

  /// The frame's end.
  public func finish() throws {
    var input = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
    while try step(&input, ZSTD_e_end) > 0 {}
  }

  /// What is left to be flushed.
  private func step(_ input: inout ZSTD_inBuffer, _ end: ZSTD_EndDirective) throws -> Int {
    var buffer = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
    let left = ZSTD_compressStream2(context, &buffer, &input, end)
    guard ZSTD_isError(left) == 0 else {
      throw ArchiveError("zstd: \(String(cString: ZSTD_getErrorName(left)).lowercased())")
    }
    if buffer.pos > 0 { try sink(UnsafeRawBufferPointer(rebasing: output[..<buffer.pos])) }
    return left
  }
}
