import Archive
import CLinux
import Kernel
import OCI
import Testing

@Suite struct LayerUnpackerTests {
  @Test func filesDirectoriesAndLinks() throws {
    let scratch = try Scratch()
    let result = try scratch.unpack(
      Tar.archive(
        Tar.directory("./"), Tar.directory("etc/", mode: 0o700), Tar.file("etc/passwd", "root", mode: 0o4755),
        Tar.link("etc/link", to: "/nowhere"), Tar.hardLink("hard", to: "etc/passwd")))
    #expect(result.members == 5)
    #expect(result.size == 4)
    #expect(result.hasRoot)
    #expect(try scratch.text("etc/passwd") == "root")
    #expect(try scratch.status("etc/passwd").st_mode & 0o7777 == 0o4755)
    #expect(try scratch.status("etc").st_mode & 0o7777 == 0o700)
    #expect(try scratch.status("etc").st_mtim.tv_sec == 1_000_000_000)
    #expect(try Sys.readlink("\(scratch.path)/etc/link") == "/nowhere")
    #expect(try scratch.status("hard").st_nlink == 2)
  }

  @Test func ownersModesTimesAndDevices() throws {
    let scratch = try Scratch()
    var tar = Tar()
    try tar.add(.directory, "d", mode: 0o1777) { entry in
      entry.uid = 1234
      entry.gid = 4_000_000_000
      entry.modified = Timestamp(seconds: -5, nanoseconds: 250_000_000)
    }
    try tar.add(.file, "d/suid", mode: 0o6711) { $0.uid = 99 }
    try tar.add(.characterDevice, "null", mode: 0o666) { ($0.deviceMajor, $0.deviceMinor) = (1, 3) }
    try tar.add(.blockDevice, "loop", mode: 0o660) { ($0.deviceMajor, $0.deviceMinor) = (7, 300) }
    try tar.add(.fifo, "pipe", mode: 0o600)
    try tar.add(.symbolicLink, "link", linkName: "x") { $0.uid = 77 }
    try _ = scratch.unpack(tar.finished())
    let directory = try scratch.status("d")
    #expect(directory.st_mode & 0o7777 == 0o1777)
    #expect((directory.st_uid, directory.st_gid) == (1234, 4_000_000_000))
    #expect((directory.st_mtim.tv_sec, directory.st_mtim.tv_nsec) == (-5, 250_000_000))
    #expect(try scratch.status("d/suid").st_mode & 0o7777 == 0o6711)
    #expect(try scratch.status("null").st_rdev == dev_t(cl_makedev(1, 3)))
    #expect(try scratch.status("loop").st_rdev == dev_t(cl_makedev(7, 300)))
    #expect(try scratch.status("pipe").fileType == .fifo)
    #expect(try scratch.status("link").st_uid == 77)
    #expect(try scratch.status("link").st_mtim.tv_sec == 1_000_000_000)
  }

  @Test func attributesAndCapabilities() throws {
    let scratch = try Scratch()
    // cap_net_raw+ep, version 2
    let capability: [UInt8] = [1, 0, 0, 2, 0, 32, 0, 0] + [UInt8](repeating: 0, count: 12)
    var tar = Tar()
    try tar.add(.file, "ping", mode: 0o755, data: [1]) {
      $0.uid = 5
      $0.attributes = [(Array("security.capability".utf8), capability), (Array("user.note".utf8), [0, 1, 255])]
    }
    try tar.add(.directory, "d") { $0.attributes = [(Array("user.d".utf8), [])] }
    let result = try scratch.unpack(tar.finished())
    #expect(result.warnings.isEmpty)
    #expect(attribute("\(scratch.path)/ping", "security.capability") == capability)
    #expect(attribute("\(scratch.path)/ping", "user.note") == [0, 1, 255])
    #expect(attribute("\(scratch.path)/d", "user.d") == [])
  }

  private func attribute(_ path: String, _ name: String) -> [UInt8]? {
    var value = [UInt8](repeating: 0, count: 256)
    let count = lgetxattr(path, name, &value, value.count)
    return count < 0 ? nil : Array(value.prefix(count))
  }

