public import Archive
import struct Crypto.SHA256
public import OCI

/// Passes bytes on, and counts and hashes them (SHA-256) on their way.
public final class HashingSource: ByteSource {
  private let source: any ByteSource
  private var hasher = SHA256()
  /// Bytes passed on so far.
  public private(set) var count: Int64 = 0

  public init(_ source: any ByteSource) { self.source = source }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let read = try source.read(into: buffer)
    hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: buffer[..<read]))
    count += Int64(read)
    return read
  }

  /// The digest of what was passed on so far.
  public var digest: Digest {
    guard let digest = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
    return digest
  }
}

extension Digest {
  /// The SHA-256 of bytes in memory.
  public init(hashing bytes: some Sequence<UInt8>) {
    var hasher = SHA256()
    if bytes.withContiguousStorageIfAvailable({ hasher.update(bufferPointer: UnsafeRawBufferPointer($0)) }) == nil {
      Array(bytes).withUnsafeBytes { hasher.update(bufferPointer: $0) }
    }
    guard let digest = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
    self = digest
  }
}
