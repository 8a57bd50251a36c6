import Archive
import CLinux
import EROFS
import Kernel
import OCI
import Testing

/// The kernel's view of an index is the tree that `tar -x` makes of the same archive.
@Suite struct IndexTests {
  /// A tree with some of everything.
  private func corpus(_ root: String, many: Int) throws {
    func file(_ name: String, _ data: [UInt8], mode: mode_t = 0o644) throws {
      let file = try Sys.open("\(root)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
      try Sys.writeAll(file.raw, data)
      try Sys.fchmod(file.raw, mode)
    }
    try Sys.mkdirAll(root)
    try file("empty", [])
    for size in [1, 511, 512, 513, 4095, 4096, 4097, 70_000, 1_000_001] {
      try file("size\(size)", (0..<size).map { UInt8(truncatingIfNeeded: $0 &* 31 >> 3) })
    }
    try Sys.mkdirAll(root + "/many")
    for index in 0..<many { try file("many/f\(index)", index % 100 == 0 ? [1] : []) }
    try Sys.mkdirAll(root + "/" + (0..<120).map { "deep\($0)" }.joined(separator: "/"))
    try Sys.mkdirAll(root + "/ünïcödé/日本語")
    try file("ünïcödé/日本語/файл", [1, 2, 3])
    try file(String(repeating: "n", count: 255), [7])
    try Sys.mkdirAll(root + "/" + String(repeating: "d", count: 200) + "/" + String(repeating: "e", count: 200))
    try file(" !\"#%", [1])
    try Sys.mkdirAll(root + "/one")
    try Sys.mkdirAll(root + "/two")
    try file("one/linked", Array("linked".utf8), mode: 0o4755)
    for index in 0..<300 { try Sys.link("\(root)/one/linked", "\(root)/two/link\(index)") }
    for length in [1, 60, 400, 447, 448, 449, 511, 512, 513, 3000, 4095] {
      try Sys.symlink(String(repeating: "t", count: length), "\(root)/link\(length)")
    }
    try Sys.link("\(root)/link60", "\(root)/one/hardlink-to-link")
    try Sys.mknod(root + "/null", mode: FileType.characterDevice.rawValue | 0o666, device: cl_makedev(1, 3))
    try Sys.mknod(root + "/big", mode: FileType.blockDevice.rawValue | 0o600, device: cl_makedev(4000, 1_000_000))
    try Sys.mknod(root + "/pipe", mode: FileType.fifo.rawValue | 0o644, device: 0)
    try Sys.chmod(root + "/one", 0o7711)
    let owned = try Sys.open(root + "/one", O_RDONLY)
    try Sys.chown(owned.raw, 70_000, 4_000_000_000)
    let capability: [UInt8] = [1, 0, 0, 2, 0, 32, 0, 0] + [UInt8](repeating: 0, count: 12)
    try Sys.lsetxattr(root + "/size512", "security.capability", capability)
    try Sys.lsetxattr(root + "/size512", "user.empty", [])
    try Sys.lsetxattr(root + "/size513", "user.long", [UInt8](repeating: 65, count: 3000))
    try Sys.lsetxattr(root + "/two", "user.directory", [0, 1, 255])
    try Sys.lsetxattr(root + "/link1", "trusted.link", [1])
    for (name, time) in [
      ("empty", timespec(tv_sec: -5, tv_nsec: 250_000_000)), ("size1", timespec(tv_sec: 1, tv_nsec: 9)),
    ] {
      let file = try Sys.open("\(root)/\(name)", O_RDONLY)
      try Sys.setTimes(file.raw, access: time, modification: time)
    }
    try sparse("\(root)/sparse-aligned", [(0, 4096), (1 << 20, 8192), (50 << 20, 4096)], size: 60 << 20)
    try sparse("\(root)/sparse-end", [(3 << 20, 5000)], size: 3 << 20 + 5000)
    try sparse("\(root)/sparse-none", [], size: 1 << 40)
    try sparse("\(root)/sparse-odd", [(12_288, 4096), (1 << 30, 100)], size: 1 << 30 + 100)
  }

  private func sparse(_ path: String, _ runs: [(Int64, Int)], size: Int64) throws {
    let file = try Sys.open(path, O_WRONLY | O_CREAT, mode: 0o640)
    for (offset, count) in runs {
      try [UInt8](repeating: 0x5A, count: count).withUnsafeBytes { try Sys.pwriteAll(file.raw, $0, at: offset) }
    }
    try Sys.ftruncate(file.raw, size)
  }

  @Test(arguments: [
    ["--format=pax", "--xattrs", "--xattrs-include=*"],
    ["--format=pax", "--sparse", "--sparse-version=0.0", "--xattrs", "--xattrs-include=*", "--exclude=sparse-none"],
    ["--format=pax", "--sparse", "--sparse-version=0.1", "--xattrs", "--xattrs-include=*", "--exclude=sparse-none"],
    ["--format=pax", "--sparse", "--sparse-version=1.0", "--xattrs", "--xattrs-include=*", "--exclude=sparse-none"],
    ["--format=gnu", "--sparse", "--exclude=sparse-none"],
  ])
  func aMountIsWhatTarExtracts(options: [String]) throws {
    let scratch = try Scratch()
    let root = scratch.path + "/root"
    try corpus(root, many: options.contains("--format=gnu") ? 10_000 : 100)
    // Without --sparse the holes are bytes.
    if !options.contains("--sparse") {
      for name in ["sparse-none", "sparse-odd", "sparse-aligned"] { try Sys.unlink("\(root)/\(name)") }
    }
    let archive = scratch.path + "/archive"
    try run("sh", "-c", "tar -c \(options.joined(separator: " ")) --numeric-owner -f \(archive) -C \(root) .")
    try compare(archive, scratch)
  }

  /// Against `tar -x` of the same archive.
  private func compare(_ archive: String, _ scratch: Scratch) throws {
    let extracted = scratch.path + "/extracted"
    try Sys.mkdirAll(extracted)
    try run(
      "sh", "-c", "tar -x -p --same-owner --numeric-owner --xattrs --xattrs-include='*' -f \(archive) -C \(extracted)")
    let mounted = try MountedTar(DescriptorSource(try Sys.open(archive, O_RDONLY)), in: scratch)
    let expected = try Sys.open(extracted, O_RDONLY | O_DIRECTORY)
    let differences = try TreeListing(mounted.mount.raw).differences(from: TreeListing(expected.raw))
    #expect(differences.isEmpty, "\(differences.joined(separator: "\n"))")
    #expect(mounted.layer.warnings.isEmpty)
    // Every byte of the tar is kept, those behind its end too.
    try run("cmp", archive, mounted.devices[0])
    try judge(mounted)
  }

  /// fsck.erofs, where it is installed and knows blocks of 512 bytes (1.7): a second opinion.
  private func judge(_ mounted: MountedTar) throws {
    guard let program = ["/usr/bin/fsck.erofs", "/usr/sbin/fsck.erofs"].first(where: { Sys.exists($0) }) else { return }
    let devices = mounted.devices.map { "--device=\($0)" }.joined(separator: " ")
    try run(
      "sh", "-c", "\(program) --version 2>&1 | grep -q ' 1\\.[0-6]' || \(program) \(devices) \(mounted.index) >&2")
  }

  /// An archive of a whole distribution, where the environment names one.
  @Test func aDistributionIsWhatTarExtracts() throws {
    guard let pointer = getenv("BERTH_ROOTFS_TAR") else {
      print("skipped: BERTH_ROOTFS_TAR names no archive of a root file system")
      return
    }
    try compare(String(cString: pointer), try Scratch())
  }

  /// Runs that begin in the middle of a block, as no tar program writes them but the format has them.
  @Test func aSparseFileWhoseRunsDontBeginAtBlocks() throws {
    let scratch = try Scratch()
    var raw = [UInt8]()
    let runs: [(Int, Int)] = [(3, 5), (510, 4), (1030, 1), (100_000, 700), (200_001, 99)]
    let map = ["\(runs.count)"] + runs.flatMap { ["\($0.0)", "\($0.1)"] }
    let head = Array((map.joined(separator: "\n") + "\n").utf8)
    raw += head + [UInt8](repeating: 0, count: (512 - head.count % 512) % 512)
    raw += (0..<runs.reduce(0) { $0 + $1.1 }).map { UInt8($0 % 250 + 1) }
    var tar = Tar()
    try tar.add(.file, "before", data: [1, 2, 3])
    var member = Tar()
    try member.add(.file, "GNUSparseFile.0/sparse", data: raw)
    var header = Tar()
    let records = [
      ("GNU.sparse.major", "1"), ("GNU.sparse.minor", "0"), ("GNU.sparse.name", "sparse"),
      ("GNU.sparse.realsize", "200100"),
    ]
    var body = ""
    for (key, value) in records {
      let rest = " \(key)=\(value)\n"
      var length = rest.utf8.count + 1
      while "\(length)".utf8.count + rest.utf8.count != length { length = "\(length)".utf8.count + rest.utf8.count }
      body += "\(length)" + rest
    }
    try header.add(.file, "PaxHeaders/sparse", data: Array(body.utf8))
    var extended = header.bytes
    extended[156] = UInt8(ascii: "x")
    let sum = extended[0..<512].enumerated().reduce(0) {
      (148..<156).contains($1.offset) ? $0 + 32 : $0 + Int($1.element)
    }
    let digits = String(sum, radix: 8)
    let field = Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32]
    extended.replaceSubrange(148..<156, with: field)
    tar.append(raw: extended)
    tar.append(raw: member.bytes)
    try tar.add(.file, "after", data: [4, 5, 6])
    // GNU tar itself loses its way in such a file.
    let mounted = try MountedTar(MemorySource(tar.finished), in: scratch)
    #expect(mounted.layer.hasExtra)
    var expected = [UInt8](repeating: 0, count: 200_100)
    var position = head.count + (512 - head.count % 512) % 512
    for (offset, length) in runs {
      expected.replaceSubrange(offset..<offset + length, with: raw[position..<position + length])
      position += length
    }
    #expect(try Sys.readFile("sparse", at: mounted.mount.raw) == expected)
    #expect(try Sys.readFile("before", at: mounted.mount.raw) == [1, 2, 3])
    #expect(try Sys.readFile("after", at: mounted.mount.raw) == [4, 5, 6])
    try judge(mounted)
  }

