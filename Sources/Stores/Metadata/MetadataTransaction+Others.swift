import Errdefs
import GRDB

extension MetadataTransaction {
  public func value(_ key: String) throws -> String? {
    try String.fetchOne(db, sql: "SELECT value FROM meta WHERE key = ?", arguments: [key])
  }

  /// Text with a NUL is refused: the library would keep what is before it. (Records are JSON, which escapes it.)
  public func setValue(_ key: String, _ value: String) throws {
    guard !value.utf8.contains(0) else { throw EngineError.invalidParameter("the value of \(key) has a NUL in it") }
    try db.execute(
      sql: "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      arguments: [key, value])
  }

  /// Networks' records by id, JSON.
  public func networks() throws -> [(id: String, name: String, record: String)] {
    try Row.fetchAll(db, sql: "SELECT id, name, record FROM networks ORDER BY name").map { ($0[0], $0[1], $0[2]) }
  }

  /// Adds or replaces.
  public func putNetwork(_ id: String, name: String, record: String) throws {
    try db.execute(
      sql: """
        INSERT INTO networks (id, name, record) VALUES (?, ?, ?)
        ON CONFLICT(id) DO UPDATE SET name = excluded.name, record = excluded.record
        """, arguments: [id, name, record])
  }

  public func deleteNetwork(_ id: String) throws {
    try db.execute(sql: "DELETE FROM networks WHERE id = ?", arguments: [id])
  }
}
