import CLinux
import Kernel

/// Two trees that should be the same, looked at through descriptors: what differs, by path, the first few of it.
enum TreeComparison {
  /// More than these say nothing more.
  private static let maximum = 16
  private static let maximumDepth = 512

  static func differences(_ expected: Int32, _ actual: Int32) throws(SyscallError) -> [String] {
    var found: [String] = []
    if let reason = try metadata(try Sys.fstat(expected), try Sys.fstat(actual)) { found.append("\"/\" \(reason)") }
    try compare(expected, actual, path: "", depth: 0, &found)
    return found
  }

  private static func compare(
    _ expected: Int32, _ actual: Int32, path: String, depth: Int, _ found: inout [String]
  ) throws(SyscallError) {
    guard depth < maximumDepth else { return }
    let (names, others) = (try Sys.sortedNames(expected), Set(try Sys.sortedNames(actual)))
    for name in others.subtracting(names) { add("\"\(path)/\(text(name))\" doesn't belong there", to: &found) }
    for name in names where found.count < maximum {
      let shown = "\"\(path)/\(text(name))\""
      guard others.contains(name) else {
        add("\(shown) is missing", to: &found)
        continue
      }
      let (one, other) = (try Sys.status(at: expected, name: name), try Sys.status(at: actual, name: name))
      if let reason = try metadata(one, other) {
        add("\(shown) \(reason)", to: &found)
        continue
      }
      if try attributes(expected, name) != attributes(actual, name) { add("\(shown) has other attributes", to: &found) }
      switch one.fileType {
      case .directory:
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW
        let one = try Sys.open(at: expected, name: name, flags)
        let other = try Sys.open(at: actual, name: name, flags)
        try compare(one.raw, other.raw, path: "\(path)/\(text(name))", depth: depth + 1, &found)
      case .regular:
        let one = try Sys.open(at: expected, name: name, O_RDONLY | O_NOFOLLOW)
        let other = try Sys.open(at: actual, name: name, O_RDONLY | O_NOFOLLOW)
        do throws(SyscallError) {
          if try !isEqual(one.raw, other.raw) { add("\(shown) holds other bytes", to: &found) }
        } catch {
          // A disk that can't read them any more is what is looked for here.
          guard error.errno == .io else { throw error }
          add("\(shown) can't be read: \(error)", to: &found)
        }
      case .symbolicLink:
        if try Sys.readLink(at: expected, name: name) != Sys.readLink(at: actual, name: name) {
          add("\(shown) points elsewhere", to: &found)
        }
      default: break
      }
    }
  }

  private static func add(_ text: String, to found: inout [String]) { if found.count < maximum { found.append(text) } }

  private static func text(_ name: [CChar]) -> String {
    String(decoding: name.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
  }

  private static func metadata(_ one: stat, _ other: stat) throws(SyscallError) -> String? {
    if one.st_mode != other.st_mode { return "has the mode \(String(other.st_mode, radix: 8))" }
    if one.st_uid != other.st_uid || one.st_gid != other.st_gid { return "belongs to \(other.st_uid):\(other.st_gid)" }
    if one.fileType != .directory {
      if one.st_size != other.st_size { return "has \(other.st_size) bytes" }
      if one.st_rdev != other.st_rdev { return "is another device" }
      if one.st_mtim.tv_sec != other.st_mtim.tv_sec { return "was changed" }
      if one.st_nlink != other.st_nlink { return "has \(other.st_nlink) links" }
    }
    return nil
  }

  private static func attributes(_ directory: Int32, _ name: [CChar]) throws(SyscallError) -> [[CChar]: [UInt8]] {
    var result: [[CChar]: [UInt8]] = [:]
    for (name, value) in try Sys.attributes(at: directory, name: name) { result[name] = value }
    return result
  }

  private static func isEqual(_ one: Int32, _ other: Int32) throws(SyscallError) -> Bool {
    let buffers = (
      UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096),
      UnsafeMutableRawBufferPointer.allocate(byteCount: 256 << 10, alignment: 4096)
    )
    defer {
      buffers.0.deallocate()
      buffers.1.deallocate()
    }
    var offset: Int64 = 0
    while true {
      let counts = (try Sys.pread(one, buffers.0, at: offset), try Sys.pread(other, buffers.1, at: offset))
      guard counts.0 == counts.1 else { return false }
      if counts.0 == 0 { return true }
      guard let a = buffers.0.baseAddress, let b = buffers.1.baseAddress, memcmp(a, b, counts.0) == 0 else {
        return false
      }
      offset += Int64(counts.0)
    }
  }
}