  @Test func imagesOfOneTimeAreSmaller() throws {
    let scratch = try Scratch()
    func size(_ step: Int64, _ name: String) throws -> Int64 {
      var tar = Tar()
      for index in 0..<1000 {
        try tar.add(.file, "f\(index)", data: [1]) {
          $0.modified = Timestamp(seconds: 5 + Int64(index) * step, nanoseconds: 7)
        }
      }
      let mounted = try MountedTar(MemorySource(tar.finished), in: scratch, name: name)
      let file = try Sys.open(at: mounted.mount.raw, name: Array("f999".utf8CString), O_RDONLY)
      let status = try Sys.fstat(file.raw)
      #expect(status.st_mtim.tv_sec == 5 + 999 * Int(step) && status.st_mtim.tv_nsec == 7)
      return Int64(try Sys.status(mounted.index).st_size)
    }
    #expect(try size(0, "same") < size(1, "different") - 30_000)
  }

  @Test func accessListsAreKept() throws {
    let scratch = try Scratch()
    // user::rw-, user:1000:rw-, group::r--, mask::rw-, other::---
    var list: [UInt8] = [2, 0, 0, 0]
    for (tag, permission, id) in [(1, 6, UInt32.max), (2, 6, 1000), (4, 4, .max), (0x10, 6, .max), (0x20, 0, .max)] {
      list += [UInt8(tag), 0, UInt8(permission), 0] + (0..<4).map { UInt8(truncatingIfNeeded: id >> (8 * $0)) }
    }
    var tar = Tar()
    try tar.add(.file, "listed", mode: 0o660) { $0.attributes = [(Array("system.posix_acl_access".utf8), list)] }
    try tar.add(.file, "broken") { $0.attributes = [(Array("system.posix_acl_access".utf8), [1])] }
    try tar.add(.file, "unknown") { $0.attributes = [(Array("system.nobody".utf8), [1])] }
    let mounted = try MountedTar(MemorySource(tar.finished), in: scratch)
    #expect(mounted.layer.warnings.count == 2)
    let found = try Sys.attributes(at: mounted.mount.raw, name: Array("listed".utf8CString))
    #expect(found.map(\.value) == [list])
    #expect(try Sys.attributes(at: mounted.mount.raw, name: Array("broken".utf8CString)).isEmpty)
  }

