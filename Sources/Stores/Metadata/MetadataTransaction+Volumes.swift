import GRDB

/// A volume's row.
public struct VolumeRecord: Sendable, Equatable {
  /// 64 hexadecimal digits; stays for the volume's life.
  public var id: String
  /// Unique at any time, but may change.
  public var name: String
  /// Nanoseconds since 1970.
  public var created: Int64
  /// JSON.
  public var record: String

  public init(id: String, name: String, created: Int64, record: String) {
    self.id = id
    self.name = name
    self.created = created
    self.record = record
  }
}

extension MetadataTransaction {
  /// By name.
  public func volumes() throws -> [VolumeRecord] {
    try Row.fetchAll(db, sql: "SELECT id, name, created, record FROM volumes ORDER BY name").map {
      VolumeRecord(id: $0[0], name: $0[1], created: $0[2], record: $0[3])
    }
  }

  /// A taken id or name is a conflict.
  public func insert(_ volume: VolumeRecord) throws {
    try db.cachedStatement(sql: "INSERT INTO volumes (id, name, created, record) VALUES (?, ?, ?, ?)")
      .execute(arguments: [volume.id, volume.name, volume.created, volume.record])
  }

  /// Nothing happens when the row is gone; a taken name is a conflict.
  public func updateVolume(_ id: String, name: String, record: String) throws {
    try db.execute(
      sql: "UPDATE volumes SET name = ?, record = ? WHERE id = ?", arguments: [name, record, id])
  }

  public func deleteVolume(_ id: String) throws {
    try db.execute(sql: "DELETE FROM volumes WHERE id = ?", arguments: [id])
  }
}
