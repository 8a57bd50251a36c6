import Kernel

extension Cgroup {
  func write(_ place: Place, _ file: String, _ value: String) throws(CgroupError) {
    let path = place.directory + "/" + file
    do throws(SyscallError) { try Sys.writeFile(path, value) } catch {
      throw CgroupError("set", controller: Self.controller(of: file), path: path, value: value, error.errno)
    }
  }

  /// Writes a number; false when this kernel has no such file.
  func writeIfPresent(_ place: Place, _ file: String, _ value: String) throws(CgroupError) -> Bool {
    do throws(CgroupError) {
      try write(place, file, value)
      return true
    } catch  where error.errno == .noSuchFile && Sys.exists(place.directory) { return false }
  }

  func read(_ place: Place, _ file: String) throws(CgroupError) -> String {
    try text(of: place.directory + "/" + file, controller: Self.controller(of: file))
  }

  /// The kernel names a file after its controller: `memory.max`, `cgroup.freeze`.
  private static func controller(of file: String) -> String { String(file.prefix { $0 != "." }) }

  /// nil when there is no such file.
  func readIfPresent(_ place: Place, _ file: String) throws(CgroupError) -> String? {
    do throws(CgroupError) { return try read(place, file) } catch
      where error.errno == .noSuchFile || error.errno == .notSupported
    {
      return nil
    }
  }

  /// A number; nil for `max` or when there is no such file.
  func number(_ place: Place, _ file: String) throws(CgroupError) -> UInt64? {
    try readIfPresent(place, file).flatMap { UInt64($0) }
  }

  /// Lines of `key value`; empty when there is no such file.
  func table(_ place: Place, _ file: String) throws(CgroupError) -> [String: UInt64] {
    var result: [String: UInt64] = [:]
    for line in (try readIfPresent(place, file) ?? "").split(separator: "\n") {
      guard let space = line.firstIndex(of: " "), let value = UInt64(line[line.index(after: space)...]) else {
        continue
      }
      result[String(line[..<space])] = value
    }
    return result
  }

  /// A file of cgroupfs without white space at its ends.
  func text(of path: String, controller: String) throws(CgroupError) -> String {
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try Sys.readFile(path) } catch {
      throw CgroupError("read", controller: controller, path: path, error.errno)
    }
    func isSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0d).contains(byte) || byte == 0 }
    guard let first = bytes.firstIndex(where: { !isSpace($0) }), let last = bytes.lastIndex(where: { !isSpace($0) })
    else { return "" }
    return String(decoding: bytes[first...last], as: UTF8.self)
  }
}