  @Test func aMapThatAsksForTooMuchIsRefused() throws {
    let scratch = try Scratch()
    var tar = Tar()
    var body = ""
    for (key, value) in [
      ("GNU.sparse.size", "\(Int64(1) << 50)"), ("GNU.sparse.numblocks", "1"), ("GNU.sparse.map", "512,512"),
    ] {
      let rest = " \(key)=\(value)\n"
      var length = rest.utf8.count + 1
      while "\(length)".utf8.count + rest.utf8.count != length { length = "\(length)".utf8.count + rest.utf8.count }
      body += "\(length)" + rest
    }
    var header = Tar()
    try header.add(.file, "PaxHeaders/x", data: Array(body.utf8))
    var extended = header.bytes
    extended[156] = UInt8(ascii: "x")
    let sum = extended[0..<512].enumerated().reduce(0) {
      (148..<156).contains($1.offset) ? $0 + 32 : $0 + Int($1.element)
    }
    let digits = String(sum, radix: 8)
    extended.replaceSubrange(
      148..<156, with: Array((String(repeating: "0", count: 6 - digits.count) + digits).utf8) + [0, 32])
    tar.append(raw: extended)
    try tar.add(.file, "huge", data: [UInt8](repeating: 1, count: 512))
    #expect(throws: ArchiveError.self) { try MountedTar(MemorySource(tar.finished), in: scratch) }
  }
}