  @Test func whiteouts() throws {
    let scratch = try Scratch()
    try _ = scratch.unpack(
      Tar.archive(
        Tar.directory("d"), Tar.file("d/.wh..wh..opq"), Tar.file(".wh.gone"), Tar.file("a/b/.wh.deep"),
        Tar.file(".wh..wh.plnk"),
        // Its own file stays, its own directory becomes opaque, whichever comes first.
        Tar.file("kept"), Tar.file(".wh.kept"), Tar.directory("first"), Tar.file(".wh.first"), Tar.file(".wh.last"),
        Tar.directory("last"), Tar.file(".wh.implied"), Tar.file("implied/x")))
    for name in ["gone", "a/b/deep"] {
      let status = try scratch.status(name)
      #expect(status.fileType == .characterDevice)
      #expect(status.st_rdev == 0)
    }
    #expect(try scratch.text("kept") == "x")
    for name in ["d", "first", "last", "implied"] {
      #expect(attribute("\(scratch.path)/\(name)", "trusted.overlay.opaque") == [UInt8(ascii: "y")])
    }
    #expect(try scratch.text("implied/x") == "x")
    #expect(!scratch.exists("d/.wh..wh..opq"))
    #expect(!scratch.exists(".wh..wh.plnk"))
  }

  @Test func impliedParentsAreOrdinary() throws {
    let scratch = try Scratch()
    let result = try scratch.unpack(Tar.archive(Tar.file("a/b/c")))
    #expect(!result.hasRoot)
    #expect(try scratch.status("a/b").st_mode & 0o7777 == 0o755)
  }

  @Test func aLinkOfTheLayerItselfIsFollowedWithinTheRoot() throws {
    let scratch = try Scratch()
    try _ = scratch.unpack(
      Tar.archive(
        Tar.directory("usr/lib"), Tar.link("lib", to: "usr/lib"), Tar.link("abs", to: "/usr"), Tar.file("lib/x", "1"),
        Tar.file("abs/lib/y", "2"), Tar.link("up", to: "../../../usr"), Tar.file("up/z", "3"),
        Tar.hardLink("lib/h", to: "abs/lib/x")))
    #expect(try scratch.text("usr/lib/x") == "1")
    #expect(try scratch.text("usr/lib/y") == "2")
    #expect(try scratch.text("usr/z") == "3")
    #expect(try scratch.status("usr/lib/x").st_nlink == 2)
  }

  @Test func aLaterMemberReplacesAnEarlierOne() throws {
    let scratch = try Scratch()
    try _ = scratch.unpack(
      Tar.archive(
        Tar.file("a", "1"), Tar.file("a", "2"), Tar.directory("d"), Tar.file("d/x"), Tar.link("d", to: "/tmp"),
        Tar.link("l", to: "a"),
        Tar.file("l", "3"), Tar.directory("m", mode: 0o700), Tar.file("m/x", "4"), Tar.directory("m"),
        Tar.directory("a")))
    #expect(try scratch.status("a").fileType == .directory)
    #expect(try scratch.status("d").fileType == .symbolicLink)
    #expect(try scratch.text("l") == "3")
    #expect(try scratch.text("m/x") == "4")
    #expect(try scratch.status("m").st_mode & 0o777 == 0o755)
  }

  @Test func sparseFilesKeepTheirHoles() throws {
    let scratch = try Scratch()
    var tar = RawTar()
    tar.pax([("GNU.sparse.size", "1073741824"), ("GNU.sparse.map", "0,3,1073741821,3")])
    tar.file("sparse", [1, 2, 3, 4, 5, 6])
    #expect(try scratch.unpack(tar.finished()).size == 1 << 30)
    let status = try scratch.status("sparse")
    #expect(status.st_size == 1 << 30)
    #expect(status.st_blocks < 100)
  }

  @Test func namesOfAnyBytesAndOfAnyDepth() throws {
    let scratch = try Scratch()
    var tar = Tar()
    var entry = TarEntry()
    entry.name = [0xFF, 0xFE, 0x0A]
    entry.mode = 0o644
    try tar.add(entry, data: [1])
    let deep = String(repeating: "dir-of-a-longer-name/", count: 150) + "file"
    try tar.add(.file, deep)
    try tar.add(.hardLink, "deep", linkName: deep)
    try _ = scratch.unpack(tar.finished())
    #expect(try scratch.status("deep").st_nlink == 2)
    let root = try scratch.open()
    var names: [[UInt8]] = []
    try Sys.forEachEntry(root.raw) { name, _ in names.append(Array(String(cString: name).utf8)) }
    #expect(names.count == 3)
  }

