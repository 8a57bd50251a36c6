extension MetadataTransaction {
  public func value(_ key: String) throws -> String? {
    try db.rows("SELECT value FROM meta WHERE key = ?", key) { $0.text(0) }.first
  }

  public func setValue(_ key: String, _ value: String) throws {
    try db.execute(
      "INSERT INTO meta (key, value) VALUES (?, ?) ON CONFLICT(key) DO UPDATE SET value = excluded.value",
      key, value)
  }

  /// Networks' records by id, JSON.
  public func networks() throws -> [(id: String, name: String, record: String)] {
    try db.rows("SELECT id, name, record FROM networks ORDER BY name") {
      ($0.text(0), $0.text(1), $0.text(2))
    }
  }

  /// Adds or replaces.
  public func putNetwork(_ id: String, name: String, record: String) throws {
    try db.execute(
      """
      INSERT INTO networks (id, name, record) VALUES (?, ?, ?)
      ON CONFLICT(id) DO UPDATE SET name = excluded.name, record = excluded.record
      """, id, name, record)
  }

  public func deleteNetwork(_ id: String) throws {
    try db.execute(
      "DELETE FROM networks WHERE id = ?", id)
  }
}
