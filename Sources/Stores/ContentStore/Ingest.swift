import CLinux
import struct Crypto.SHA256
public import Errdefs
public import Kernel
public import OCI
import Synchronization

/// A blob while it is written: a file without a name in the store. One writer at a time.
///
/// States: writing → `finish` → finished → `commit` → committed. Dropped before its commit it deletes its file. One that is named by the digest
/// it will have (`ContentStore.ingest(for:)`) outlives the process that dies: the next one for that digest begins with `existing` bytes, which
/// are to be written once more, but only hashed.
public final class Ingest {
  private let store: ContentStore
  private let path: String
  private let file: SharedDescriptor
  private var hasher = SHA256()
  private var isCommitted = false
  private var syncedTo: Int64 = 0
  /// Of whoever wrote it before us.
  private let claim: Digest?
  /// Bytes that were there already.
  public let existing: Int64
  /// Bytes written.
  public private(set) var size: Int64 = 0
  /// Of all the bytes; set by `finish`.
  public private(set) var digest: Digest?

  private static let counter = Atomic<UInt64>(0)

  /// Let the disk begin with what is there, so that the sync at the end finds little to do.
  private static let writebackStep: Int64 = 8 << 20

  init(store: ContentStore) throws(EngineError) {
    self.store = store
    // Unique in this process; what earlier ones left was swept.
    path = "\(store.ingests)/\(Self.counter.add(1, ordering: .relaxed).newValue)"
    claim = nil
    existing = 0
    do throws(SyscallError) {
      file = SharedDescriptor(try Sys.open(path, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, mode: 0o400))
    } catch { throw .system("begin content: \(error)", cause: error) }
  }

  /// Takes up what a process that died left of a blob; its last bytes may be lies after a power cut. The caller has claimed the digest.
  init(store: ContentStore, resuming digest: Digest, limit: Int64) throws(EngineError) {
    self.store = store
    path = "\(store.ingests)/\(ContentStore.partialName(digest))"
    claim = digest
    do throws(SyscallError) {
      file = SharedDescriptor(try Sys.open(path, O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o400))
      let found = Int64(try Sys.fstat(file.raw).st_size)
      existing = found > limit ? 0 : found
      if found > limit { try Sys.ftruncate(file.raw, 0) }
      try Sys.lseek(file.raw, existing, SEEK_SET)
      syncedTo = existing
    } catch {
      store.release(digest)
      throw .system("begin content \(digest): \(error)", cause: error)
    }
  }

  deinit {
    // Nothing to tell it to; what stays is swept at the next start.
    if !isCommitted { try? Sys.unlink(path) }
    if let claim { store.release(claim) }
  }

  public func write(_ bytes: UnsafeRawBufferPointer) throws(EngineError) {
    hasher.update(bufferPointer: bytes)
    // What is there already is only hashed.
    let known = Int(min(Int64(bytes.count), max(0, existing - size)))
    do throws(SyscallError) {
      try Sys.writeAll(file.raw, UnsafeRawBufferPointer(rebasing: bytes[known...]))
      size += Int64(bytes.count)
      if size - syncedTo >= Self.writebackStep {
        Sys.startWriteback(file.raw, offset: syncedTo, length: size - syncedTo)
        syncedTo = size
      }
    } catch { throw .system("write content: \(error)", cause: error) }
  }

  /// No more bytes will come. Answers the digest; what was written can be read from `descriptor` before it is committed.
  @discardableResult
  public func finish() -> Digest {
    if let digest { return digest }
    guard let result = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
    digest = result
    return result
  }

  /// The file, for reading at offsets (pread) once it is finished.
  public var descriptor: SharedDescriptor { file }

  /// Names it by its digest, durably. A digest or size other than expected is refused with `.invalidParameter`.
  @discardableResult
  public func commit(expecting expected: Digest? = nil, size expectedSize: Int64? = nil) throws(EngineError) -> Digest {
    let digest = finish()
    if let expected, expected != digest {
      throw .invalidParameter("content has the digest \(digest), \(expected) was expected")
    }
    if let expectedSize, expectedSize != size {
      throw .invalidParameter("content \(digest) has \(size) bytes, \(expectedSize) were expected")
    }
    do throws(SyscallError) {
      try Sys.fdatasync(file.raw)
      try Sys.rename(path, to: store.path(digest))
    } catch { throw .system("commit content \(digest): \(error)", cause: error) }
    isCommitted = true
    try store.syncNames()
    return digest
  }

  static func digest(of bytes: [UInt8]) -> Digest {
    var hasher = SHA256()
    bytes.withUnsafeBytes { hasher.update(bufferPointer: $0) }
    guard let digest = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
    return digest
  }
}
