import OCI

/// Blobs by their digest: immutable, whole, verified.
///
/// A blob is absent, being written (an `Ingest`, which nobody can find), or committed. It is hashed while it is written; `commit` checks digest
/// and size, syncs the file, renames it to its digest and syncs the directory, in this order, so a name never stands for less than the
/// whole blob, power cut or not. An ingest that is dropped deletes its file; those that a crash left are swept by `recover`.
///
/// Files:
///
///     <data-root>/content/sha256/<hex>     blobs
///     <data-root>/content/ingest/<n>       being written
///
/// No locks: the file system's rename is the only point of agreement. Two writers of one blob both succeed.
///
/// Must not: know what a blob means or who needs it: its owners keep that in the database and call `remove`.
public final class ContentStore: Sendable {
  /// `<data-root>/content`
  public let root: String

  /// Makes the directories that are missing.
  public init(root: String) throws {
    self.root = root
  }
}
