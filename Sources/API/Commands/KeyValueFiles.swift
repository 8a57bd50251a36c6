import Kernel

/// `--env-file` and `--label-file`: a `key=value` a line, `#` begins a comment, a key alone takes its value elsewhere.
enum KeyValueFiles {
  /// The variables of files and flags: a key alone is taken from our own environment.
  static func environment(files: [String], flags: [String]) throws -> [String] {
    var result: [String] = []
    for file in files {
      result += try read(file) { key in Context.environment(key).map { "\(key)=\($0)" } }
    }
    for flag in flags {
      let (key, value) = flag.cut("=")
      guard !key.isEmpty else { throw CommandFailure("invalid environment variable: \(flag)") }
      if value == nil, let own = Context.environment(key) {
        result.append("\(key)=\(own)")
      } else {
        result.append(flag)
      }
    }
    return result
  }

  /// The labels of files and flags.
  static func labels(files: [String], flags: [String]) throws -> [String: String] {
    var texts: [String] = []
    for file in files { texts += try read(file) { $0 } }
    var result: [String: String] = [:]
    for text in texts + flags {
      let (key, value) = text.cut("=")
      result[key] = value ?? ""
    }
    return result
  }

  private static func read(_ path: String, _ lone: (String) -> String?) throws -> [String] {
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try Sys.readFile(path) } catch {
      throw CommandFailure("open \(path): \(error.errno)")
    }
    var result: [String] = []
    for (number, raw) in bytes.split(separator: 10, omittingEmptySubsequences: false).enumerated() {
      var raw = raw
      if number == 0, raw.starts(with: [0xEF, 0xBB, 0xBF]) { raw = raw.dropFirst(3) }
      if raw.last == 13 { raw.removeLast() }
      guard let text = String(validating: raw, as: UTF8.self) else {
        throw CommandFailure("invalid env file (\(path)): invalid utf8 bytes at line \(number + 1): \(Array(raw))")
      }
      let line = String(text.drop { $0 == " " || $0 == "\t" })
      if line.isEmpty || line.hasPrefix("#") { continue }
      let (key, value) = line.cut("=")
      if key.contains(where: { $0 == " " || $0 == "\t" }) {
        throw CommandFailure("invalid env file (\(path)): variable '\(key)' contains whitespaces")
      }
      if key.isEmpty { throw CommandFailure("invalid env file (\(path)): no variable name on line '\(line)'") }
      if value != nil { result.append(line) } else if let text = lone(key) { result.append(text) }
    }
    return result
  }
}
