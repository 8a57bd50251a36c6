import CLinux
import ContentStore
import Errdefs
import Kernel
import OCI
import Testing

@Suite struct ContentStoreTests {
  /// A store in a directory of its own, removed at the end.
  final class Fixture {
    let path: String
    let store: ContentStore

    init() throws {
      var template = Array("/tmp/berth-content-test-XXXXXX".utf8CString)
      guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
      path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
      store = try ContentStore(root: path + "/content")
    }

    deinit { try? Sys.removeTree(path) }

    func names(_ directory: String) throws -> [String] {
      let descriptor = try Sys.open("\(path)/content/\(directory)", O_RDONLY | O_DIRECTORY)
      return try Sys.entries(descriptor.raw).map(\.name).sorted()
    }

    func ingest(_ bytes: [UInt8]) throws -> Ingest {
      let ingest = try store.ingest()
      try bytes.withUnsafeBytes { try ingest.write($0) }
      return ingest
    }
  }

  /// SHA-256 of "hello"
  static let hello = Digest(hex: "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")
  /// SHA-256 of nothing
  static let empty = Digest(hex: "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")

  @Test func aBlobIsNamedByWhatItHolds() throws {
    let fixture = try Fixture()
    let digest = try fixture.store.write(Array("hello".utf8))
    #expect(digest == Self.hello)
    #expect(try fixture.names("sha256") == [digest.hex])
    #expect(try fixture.names("ingest").isEmpty)
    #expect(try fixture.store.read(digest) == Array("hello".utf8))
    #expect(try fixture.store.open(digest).size == 5)
    #expect(try fixture.store.write(Array("hello".utf8)) == digest)
    #expect(try fixture.store.write([]) == Self.empty)
  }

  @Test func itIsWrittenInPieces() throws {
    let fixture = try Fixture()
    let ingest = try fixture.ingest(Array("he".utf8))
    try Array("llo".utf8).withUnsafeBytes { try ingest.write($0) }
    #expect(try fixture.names("sha256").isEmpty)
    #expect(try ingest.commit(expecting: Self.hello, size: 5) == Self.hello)
    #expect(ingest.size == 5)
    #expect(try fixture.names("ingest").isEmpty)
  }

  @Test func aLieIsRefusedAndLeavesNothing() throws {
    let fixture = try Fixture()
    #expect(throws: EngineError.self) { try fixture.ingest([1]).commit(expecting: Self.hello) }
    #expect(throws: EngineError.self) { try fixture.ingest(Array("hello".utf8)).commit(expecting: Self.hello, size: 6) }
    #expect(try fixture.names("sha256").isEmpty)
    #expect(try fixture.names("ingest").isEmpty)
  }

  @Test func whatIsDroppedLeavesNothing() throws {
    let fixture = try Fixture()
    do { _ = try fixture.ingest([UInt8](repeating: 1, count: 20 << 20)) }
    #expect(try fixture.names("ingest").isEmpty)
  }

  @Test func twoWritersOfOneBlobBothSucceed() throws {
    let fixture = try Fixture()
    let (first, second) = (try fixture.ingest([1, 2]), try fixture.ingest([1, 2]))
    #expect(try first.commit() == second.commit())
    #expect(try fixture.names("sha256").count == 1)
  }

  @Test func removalOfWhatIsAbsentSucceeds() throws {
    let fixture = try Fixture()
    let digest = try fixture.store.write([1])
    try fixture.store.remove(digest)
    try fixture.store.remove(digest)
    #expect(!fixture.store.contains(digest))
    #expect(throws: EngineError.self) { try fixture.store.read(digest) }
  }

  @Test func recoverySweepsWhatNobodyOwns() throws {
    let fixture = try Fixture()
    let (owned, stray) = (try fixture.store.write([1]), try fixture.store.write([2]))
    try Sys.replaceFile("\(fixture.path)/content/ingest/77", with: [1], durable: false)
    try Sys.replaceFile("\(fixture.path)/content/sha256/README", with: [1], durable: false)
    let lost = try #require(Self.hello)
    #expect(try fixture.store.recover(owned: [owned, lost]) == [lost])
    #expect(fixture.store.contains(owned))
    #expect(!fixture.store.contains(stray))
    #expect(try fixture.names("ingest").isEmpty)
    #expect(try fixture.names("sha256") == [owned.hex, "README"].sorted())
  }

  @Test func damageIsTold() throws {
    let fixture = try Fixture()
    let digest = try fixture.store.write([1, 2, 3])
    try Sys.replaceFile(fixture.store.path(digest), with: [1, 2, 4], durable: false)
    #expect(throws: EngineError.self) { try fixture.store.read(digest) }
  }
}
