import CCompression

/// Bytes as they were before gzip or zstd; what is neither passes unchanged. Found by the first bytes, never by a name.
///
/// Several gzip members or zstd frames after one another are one stream, as RFC 1952 and RFC 8878 have it. A stream that is cut short, or whose
/// checksum is wrong, is an error. So is one that grows beyond `ArchiveLimits`: a bomb is found while it is read, not after.
public final class Decompressor: ByteSource {
  public enum Format: String, Sendable { case plain, gzip, zstd }

  public let format: Format
  private let input: BufferedSource
  private let limits: ArchiveLimits
  private var produced: Int64 = 0
  private var engine: Engine

  private enum Engine {
    case plain
    case gzip(UnsafeMutablePointer<z_stream>, betweenMembers: Bool)
    case zstd(OpaquePointer, insideFrame: Bool)
  }

  /// Reads the first bytes at once.
  public init(_ source: any ByteSource, limits: ArchiveLimits = ArchiveLimits()) throws {
    input = BufferedSource(source, capacity: 128 << 10)
    self.limits = limits
    let magic = try input.peek(6)
    if let other = Self.unsupported(magic) {
      throw ArchiveError("\(other) compression isn't supported, only gzip and zstd are")
    }
    format = Self.detect(magic)
    engine = .plain
    switch format {
    case .plain: break
    case .gzip:
      let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
      stream.initialize(to: z_stream())
      guard cc_inflate_init(stream) == Z_OK else {
        stream.deallocate()
        throw ArchiveError("gzip: out of memory")
      }
      engine = .gzip(stream, betweenMembers: false)
    case .zstd:
      guard let context = ZSTD_createDCtx() else { throw ArchiveError("zstd: out of memory") }
      engine = .zstd(context, insideFrame: false)
      // 128 MiB, as far as the zstd program goes unless told otherwise.
      _ = cc_zstd_limit_window(context, 27)
    }
  }

  deinit {
    switch engine {
    case .plain: break
    case .gzip(let stream, _):
      inflateEnd(stream)
      stream.deallocate()
    case .zstd(let context, _): ZSTD_freeDCtx(context)
    }
  }

  /// By the first four bytes.
  public static func detect(_ magic: UnsafeRawBufferPointer) -> Format {
    if magic.count >= 3, magic[0] == 0x1F, magic[1] == 0x8B, magic[2] == 8 { return .gzip }
    guard magic.count >= 4 else { return .plain }
    let number = UInt32(littleEndian: magic.loadUnaligned(as: UInt32.self))
    // A zstd frame, or a skippable one before it (RFC 8878, 3.1.2).
    return number == 0xFD2F_B528 || number & 0xFFFF_FFF0 == 0x184D_2A50 ? .zstd : .plain
  }

  /// What others take and this doesn't, so that it is told as that and not as a damaged tar.
  private static func unsupported(_ magic: UnsafeRawBufferPointer) -> String? {
    if magic.starts(with: [0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { return "xz" }
    return magic.starts(with: "BZh".utf8) && magic.count > 3 && (0x31...0x39).contains(magic[3]) ? "bzip2" : nil
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    let count: Int
    switch engine {
    case .plain: count = try input.read(into: buffer)
    case .gzip(let stream, _): count = try inflate(stream, into: buffer)
    case .zstd(let context, _): count = try decompress(context, into: buffer)
    }
    produced += Int64(count)
    guard produced <= limits.totalBytes else { throw ArchiveError("more than \(limits.totalBytes) bytes") }
    if format != .plain, produced > limits.ratioGrace, produced / limits.ratio > input.position {
      throw ArchiveError("\(format): more than \(limits.ratio) times its compressed size, a decompression bomb")
    }
    return count
  }

  private func inflate(_ stream: UnsafeMutablePointer<z_stream>, into buffer: UnsafeMutableRawBufferPointer) throws
    -> Int
  {
    let capacity = min(buffer.count, Int(UInt32.max))
    stream.pointee.next_out = buffer.baseAddress?.assumingMemoryBound(to: UInt8.self)
    stream.pointee.avail_out = UInt32(capacity)
    while stream.pointee.avail_out == UInt32(capacity) {
      let bytes = try input.available()
      if case .gzip(_, betweenMembers: true) = engine {
        // Zeros may fill up the last block of a tape; anything else must be another member.
        if bytes.isEmpty { return 0 }
        if bytes[0] == 0 {
          input.skip(bytes.prefix { $0 == 0 }.count)
          continue
        }
        guard inflateReset(stream) == Z_OK else { throw ArchiveError("gzip: can't start another member") }
        engine = .gzip(stream, betweenMembers: false)
      }
      guard !bytes.isEmpty else { throw ArchiveError("gzip: the stream is cut short") }
      // SAFETY: zlib reads through next_in only, though it isn't const there.
      stream.pointee.next_in = UnsafeMutablePointer(mutating: bytes.baseAddress?.assumingMemoryBound(to: UInt8.self))
      stream.pointee.avail_in = UInt32(bytes.count)
      let result = CCompression.inflate(stream, Z_NO_FLUSH)
      input.skip(bytes.count - Int(stream.pointee.avail_in))
      switch result {
      case Z_OK, Z_BUF_ERROR: break
      case Z_STREAM_END: engine = .gzip(stream, betweenMembers: true)
      default:
        let reason = stream.pointee.msg.map { String(cString: $0) } ?? "error \(result)"
        throw ArchiveError("gzip: \(reason)")
      }
    }
    return capacity - Int(stream.pointee.avail_out)
  }

  private func decompress(_ context: OpaquePointer, into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    var output = ZSTD_outBuffer(dst: buffer.baseAddress, size: buffer.count, pos: 0)
    while output.pos == 0 {
      let bytes = try input.available()
      if bytes.isEmpty {
        guard case .zstd(_, insideFrame: false) = engine else {
          // The decoder may hold output back that needs no more input.
          var none = ZSTD_inBuffer(src: nil, size: 0, pos: 0)
          let result = ZSTD_decompressStream(context, &output, &none)
          if output.pos > 0, ZSTD_isError(result) == 0 {
            engine = .zstd(context, insideFrame: result != 0)
            continue
          }
          throw ArchiveError("zstd: the stream is cut short")
        }
        return 0
      }
      var source = ZSTD_inBuffer(src: bytes.baseAddress, size: bytes.count, pos: 0)
      let result = ZSTD_decompressStream(context, &output, &source)
      input.skip(source.pos)
      guard ZSTD_isError(result) == 0 else {
        throw ArchiveError("zstd: \(String(cString: ZSTD_getErrorName(result)).lowercased())")
      }
      engine = .zstd(context, insideFrame: result != 0)
    }
    return output.pos
  }
}
