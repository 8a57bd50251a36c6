import Archive
import CLinux
import Kernel
import OCI

/// A directory of the test's own, removed at its end.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/berth-archive-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = template.withUnsafeBufferPointer { $0.baseAddress.map { String(cString: $0) } ?? "" }
  }

  deinit { try? Sys.removeTree(path) }

  func open() throws -> Descriptor { try Sys.open(path, O_RDONLY | O_DIRECTORY) }

  func unpack(_ archive: [UInt8], limits: ArchiveLimits = ArchiveLimits()) throws -> LayerUnpacker.Result {
    let root = try open()
    return try LayerUnpacker(root: root.raw, limits: limits).unpack(TarReader(MemorySource(archive), limits: limits))
  }

  func status(_ name: String) throws -> stat { try Sys.status("\(path)/\(name)", flags: AT_SYMLINK_NOFOLLOW) }
  func text(_ name: String) throws -> String { String(decoding: try Sys.readFile("\(path)/\(name)"), as: UTF8.self) }
  func exists(_ name: String) -> Bool { (try? status(name)) != nil }
}

/// An archive in memory, a member a call.
struct Tar {
  private(set) var bytes: [UInt8] = []

  static func file(_ name: String, _ text: String = "x", mode: UInt32 = 0o644) -> (inout Tar) throws -> Void {
    { tar in try tar.add(.file, name, mode: mode, data: Array(text.utf8)) }
  }
  static func directory(_ name: String, mode: UInt32 = 0o755) -> (inout Tar) throws -> Void {
    { tar in try tar.add(.directory, name, mode: mode) }
  }
  static func link(_ name: String, to target: String) -> (inout Tar) throws -> Void {
    { tar in try tar.add(.symbolicLink, name, linkName: target, mode: 0o777) }
  }
  static func hardLink(_ name: String, to target: String) -> (inout Tar) throws -> Void {
    { tar in try tar.add(.hardLink, name, linkName: target) }
  }

  static func archive(_ members: (inout Tar) throws -> Void...) throws -> [UInt8] {
    var tar = Tar()
    for member in members { try member(&tar) }
    return tar.finished()
  }

  mutating func add(
    _ kind: TarEntry.Kind, _ name: String, linkName: String = "", mode: UInt32 = 0o644, data: [UInt8] = [],
    _ change: (inout TarEntry) -> Void = { _ in }
  ) throws {
    var entry = TarEntry()
    entry.kind = kind
    entry.name = Array(name.utf8)
    entry.linkName = Array(linkName.utf8)
    entry.mode = mode
    entry.modified = Timestamp(seconds: 1_000_000_000)
    change(&entry)
    try add(entry, data: data)
  }

  mutating func add(_ entry: TarEntry, data: [UInt8] = []) throws {
    var output: [UInt8] = []
    let writer = TarWriter { output.append(contentsOf: $0) }
    if entry.kind == .file { try writer.add(entry, data: data) } else { try writer.add(entry) }
    try writer.finish()
    bytes += output.dropLast(1024)
  }

  mutating func append(raw: [UInt8]) { bytes += raw }

  func finished() -> [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
