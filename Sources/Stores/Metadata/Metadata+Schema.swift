/// A change of the schema, under a name that stays.
struct Migration {
  let name: String
  let script: String
}

extension Metadata {
  private static let migrations = [
    Migration(
      name: "1: containers, images, layers, volumes, networks",
      script: """
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
        """),
    // The first table knew volumes by their names alone; nothing was ever written into it.
    Migration(
      name: "volumes: an id that stays and a name that may change",
      script: """
        DROP TABLE volumes;
        CREATE TABLE volumes (
          id TEXT NOT NULL PRIMARY KEY, name TEXT NOT NULL UNIQUE, created INTEGER NOT NULL, record TEXT NOT NULL)
          WITHOUT ROWID;
        """),
  ]

  /// Brings the schema up to date, each migration in one transaction with the line that says so. A database that has had
  /// a migration unknown here is of a newer Berth: refused before anything of it is changed.
  static func migrate(_ db: Database) throws {
    // The table's name is that of the library which wrote the first databases.
    let recorded = try db.rows("SELECT count(*) FROM sqlite_master WHERE name = 'grdb_migrations'") { $0.integer(0) }
    let done =
      recorded == [0]
      ? [] : Set(try db.rows("SELECT identifier FROM grdb_migrations") { $0.text(0) })
    guard done.subtracting(migrations.map(\.name)).isEmpty else {
      throw DatabaseError(code: 0, message: "it was made by a newer version of Berth", sql: nil)
    }
    for migration in migrations where !done.contains(migration.name) {
      try db.writing {
        try db.execute(
          script:
            "CREATE TABLE IF NOT EXISTS grdb_migrations (identifier TEXT NOT NULL PRIMARY KEY)")
        try db.execute(script: migration.script)
        try db.execute("INSERT INTO grdb_migrations (identifier) VALUES (?)", migration.name)
      }
    }
  }
}
