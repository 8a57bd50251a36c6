import GRDB

extension MetadataTransaction {
  /// Images' records by id, JSON.
  public func images() throws -> [(id: String, record: String)] {
    try Row.fetchAll(db, sql: "SELECT id, record FROM images ORDER BY id").map { ($0[0], $0[1]) }
  }

  /// Names (tagged or with a digest) and the images that they stand for.
  public func imageNames() throws -> [(name: String, image: String)] {
    try Row.fetchAll(db, sql: "SELECT name, image FROM image_names ORDER BY name").map { ($0[0], $0[1]) }
  }

  /// Adds or replaces.
  public func putImage(_ id: String, record: String) throws {
    try db.execute(
      sql: "INSERT INTO images (id, record) VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET record = excluded.record",
      arguments: [id, record])
  }

  /// Its names go too.
  public func deleteImage(_ id: String) throws {
    try db.execute(sql: "DELETE FROM images WHERE id = ?", arguments: [id])
  }

  /// Points a name at an image, which must exist; a name that stood for another moves.
  public func setImageName(_ name: String, image: String) throws {
    try db.execute(
      sql: "INSERT INTO image_names (name, image) VALUES (?, ?) ON CONFLICT(name) DO UPDATE SET image = excluded.image",
      arguments: [name, image])
  }

  public func deleteImageName(_ name: String) throws {
    try db.execute(sql: "DELETE FROM image_names WHERE name = ?", arguments: [name])
  }

  /// Layers' records by diff id, JSON.
  public func layers() throws -> [(id: String, record: String)] {
    try Row.fetchAll(db, sql: "SELECT id, record FROM layers ORDER BY id").map { ($0[0], $0[1]) }
  }

  /// Adds or replaces.
  public func putLayer(_ id: String, record: String) throws {
    try db.execute(
      sql: "INSERT INTO layers (id, record) VALUES (?, ?) ON CONFLICT(id) DO UPDATE SET record = excluded.record",
      arguments: [id, record])
  }

  public func deleteLayer(_ id: String) throws {
    try db.execute(sql: "DELETE FROM layers WHERE id = ?", arguments: [id])
  }
}
