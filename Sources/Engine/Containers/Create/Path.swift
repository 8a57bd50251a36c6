/// Absolute paths of the container, in words only: nothing is looked up.
enum Path {
  /// Without `.`, `..`, doubled and trailing slashes (Go's `filepath.Clean` of an absolute path).
  static func clean(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") {
      switch part {
      case ".": continue
      case "..": _ = parts.popLast()
      default: parts.append(part)
      }
    }
    return "/" + parts.joined(separator: "/")
  }

  /// Whether `path` lies at or below `directory`; both clean.
  static func isInside(_ path: String, _ directory: String) -> Bool {
    directory == "/" || path == directory || path.hasPrefix(directory + "/")
  }
}
