import Errdefs
import GRDB
import Kernel
import Metadata
import Testing

@Suite struct MetadataTests {
  private func withDatabase<T>(_ body: (String) async throws -> T) async throws -> T {
    let directory = "/tmp/berth-metadata-\(UInt64.random(in: 0 ... .max))"
    try Sys.mkdir(directory)
    defer { try? Sys.removeTree(directory) }
    return try await body(directory + "/berth.db")
  }

  private func record(_ id: String, _ name: String) -> ContainerRecord {
    ContainerRecord(id: id, name: name, image: "sha256:1", created: 5, config: "{}", state: "{\"status\":\"created\"}")
  }

  @Test func rowsOutliveTheConnection() async throws {
    try await withDatabase { path in
      do {
        let metadata = try Metadata(path: path)
        try await metadata.write { try $0.insert(self.record("a", "one")) }
        try metadata.close()
      }
      let again = try Metadata(path: path)
      #expect(try await again.read { try $0.containers() } == [record("a", "one")])
    }
  }

  @Test func aTakenNameIsAConflictAndChangesNothing() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      try await metadata.write { try $0.insert(self.record("a", "one")) }
      let error = await #expect(throws: EngineError.self) {
        try await metadata.write { transaction in
          try transaction.insert(self.record("c", "three"))
          try transaction.insert(self.record("b", "one"))
        }
      }
      #expect(error?.kind == .conflict)
      #expect(try await metadata.read { try $0.containers().map(\.id) } == ["a"])
    }
  }

  @Test func updatesAndDeletes() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      try await metadata.write { try $0.insert(self.record("a", "one")) }
      try await metadata.write { try $0.updateContainer("a", state: "{\"status\":\"running\"}") }
      try await metadata.write { try $0.updateContainer("a", name: "two", config: "{\"x\":1}", state: "{}") }
      let found = try #require(try await metadata.read { try $0.containers().first })
      #expect(found.name == "two" && found.config == "{\"x\":1}" && found.state == "{}")
      try await metadata.write { try $0.deleteContainer("a") }
      #expect(try await metadata.read { try $0.containers() }.isEmpty)
    }
  }

  @Test func durableWritesReturnAndRollBack() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      try await metadata.write(durable: true) { transaction in
        try transaction.putImage("sha256:1", record: "{}")
        try transaction.setImageName("docker.io/library/x:1", image: "sha256:1")
      }
      struct Stop: Error {}
      await #expect(throws: Stop.self) {
        try await metadata.write(durable: true) { transaction in
          try transaction.putImage("sha256:2", record: "{}")
          throw Stop()
        }
      }
      #expect(try await metadata.read { try $0.images().map(\.id) } == ["sha256:1"])
      try await metadata.write(durable: true) { try $0.deleteImage("sha256:1") }
      #expect(try await metadata.read { try $0.imageNames() }.isEmpty, "names go with their image")
    }
  }

  @Test func aDatabaseThatIsNoDatabaseIsRefusedAndKept() async throws {
    try await withDatabase { path in
      try Sys.replaceFile(path, with: Array(repeating: UInt8(ascii: "x"), count: 5000), durable: false)
      #expect(throws: EngineError.self) { try Metadata(path: path) }
      #expect(try Sys.readFile(path).count == 5000)
    }
  }

  @Test func aReadingTransactionThatWritesIsRefused() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      await #expect(throws: EngineError.self) { try await metadata.read { try $0.setValue("id", "1") } }
      try await metadata.write { try $0.setValue("id", "2") }
      #expect(try await metadata.read { try $0.value("id") } == "2")
      await #expect(throws: EngineError.self) { try await metadata.read { try $0.setValue("id", "3") } }
      #expect(try await metadata.read { try $0.value("id") } == "2")
    }
  }

  @Test func textOfAnyKindComesBackAsItWasOrIsRefused() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      let texts = ["", "ä \u{1F433}", "'; DROP TABLE meta; --", String(repeating: "x", count: 100_000)]
      for (index, text) in texts.enumerated() {
        try await metadata.write { try $0.setValue("\(index)", text) }
        #expect(try await metadata.read { try $0.value("\(index)") } == text)
      }
      await #expect(throws: EngineError.self) { try await metadata.write { try $0.setValue("9", "a\u{0}b") } }
      #expect(try await metadata.read { try $0.value("9") } == nil)
    }
  }

  @Test func aDatabaseOfANewerBerthIsRefusedAndAClosedOneSaysSo() async throws {
    try await withDatabase { path in
      let metadata = try Metadata(path: path)
      try metadata.close()
      await #expect(throws: EngineError.self) { try await metadata.read { try $0.containers() } }
      try addMigration("something of tomorrow", path)
      let error = #expect(throws: EngineError.self) { try Metadata(path: path) }
      #expect(error?.message.contains("newer version of Berth") == true)
    }
  }

  private func addMigration(_ name: String, _ path: String) throws {
    let queue = try DatabaseQueue(path: path)
    try queue.write { try $0.execute(sql: "INSERT INTO grdb_migrations VALUES (?)", arguments: [name]) }
    try queue.close()
  }
}
