import GRDB

/// A container's row.
public struct ContainerRecord: Sendable, Equatable {
  public var id: String
  public var name: String
  /// `sha256:…`
  public var image: String
  /// Nanoseconds since 1970.
  public var created: Int64
  /// JSON.
  public var config: String
  /// JSON.
  public var state: String

  public init(id: String, name: String, image: String, created: Int64, config: String, state: String) {
    self.id = id
    self.name = name
    self.image = image
    self.created = created
    self.config = config
    self.state = state
  }
}

extension MetadataTransaction {
  /// Oldest first.
  public func containers() throws -> [ContainerRecord] {
    try Row.fetchAll(db, sql: "SELECT id, name, image, created, config, state FROM containers ORDER BY created, id").map
    {
      ContainerRecord(id: $0[0], name: $0[1], image: $0[2], created: $0[3], config: $0[4], state: $0[5])
    }
  }

  /// A taken id or name is a conflict.
  public func insert(_ record: ContainerRecord) throws {
    try db.cachedStatement(
      sql: "INSERT INTO containers (id, name, image, created, config, state) VALUES (?, ?, ?, ?, ?, ?)"
    ).execute(arguments: [record.id, record.name, record.image, record.created, record.config, record.state])
  }

  /// Nothing happens when the row is gone.
  public func updateContainer(_ id: String, state: String) throws {
    try db.cachedStatement(sql: "UPDATE containers SET state = ? WHERE id = ?").execute(arguments: [state, id])
  }

  public func updateContainer(_ id: String, name: String, config: String, state: String) throws {
    try db.cachedStatement(sql: "UPDATE containers SET name = ?, config = ?, state = ? WHERE id = ?")
      .execute(arguments: [name, config, state, id])
  }

  public func deleteContainer(_ id: String) throws {
    try db.cachedStatement(sql: "DELETE FROM containers WHERE id = ?").execute(arguments: [id])
  }
}
