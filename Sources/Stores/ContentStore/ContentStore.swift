import CLinux
public import Errdefs
public import Kernel
public import OCI
import Synchronization

/// Blobs by their digest: immutable, whole, verified.
///
/// A blob is absent, being written (an `Ingest`, which nobody can find), or committed. It is hashed while it is written; `commit` checks digest
/// and size, syncs the file, renames it to its digest and syncs the directory, in this order, so a name never stands for less than the
/// whole blob, power cut or not. An ingest that is dropped deletes its file; those that a crash left are swept by `recover`.
///
/// Files:
///
///     <data-root>/content/sha256/<hex>     blobs, mode 0400
///     <data-root>/content/ingest/<n>       being written
///     <data-root>/content/ingest/sha256-<hex>   being pulled: kept for a day when the process dies, and gone on with
///     <data-root>/content/quarantine/…     what a check found damaged; never deleted by us
///
/// The file system's rename is the only point of agreement: two writers of one blob both succeed. One `Mutex` over who writes which partial file.
/// Every call may wait for the disk.
///
/// Must not: know what a blob means or who needs it: its owners keep that in the database and call `remove`.
public final class ContentStore: Sendable {
  /// `<data-root>/content`
  public let root: String
  let blobs: String
  let ingests: String
  /// Digests whose partial file somebody writes.
  private let claims = Mutex<Set<Digest>>([])

  /// Makes the directories that are missing, readable by root alone: images can hold secrets.
  public init(root: String) throws(EngineError) {
    self.root = root
    blobs = root + "/sha256"
    ingests = root + "/ingest"
    do throws(SyscallError) {
      for directory in [root, blobs, ingests] { try Sys.mkdirAll(directory, mode: 0o700) }
    } catch { throw .system("open the content store: \(error)", cause: error) }
  }

  public func path(_ digest: Digest) -> String { "\(blobs)/\(digest.hex)" }

  public func contains(_ digest: Digest) -> Bool { Sys.exists(path(digest)) }

  /// For reading, with its size in bytes. Throws `.notFound`.
  public func open(_ digest: Digest) throws(EngineError) -> (file: SharedDescriptor, size: Int64) {
    do throws(SyscallError) {
      let file = SharedDescriptor(try Sys.open(path(digest), O_RDONLY | O_NOFOLLOW))
      return (file, Int64(try Sys.fstat(file.raw).st_size))
    } catch {
      if error.errno == .noSuchFile { throw .notFound("content \(digest): not found") }
      throw .system("open content \(digest): \(error)", cause: error)
    }
  }

  /// A whole small blob (a configuration, a manifest), verified once more. Throws `.notFound`.
  public func read(_ digest: Digest, limit: Int = 16 << 20) throws(EngineError) -> [UInt8] {
    let (file, _) = try open(digest)
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try Sys.readAll(file.raw, limit: limit) } catch {
      throw .system("read content \(digest): \(error)", cause: error)
    }
    guard Ingest.digest(of: bytes) == digest else {
      throw .system("content \(digest) is damaged: it has another digest")
    }
    return bytes
  }

  /// Begins a blob whose digest may be known only at its end.
  public func ingest() throws(EngineError) -> Ingest { try Ingest(store: self) }

  /// The same for a blob that comes from a registry. What an earlier process has of it is kept: see `Ingest.existing`. `limit`: the blob's
  /// size. Somebody else's at the same time is an ingest like any other.
  public func ingest(for digest: Digest, limit: Int64) throws(EngineError) -> Ingest {
    guard claims.withLock({ $0.insert(digest).inserted }) else { return try Ingest(store: self) }
    return try Ingest(store: self, resuming: digest, limit: limit)
  }

  func release(_ digest: Digest) { claims.withLock { _ = $0.remove(digest) } }

  static func partialName(_ digest: Digest) -> String { "sha256-\(digest.hex)" }

  /// How long what is half there is kept, in seconds.
  private static let partialAge: Int64 = 24 * 3600

  private func isRecentPartial(_ entry: Sys.DirectoryEntry, at directory: Int32) throws(SyscallError) -> Bool {
    guard entry.name.hasPrefix("sha256-"), Digest(hex: String(entry.name.dropFirst(7))) != nil else { return false }
    let written = Int64(try Sys.status(entry.name, at: directory, flags: AT_SYMLINK_NOFOLLOW).st_mtim.tv_sec)
    return Sys.realtimeNanoseconds() / 1_000_000_000 - written < Self.partialAge
  }

  /// A whole small blob from memory; committed and durable when this returns.
  @discardableResult
  public func write(_ bytes: [UInt8]) throws(EngineError) -> Digest {
    let digest = Ingest.digest(of: bytes)
    if contains(digest) { return digest }
    let ingest = try ingest()
    let failure: EngineError? = bytes.withUnsafeBytes { buffer in
      do throws(EngineError) {
        try ingest.write(buffer)
        return nil
      } catch { return error }
    }
    if let failure { throw failure }
    return try ingest.commit(expecting: digest)
  }

  /// Absent is success. The owners' records must be gone before.
  public func remove(_ digest: Digest) throws(EngineError) {
    do throws(SyscallError) { try Sys.unlink(path(digest)) } catch {
      guard error.errno == .noSuchFile else { throw .system("remove content \(digest): \(error)", cause: error) }
    }
  }

  /// Makes renames so far durable.
  func syncNames() throws(EngineError) {
    do throws(SyscallError) { try Sys.syncDirectory(blobs) } catch {
      throw .system("sync the content store: \(error)", cause: error)
    }
  }

  /// Once, at start, before anything is written: deletes abandoned ingests, and blobs that nobody owns. Answers what is missing of the owned.
  /// A name that isn't a digest is left alone: we didn't make it.
  public func recover(owned: Set<Digest>) throws(EngineError) -> Set<Digest> {
    do throws(SyscallError) {
      let directory = try Sys.open(ingests, O_RDONLY | O_DIRECTORY)
      for entry in try Sys.entries(directory.raw) where try !isRecentPartial(entry, at: directory.raw) {
        try Sys.removeTree(entry.name, at: directory.raw)
      }
      var missing = owned
      let blobDirectory = try Sys.open(blobs, O_RDONLY | O_DIRECTORY)
      for entry in try Sys.entries(blobDirectory.raw) {
        guard let digest = Digest(hex: entry.name) else { continue }
        if missing.remove(digest) == nil { try Sys.unlink(entry.name, at: blobDirectory.raw) }
      }
      return missing
    } catch { throw .system("recover the content store: \(error)", cause: error) }
  }
}
