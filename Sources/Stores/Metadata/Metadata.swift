import CSQLite
import Dispatch
import Errdefs
import Kernel

/// The engine's database: what exists, and in which state. One SQLite file, written by one connection, in transactions.
///
/// ```
/// <data-root>/berth.db (+ -wal, -shm)
/// ├── meta          key TEXT PRIMARY KEY, value TEXT            the engine's id
/// ├── containers    id TEXT PRIMARY KEY                         64 hexadecimal digits
/// │                 name TEXT UNIQUE, image TEXT (indexed)      without slash; sha256:…
/// │                 created INTEGER                             nanoseconds since 1970
/// │                 config TEXT                                 JSON: all that doesn't change with its state
/// │                 state TEXT                                  JSON: what does; one UPDATE a state change
/// ├── images        id TEXT PRIMARY KEY, record TEXT            sha256:…; JSON
/// ├── image_names   name TEXT PRIMARY KEY, image TEXT (indexed) canonical, tagged or with a digest; → images.id
/// ├── layers        id TEXT PRIMARY KEY, record TEXT            sha256:… diff id; JSON
/// ├── volumes       id TEXT PRIMARY KEY                         64 hexadecimal digits
/// │                 name TEXT UNIQUE, created INTEGER           nanoseconds since 1970
/// │                 record TEXT                                 JSON
/// └── networks      id TEXT PRIMARY KEY, name TEXT UNIQUE, record TEXT
/// ```
///
/// Migrations (`Metadata+Schema.swift`) only ever add; each has a name that stays. A database of a newer Berth is refused, untouched.
///
/// WAL with synchronous NORMAL: a power cut loses at most the last transactions, never consistency. `durable` transactions are synced
/// before they return (synchronous FULL), which also makes those before them durable: for images and volumes coming into being.
///
/// Must not: know what is in the records, or be called while a lock is held: every call may wait for the disk, on a queue of its own.
public final class Metadata: Sendable {
  /// `nil` once it is closed. Touched on `queue` alone.
  private nonisolated(unsafe) var database: Database?  // SAFETY: touched on the serial queue alone, and by init
  private let queue = DispatchQueue(label: "metadata", qos: .userInitiated)

  /// Opens or makes the database and brings its schema up to date. Blocks.
  public init(path: String) throws {
    do {
      try Self.close(path)
      let opened = try Database(path: path)
      try opened.execute(
        script: """
          PRAGMA journal_mode = WAL;
          PRAGMA synchronous = NORMAL;
          PRAGMA journal_size_limit = 8388608;
          """)
      // Off while the schema changes.
      try Self.migrate(opened)
      try opened.execute(script: "PRAGMA foreign_keys = ON")
      database = opened
    } catch {
      throw EngineError.system("open the database \"\(path)\": \(error)", cause: error)
    }
  }

  /// To everybody but its owner: containers' environments are in it, and its name is known (CVE-2021-41091). SQLite gives its other
  /// files the mode of this one.
  private static func close(_ path: String) throws {
    guard Sys.exists(path) else { return try Sys.replaceFile(path, with: [], mode: 0o600, durable: false) }
    for file in [path, path + "-wal", path + "-shm"] where Sys.exists(file) { try Sys.chmod(file, 0o600) }
  }

  /// A consistent view; a statement that writes is refused.
  public func read<T: Sendable>(_ body: @escaping @Sendable (MetadataTransaction) throws -> T)
    async throws -> T
  {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try self.reading(body) }) }
    }
  }

  /// All or nothing: an error rolls back. Transactions run one after another in the order of the calls.
  public func write<T: Sendable>(
    durable: Bool = false, _ body: @escaping @Sendable (MetadataTransaction) throws -> T
  ) async throws -> T {
    try await withCheckedThrowingContinuation { continuation in
      queue.async { continuation.resume(with: Result { try self.writing(durable: durable, body) }) }
    }
  }

  /// What SQLite finds wrong with the file (`PRAGMA integrity_check`); empty: nothing. Blocks.
  public func check() throws -> [String] {
    try queue.sync {
      try explained("check") { db in try db.rows("PRAGMA integrity_check(20)") { $0.text(0) }.filter { $0 != "ok" } }
    }
  }

  /// As `read` and `write`, for start-up code and threads that may block.
  public func readBlocking<T>(_ body: (MetadataTransaction) throws -> T) throws -> T {
    try queue.sync { try reading(body) }
  }

  public func writeBlocking<T>(durable: Bool = false, _ body: (MetadataTransaction) throws -> T)
    throws -> T
  {
    try queue.sync { try writing(durable: durable, body) }
  }

  /// Folds the write-ahead log into the database and closes it. Whoever calls afterwards gets an error.
  public func close() throws { queue.sync { database = nil } }

  // On the queue.

  private func reading<T>(_ body: (MetadataTransaction) throws -> T) throws -> T {
    try explained("read") { db in try db.reading { try body(MetadataTransaction(db: db)) } }
  }

  private func writing<T>(durable: Bool, _ body: (MetadataTransaction) throws -> T) throws -> T {
    try explained("write") { db in
      if durable { try db.execute(script: "PRAGMA synchronous = FULL") }
      defer { if durable { try? db.execute(script: "PRAGMA synchronous = NORMAL") } }
      return try db.writing { try body(MetadataTransaction(db: db)) }
    }
  }

  private func explained<T>(_ operation: String, _ body: (Database) throws -> T) throws -> T {
    guard let database else { throw EngineError.system("\(operation) the database: it is closed") }
    do { return try body(database) } catch let error as DatabaseError {
      throw EngineError(
        error.isConstraint ? .conflict : .system, "\(operation) the database: \(error.message)",
        cause: error)
    }
  }
}

/// One transaction, for the time of the closure that it is given to.
public struct MetadataTransaction {
  let db: Database
}
