import CSQLite

/// One connection to SQLite and its compiled statements. Not for two threads at once: `Metadata` calls it on one queue.
///
/// Own, since the common library for it brings full Foundation with it: 40 MB of program, and 8 MB of memory at rest.
final class Database {
  private let connection: OpaquePointer
  private var statements: [String: OpaquePointer] = [:]
  /// While a reading transaction runs: a statement that writes is refused.
  private var readOnly = false

  /// Opens or makes the file. Nothing of it is read yet.
  init(path: String) throws {
    var opened: OpaquePointer?
    // Without SQLite's own locks: there is one thread at a time.
    let code = sqlite3_open_v2(
      path, &opened, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, nil)
    guard let opened else { throw DatabaseError(code: code, message: "out of memory", sql: nil) }
    guard code == SQLITE_OK else {
      defer { sqlite3_close_v2(opened) }
      throw DatabaseError(code: code, message: String(cString: sqlite3_errmsg(opened)), sql: nil)
    }
    connection = opened
    sqlite3_extended_result_codes(opened, 1)
    sqlite3_busy_timeout(opened, 5000)
  }

  deinit {
    for statement in statements.values { sqlite3_finalize(statement) }
    sqlite3_close_v2(connection)
  }

  /// Statements without arguments and without results, separated by `;`: the schema, pragmas.
  func execute(script: String) throws {
    guard sqlite3_exec(connection, script, nil, nil, nil) == SQLITE_OK else {
      throw failure(script)
    }
  }

  /// One statement; results are left out.
  func execute(_ sql: String, _ arguments: any DatabaseValue...) throws {
    try run(sql, arguments) { _ in }
  }

  /// The rows of one statement, in its order.
  func rows<T>(_ sql: String, _ arguments: any DatabaseValue..., row: (Row) throws -> T) throws
    -> [T]
  {
    var result: [T] = []
    try run(sql, arguments) { result.append(try row($0)) }
    return result
  }

  /// `BEGIN`, `body`, `COMMIT`; an error rolls back.
  func writing<T>(_ body: () throws -> T) throws -> T {
    try execute("BEGIN IMMEDIATE")
    do {
      let result = try body()
      try execute("COMMIT")
      return result
    } catch {
      // Some errors have rolled back already (a full disk); then there is no transaction any more.
      if sqlite3_get_autocommit(connection) == 0 { try? execute("ROLLBACK") }
      throw error
    }
  }

  /// Sees one state of the database; a statement that writes fails.
  func reading<T>(_ body: () throws -> T) throws -> T {
    readOnly = true
    defer { readOnly = false }
    return try body()
  }

  private func run(_ sql: String, _ arguments: [any DatabaseValue], _ row: (Row) throws -> Void)
    throws
  {
    let statement = try prepared(sql)
    // A statement that isn't reset keeps its locks.
    defer {
      sqlite3_reset(statement)
      sqlite3_clear_bindings(statement)
    }
    for (index, argument) in arguments.enumerated() {
      guard argument.bind(statement, Int32(index + 1)) == SQLITE_OK else { throw failure(sql) }
    }
    while true {
      switch sqlite3_step(statement) {
      case SQLITE_ROW: try row(Row(statement: statement))
      case SQLITE_DONE: return
      default: throw failure(sql)
      }
    }
  }

  private func prepared(_ sql: String) throws -> OpaquePointer {
    if let statement = statements[sql] {
      try checkReading(statement, sql)
      return statement
    }
    var made: OpaquePointer?
    let code = sqlite3_prepare_v3(
      connection, sql, -1, UInt32(SQLITE_PREPARE_PERSISTENT), &made, nil)
    guard code == SQLITE_OK, let made else { throw failure(sql) }
    statements[sql] = made
    try checkReading(made, sql)
    return made
  }

  private func checkReading(_ statement: OpaquePointer, _ sql: String) throws {
    guard !readOnly || sqlite3_stmt_readonly(statement) != 0 else {
      throw DatabaseError(
        code: SQLITE_READONLY, message: "attempt to write in a transaction that reads", sql: sql)
    }
  }

  private func failure(_ sql: String) -> DatabaseError {
    DatabaseError(
      code: sqlite3_extended_errcode(connection),
      message: String(cString: sqlite3_errmsg(connection)), sql: sql)
  }
}

/// What SQLite says.
struct DatabaseError: Error, CustomStringConvertible {
  /// Extended: the lowest byte is the primary code.
  var code: Int32
  var message: String
  var sql: String?

  var isConstraint: Bool { code & 0xff == SQLITE_CONSTRAINT }

  var description: String {
    "SQLite error \(code): \(message)" + (sql.map { " - while executing `\($0)`" } ?? "")
  }
}

/// What a `?` of a statement can stand for.
protocol DatabaseValue {
  /// SQLite's result code.
  func bind(_ statement: OpaquePointer, _ index: Int32) -> Int32
}

extension String: DatabaseValue {
  func bind(_ statement: OpaquePointer, _ index: Int32) -> Int32 {
    var text = self
    return text.withUTF8 { bytes in
      guard let length = Int32(exactly: bytes.count) else { return SQLITE_TOOBIG }
      return bytes.withMemoryRebound(to: CChar.self) {
        cs_bind_text(statement, index, $0.baseAddress, length)
      }
    }
  }
}

extension Int64: DatabaseValue {
  func bind(_ statement: OpaquePointer, _ index: Int32) -> Int32 {
    sqlite3_bind_int64(statement, index, self)
  }
}

/// One row, while its statement stands on it.
struct Row {
  fileprivate let statement: OpaquePointer

  /// Text; `NULL` is empty (no column may be `NULL`).
  func text(_ column: Int32) -> String {
    guard let bytes = sqlite3_column_text(statement, column) else { return "" }
    let count = Int(sqlite3_column_bytes(statement, column))
    return String(decoding: UnsafeBufferPointer(start: bytes, count: count), as: UTF8.self)
  }

  func integer(_ column: Int32) -> Int64 { sqlite3_column_int64(statement, column) }
}
