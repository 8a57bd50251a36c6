import GRDB

extension Metadata {
  static func migrate(_ queue: DatabaseQueue) throws {
    var migrator = DatabaseMigrator()
    migrator.registerMigration("1: containers, images, layers, volumes, networks") { db in
      try db.execute(
        sql: """
          CREATE TABLE meta (key TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
          CREATE TABLE containers (
            id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, image TEXT NOT NULL, created INTEGER NOT NULL,
            config TEXT NOT NULL, state TEXT NOT NULL);
          CREATE INDEX containers_image ON containers(image);
          CREATE TABLE images (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL);
          CREATE TABLE image_names (
            name TEXT NOT NULL PRIMARY KEY, image TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE) WITHOUT ROWID;
          CREATE INDEX image_names_image ON image_names(image);
          CREATE TABLE layers (id TEXT NOT NULL PRIMARY KEY, record TEXT NOT NULL);
          CREATE TABLE volumes (name TEXT NOT NULL PRIMARY KEY, created INTEGER NOT NULL, record TEXT NOT NULL);
          CREATE TABLE networks (id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, record TEXT NOT NULL);
          """)
    }
    // The first table knew volumes by their names alone; nothing was ever written into it.
    migrator.registerMigration("volumes: an id that stays and a name that may change") { db in
      try db.execute(
        sql: """
          DROP TABLE volumes;
          CREATE TABLE volumes (
            id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, record TEXT NOT NULL)
            WITHOUT ROWID;
          """)
    }
    if try queue.read(migrator.hasBeenSuperseded) {
      throw DatabaseError(message: "it was made by a newer version of Berth")
    }
    try migrator.migrate(queue)
  }
}
