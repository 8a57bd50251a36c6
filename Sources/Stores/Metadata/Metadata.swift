import Errdefs
import GRDB
import Kernel
import Synchronization

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
  let queue: DatabaseQueue
  private let closed = Mutex(false)

  /// Opens or makes the database and brings its schema up to date. Blocks.
  public init(path: String) throws {
    var configuration = Configuration()
    configuration.label = "metadata"
    configuration.journalMode = .wal
    configuration.busyMode = .timeout(5)
    configuration.prepareDatabase { db in
      try db.execute(sql: "PRAGMA synchronous = NORMAL")
      try db.execute(sql: "PRAGMA journal_size_limit = 8388608")
    }
    do {
      try Self.close(path)
      queue = try DatabaseQueue(path: path, configuration: configuration)
      try Self.migrate(queue)
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

  /// A consistent view.
  public func read<T: Sendable>(_ body: @escaping @Sendable (MetadataTransaction) throws -> T) async throws -> T {
    do {
      return try await queue.read { try body(self.transaction($0)) }
    } catch let error as DatabaseError { throw Self.failure("read", error) }
  }

  /// All or nothing: an error rolls back. Transactions run one after another in the order of the calls.
  public func write<T: Sendable>(
    durable: Bool = false, _ body: @escaping @Sendable (MetadataTransaction) throws -> T
  ) async throws -> T {
    do {
      if !durable { return try await queue.write { try body(self.transaction($0)) } }
      return try await queue.writeWithoutTransaction { try self.durably($0, body) }
    } catch let error as DatabaseError { throw Self.failure("write", error) }
  }

  private func durably<T>(_ db: Database, _ body: (MetadataTransaction) throws -> T) throws -> T {
    try db.execute(sql: "PRAGMA synchronous = FULL")
    defer { try? db.execute(sql: "PRAGMA synchronous = NORMAL") }
    var result: T?
    try db.inTransaction {
      result = try body(transaction(db))
      return .commit
    }
    guard let result else { throw EngineError.system("write the database: the transaction had no result") }
    return result
  }

  /// What SQLite finds wrong with the file (`PRAGMA integrity_check`); empty: nothing. Blocks.
  public func check() throws -> [String] {
    do {
      return try queue.read { try String.fetchAll($0, sql: "PRAGMA integrity_check(20)") }.filter { $0 != "ok" }
    } catch let error as DatabaseError { throw Self.failure("check", error) }
  }

  /// As `read` and `write`, for start-up code and threads that may block.
  public func readBlocking<T>(_ body: (MetadataTransaction) throws -> T) throws -> T {
    do { return try queue.read { try body(self.transaction($0)) } } catch let error as DatabaseError {
      throw Self.failure("read", error)
    }
  }

  public func writeBlocking<T>(durable: Bool = false, _ body: (MetadataTransaction) throws -> T) throws -> T {
    do {
      if !durable { return try queue.write { try body(self.transaction($0)) } }
      return try queue.writeWithoutTransaction { try durably($0, body) }
    } catch let error as DatabaseError { throw Self.failure("write", error) }
  }

  /// Folds the write-ahead log into the database; whoever calls afterwards gets an error. The connection itself goes with the last
  /// reference: the library doesn't bear calls on one that is closed.
  public func close() throws {
    try queue.writeWithoutTransaction { db in
      _ = try db.checkpoint(.truncate)
      closed.withLock { $0 = true }
    }
  }

  /// On the queue.
  private func transaction(_ db: Database) throws -> MetadataTransaction {
    guard !closed.withLock({ $0 }) else { throw EngineError.system("the database is closed") }
    return MetadataTransaction(db: db)
  }

  private static func failure(_ operation: String, _ error: DatabaseError) -> EngineError {
    let kind: EngineError.Kind = error.resultCode == .SQLITE_CONSTRAINT ? .conflict : .system
    return EngineError(
      kind, "\(operation) the database: \(error.message ?? error.resultCode.description)", cause: error)
  }
}

/// One transaction, for the time of the closure that it is given to.
public struct MetadataTransaction {
  let db: Database
}