  // MARK: hostile archives

  private func refuses(
    _ member: String, _ reason: String, _ archive: [UInt8], outside: String = "/tmp/berth-archive-test-escape"
  ) throws {
    let scratch = try Scratch()
    do {
      _ = try scratch.unpack(archive)
      Issue.record("not refused: \(member)")
    } catch let error as ArchiveError {
      #expect(error.member == member)
      #expect(error.reason.contains(reason), "\(error)")
    }
    #expect(!Sys.exists(outside))
  }

  @Test func refusesPathsThatLeave() throws {
    for name in ["../x", "a/../../x", "a/..", "..", "/../x", "./.."] {
      try refuses(name, "\"..\"", try Tar.archive(Tar.file(name)))
    }
    for name in ["/tmp/berth-archive-test-escape", "//x"] {
      try refuses(name, "absolute", try Tar.archive(Tar.file(name)))
    }
    try refuses("x", "\"..\"", try Tar.archive(Tar.hardLink("x", to: "../../etc/passwd")))
    try refuses("x", "absolute", try Tar.archive(Tar.hardLink("x", to: "/etc/passwd")))
    try refuses(".wh...", "whiteout", try Tar.archive(Tar.file(".wh...")))
    try refuses(".wh.", "whiteout", try Tar.archive(Tar.file(".wh.")))
    try refuses("./", "root", try Tar.archive(Tar.file("./")))
  }

  @Test func refusesWaysThatDontExistInTheLayer() throws {
    try refuses(
      "out/berth-archive-test-escape", "no directory here",
      try Tar.archive(Tar.link("out", to: "/tmp"), Tar.file("out/berth-archive-test-escape")))
    try refuses("loop/x", "no directory here", try Tar.archive(Tar.link("loop", to: "loop"), Tar.file("loop/x")))
    try refuses("f/x", "isn't a directory", try Tar.archive(Tar.file("f"), Tar.file("f/x")))
    try refuses("h", "isn't in this layer", try Tar.archive(Tar.hardLink("h", to: "missing")))
    try refuses(
      "h", "isn't in this layer", try Tar.archive(Tar.link("etc", to: "/etc"), Tar.hardLink("h", to: "etc/passwd")))
    try refuses("h", "directory", try Tar.archive(Tar.directory("d"), Tar.hardLink("h", to: "d")))
  }

  @Test func aLinkIsNeverWrittenThrough() throws {
    let outside = try Scratch()
    try Sys.replaceFile("\(outside.path)/victim", with: Array("safe".utf8), durable: false)
    let scratch = try Scratch()
    try _ = scratch.unpack(
      Tar.archive(
        Tar.link("x", to: "\(outside.path)/victim"), Tar.file("x", "evil"), Tar.link("d", to: outside.path),
        Tar.directory("d"),
        Tar.file("d/victim", "evil"), Tar.link("w", to: outside.path), Tar.hardLink("hl", to: "w"),
        Tar.file("hl", "evil")))
    #expect(try outside.text("victim") == "safe")
    #expect(try Sys.status(outside.path).st_nlink == 2)
    #expect(try scratch.text("d/victim") == "evil")
  }

  @Test func refusesOverlayfsOwnAttributes() throws {
    for name in ["trusted.overlay.redirect", "trusted.overlay.opaque", "user.overlay.metacopy"] {
      var tar = Tar()
      try tar.add(.directory, "d") { $0.attributes = [(Array(name.utf8), [1])] }
      try refuses("d", "overlayfs' own", tar.finished())
    }
  }

  @Test func refusesNamesThatNoFileCanHave() throws {
    let long = String(repeating: "n", count: 256)
    try refuses(long, "255", try Tar.archive(Tar.file(long)))
    let path = String(repeating: "d/", count: 600) + "f"
    let scratch = try Scratch()
    #expect(throws: ArchiveError.self) { try scratch.unpack(Tar.archive(Tar.file(path))) }
    #expect(throws: ArchiveError.self) {
      try scratch.unpack(Tar.archive(Tar.file(String(repeating: "d/", count: 3000) + "f")))
    }
    #expect(throws: ArchiveError.self) {
      try scratch.unpack(Tar.archive(Tar.link("l", to: String(repeating: "x", count: 5000))))
    }
  }
}
