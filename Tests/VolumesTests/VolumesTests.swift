import CLinux
import Errdefs
import Events
import Kernel
import Logging
import Metadata
import Testing
import Volumes

/// A data root of the test's own, removed with it.
private final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/berth-volumes-XXXXXX\0".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = String(decoding: template.dropLast(2).map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? Sys.removeTree(path) }

  func open() async throws -> Volumes {
    let volumes = try Volumes(
      configuration: Volumes.Configuration(dataRoot: path), metadata: try Metadata(path: path + "/berth.db"),
      events: Events(), logger: Logger(label: "test"))
    try await volumes.recover()
    return volumes
  }
}

@Suite("volumes on the disk")
struct VolumesTests {
  @Test("a copied tree has the owners, modes, times, attributes, links and holes of its source")
  func copiesEverything() throws {
    let scratch = try Scratch()
    let (from, to) = (scratch.path + "/from", scratch.path + "/to")
    try Sys.mkdirAll(from + "/deep/er")
    try Sys.mkdir(to)
    do {
      let file = try Sys.open(from + "/deep/file", O_RDWR | O_CREAT, mode: 0o600)
      try Sys.writeAll(file.raw, "data")
      try Sys.ftruncate(file.raw, 8 << 20)
      try Sys.fsetxattr(file.raw, "user.note", Array("kept".utf8))
      try Sys.chown(file.raw, 12, 34)
      try Sys.fchmod(file.raw, 0o4711)
    }
    try Sys.link(from + "/deep/file", from + "/hard")
    try Sys.symlink("/absent", from + "/link")
    try Sys.mknod(from + "/pipe", mode: 0o010640, device: 0)
    let source = try Sys.open(from, O_RDONLY | O_DIRECTORY)
    let target = try Sys.open(to, O_RDONLY | O_DIRECTORY)
    try TreeCopy.copy(from: source.raw, to: target.raw)
    let (old, new) = (try Sys.status(from + "/deep/file"), try Sys.status(to + "/deep/file"))
    #expect(new.st_uid == 12 && new.st_gid == 34 && new.st_mode == old.st_mode && new.st_size == 8 << 20)
    #expect(new.st_mtim.tv_sec == old.st_mtim.tv_sec && new.st_mtim.tv_nsec == old.st_mtim.tv_nsec)
    #expect(new.st_blocks < 100, "the hole stays one")
    #expect(new.st_nlink == 2)
    #expect(try Sys.status(to + "/hard").st_ino == new.st_ino)
    #expect(try Sys.readlink(to + "/link") == "/absent")
    #expect(try Sys.status(to + "/pipe").st_mode == 0o010640)
    let copy = try Sys.open(to + "/deep/file")
    #expect(try Sys.attributes(copy.raw).contains { $0.value == Array("kept".utf8) })
  }

  @Test("what a crash leaves: whole volumes are taken in, halves swept, renames and removals finished")
  func recovery() async throws {
    let scratch = try Scratch()
    let root = scratch.path + "/volumes"
    do {
      let volumes = try await scratch.open()
      for name in ["kept", "moved", "lost"] {
        let volume = try await volumes.create(name: name)
        try Sys.replaceFile(volume.mountpoint + "/file", with: Array(name.utf8), durable: false)
      }
    }
    // The database is gone; a rename got as far as the row; a creation was cut short.
    do {
      let metadata = try Metadata(path: scratch.path + "/berth.db")
      let rows = try await metadata.read { try $0.volumes() }
      try await metadata.write { transaction in
        for row in rows {
          if row.name == "lost" { try transaction.deleteVolume(row.id) }
          if row.name == "moved" { try transaction.updateVolume(row.id, name: "renamed", record: row.record) }
        }
      }
      try Sys.mkdirAll(root + "/.new-half/_data")
      try Sys.mkdirAll(root + "/stranger/_data")
    }
    let volumes = try await scratch.open()
    #expect(try volumes.list().map(\.name) == ["kept", "lost", "renamed"])
    for (name, content) in [("kept", "kept"), ("lost", "lost"), ("renamed", "moved")] {
      #expect(try Sys.readFile("\(root)/\(name)/_data/file") == Array(content.utf8))
    }
    #expect(Sys.exists(root + "/stranger/_data"), "what isn't ours is left alone")
    try await volumes.remove("kept")
    #expect(try volumes.list().map(\.name) == ["lost", "renamed"])
    let again = try await scratch.open()
    #expect(again.trash().map(\.volume.name) == ["kept"])
    try await again.undelete("kept")
    #expect(try Sys.readFile(root + "/kept/_data/file") == Array("kept".utf8))
  }

  @Test("a volume that a container holds can't be removed, and one name is made once")
  func uses() async throws {
    let scratch = try Scratch()
    let volumes = try await scratch.open()
    let ids = try await withThrowingTaskGroup(of: String.self) { group in
      for index in 0..<16 {
        group.addTask { try await volumes.acquire(name: "one", containerID: "c\(index)").volume.id }
      }
      return try await group.reduce(into: Set<String>()) { $0.insert($1) }
    }
    #expect(ids.count == 1 && volumes.references(ids.first ?? "") == 16)
    await #expect(throws: EngineError.self) { try await volumes.remove("one") }
    for index in 0..<16 { await volumes.release(containerID: "c\(index)", removing: nil) }
    try await volumes.remove("one")
    #expect(try volumes.list().isEmpty)
  }
}
