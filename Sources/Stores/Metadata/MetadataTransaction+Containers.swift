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

  public init(
    id: String, name: String, image: String, created: Int64, config: String, state: String
  ) {
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
    try db.rows(
      "SELECT id, name, image, created, config, state FROM containers ORDER BY created, id"
    ) {
      ContainerRecord(
        id: $0.text(0), name: $0.text(1), image: $0.text(2), created: $0.integer(3),
        config: $0.text(4), state: $0.text(5))
    }
  }

  /// A taken id or name is a conflict.
  public func insert(_ record: ContainerRecord) throws {
    try db.execute(
      "INSERT INTO containers (id, name, image, created, config, state) VALUES (?, ?, ?, ?, ?, ?)",
      record.id, record.name, record.image, record.created, record.config, record.state)
  }

  /// Nothing happens when the row is gone.
  public func updateContainer(_ id: String, state: String) throws {
    try db.execute("UPDATE containers SET state = ? WHERE id = ?", state, id)
  }

  public func updateContainer(_ id: String, name: String, config: String, state: String) throws {
    try db.execute(
      "UPDATE containers SET name = ?, config = ?, state = ? WHERE id = ?", name, config, state, id)
  }

  public func deleteContainer(_ id: String) throws {
    try db.execute("DELETE FROM containers WHERE id = ?", id)
  }
}
