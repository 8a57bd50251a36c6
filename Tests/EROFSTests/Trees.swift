import Archive
import CLinux
import EROFS
import Kernel
import OCI
import Testing

/// A directory of the test's own, removed at its end.
final class Scratch {
  let path: String

  init() throws {
    var template = Array("/tmp/berth-erofs-test-XXXXXX".utf8CString)
    guard mkdtemp(&template) != nil else { throw SyscallError("mkdtemp", "/tmp", .current) }
    path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  deinit { try? Sys.removeTree(path) }
}

/// A tar that was indexed and mounted; nobody else sees the mount, which ends with this.
final class MountedTar {
  let layer: IndexedLayer
  let index: String
  let devices: [String]
  private let held: SharedDescriptor
  /// The root, open for reading.
  let mount: SharedDescriptor

  init(_ source: any ByteSource, in scratch: Scratch, name: String = "layer", limits: ArchiveLimits = ArchiveLimits())
    throws
  {
    let base = "\(scratch.path)/\(name)"
    let tar = try Sys.open(base + ".tar", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    layer = try IndexedLayer(source, tar: tar.raw, limits: limits) {
      SharedDescriptor(try Sys.open(base + ".extra", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600))
    }
    index = base + ".index"
    devices = [base + ".tar"] + (layer.hasExtra ? [base + ".extra"] : [])
    try Sys.replaceFile(
      index, with: try layer.tree.index(devices: layer.devices, record: Array("record".utf8)), durable: false)
    held = SharedDescriptor(try EROFS.mount(index: index, devices: devices))
    mount = SharedDescriptor(try Sys.open(".", O_RDONLY | O_DIRECTORY, at: held.raw))
  }
}

/// All that can be seen of a tree, a line for each name.
struct TreeListing: Equatable {
  private(set) var lines: [String: String] = [:]
  /// What isn't compared of directories that no member describes.
  private let ignoresDirectoryTimes: Bool
  /// An overlay counts none.
  private let linksOfDirectories: Bool

  /// `root`: a directory's descriptor.
  init(_ root: Int32, ignoresDirectoryTimes: Bool = false, linksOfDirectories: Bool = true) throws {
    self.ignoresDirectoryTimes = ignoresDirectoryTimes
    self.linksOfDirectories = linksOfDirectories
    var firstNames: [UInt64: String] = [:]
    try walk(root, "", &firstNames)
  }

  private mutating func walk(_ directory: Int32, _ path: String, _ firstNames: inout [UInt64: String]) throws {
    lines[path.isEmpty ? "/" : path] = try describe(directory, [0x2E, 0], path, &firstNames)
    for name in try Sys.sortedNames(directory) {
      let text = path + "/" + Self.text(name)
      if try Sys.status(at: directory, name: name).fileType == .directory {
        let child = try Sys.open(at: directory, name: name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW)
        try walk(child.raw, text, &firstNames)
      } else {
        lines[text] = try describe(directory, name, text, &firstNames)
      }
    }
  }

  private static func text(_ name: [CChar]) -> String {
    name.dropLast().map { byte in
      let value = UInt8(bitPattern: byte)
      return (0x21..<0x7F).contains(value) && value != 0x5C
        ? String(UnicodeScalar(value)) : "\\" + String(value, radix: 16)
    }.joined()
  }

  private func describe(_ directory: Int32, _ name: [CChar], _ path: String, _ firstNames: inout [UInt64: String])
    throws -> String
  {
    let status = try Sys.status(at: directory, name: name)
    var text = "mode \(String(status.st_mode, radix: 8)) owner \(status.st_uid):\(status.st_gid)"
    let isDirectory = status.fileType == .directory
    if !isDirectory || linksOfDirectories { text += " links \(status.st_nlink)" }
    // A whiteout's time is nobody's.
    let isWhiteout = status.fileType == .characterDevice && status.st_rdev == 0
    if !isWhiteout, !isDirectory || !ignoresDirectoryTimes {
      text += " time \(status.st_mtim.tv_sec).\(status.st_mtim.tv_nsec)"
    }
    if !isDirectory {
      text += " size \(status.st_size) device \(status.st_rdev)"
      if status.st_nlink > 1 {
        text += " as \(firstNames[UInt64(status.st_ino), default: path])"
        firstNames[UInt64(status.st_ino)] = firstNames[UInt64(status.st_ino)] ?? path
      }
    }
    switch status.fileType {
    case .symbolicLink:
      var buffer = [CChar](repeating: 0, count: 4096)
      let count = readlinkat(directory, name, &buffer, buffer.count)
      text += " text \(Self.text(buffer.prefix(max(0, count)) + [0]))"
    case .regular:
      let file = try Sys.open(at: directory, name: name, O_RDONLY | O_NOFOLLOW)
      text += " data \(try Self.digest(file.raw))"
    default: break
    }
    let attributes = try Sys.attributes(at: directory, name: name).map { " \(Self.text($0.name))=\($0.value)" }
    return text + attributes.sorted().joined()
  }

  /// FNV-1a over 64 bits of all bytes, a read of 256 KB at a time; holes are read as what they are.
  private static func digest(_ file: Int32) throws -> UInt64 {
    let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 16)
    defer { buffer.deallocate() }
    var hash: UInt64 = 0xCBF2_9CE4_8422_2325
    while true {
      let count = try Sys.read(file, buffer)
      if count == 0 { return hash }
      var index = 0
      while index + 8 <= count {
        hash = (hash ^ buffer.load(fromByteOffset: index, as: UInt64.self)) &* 0x100_0000_01B3
        index += 8
      }
      while index < count {
        hash = (hash ^ UInt64(buffer[index])) &* 0x100_0000_01B3
        index += 1
      }
    }
  }

  /// What is different, for a message.
  func differences(from other: TreeListing) -> [String] {
    var result: [String] = []
    for path in Set(lines.keys).union(other.lines.keys).sorted() where lines[path] != other.lines[path] {
      result.append("\(path): \(lines[path] ?? "missing") / \(other.lines[path] ?? "missing")")
    }
    return Array(result.prefix(8))
  }
}

/// Runs a program, found in PATH, to its end.
func run(_ arguments: String...) throws {
  var pid: pid_t = 0
  var pointers = arguments.map { strdup($0) } + [nil]
  defer { for pointer in pointers { free(pointer) } }
  let error = posix_spawnp(&pid, arguments[0], nil, nil, &pointers, nil)
  guard error == 0 else { throw SyscallError("posix_spawn", arguments[0], Errno(rawValue: error)) }
  var status: Int32 = 0
  guard waitpid(pid, &status, 0) == pid, status == 0 else {
    throw ArchiveError("\(arguments.joined(separator: " ")): status \(status)")
  }
}

/// Members one by one.
struct Tar {
  private(set) var bytes: [UInt8] = []

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
    var output: [UInt8] = []
    let writer = TarWriter { output.append(contentsOf: $0) }
    if kind == .file { try writer.add(entry, data: data) } else { try writer.add(entry) }
    try writer.finish()
    bytes += output.dropLast(1024)
  }

  mutating func append(raw: [UInt8]) { bytes += raw }
  var finished: [UInt8] { bytes + [UInt8](repeating: 0, count: 1024) }
}
