import Errdefs
import OCI

/// The options of the local driver, and names, checked with Docker's words (volume/local/local.go).
enum VolumeOptions {
  private static let known: Set<String> = ["type", "o", "device", "size", "protected"]

  static func check(_ options: [String: String]) throws {
    for name in options.keys.sorted() where !known.contains(name) {
      throw EngineError.invalidParameter("invalid option: \"\(name)\"")
    }
    if let size = options["size"], !size.isEmpty {
      guard let bytes = bytes(size) else { throw EngineError.invalidParameter("invalid size: '\(size)'") }
      guard bytes >= minimumSize else {
        throw EngineError.invalidParameter("invalid size: '\(size)': a volume's size is at least 16m")
      }
      guard options["device"] == nil else {
        throw EngineError.invalidParameter("conflicting options: size and device: what is mounted has its own size")
      }
    }
    if let word = options["protected"], bool(word) == nil {
      throw EngineError.invalidParameter("invalid option: \"protected\": \"\(word)\" is neither true nor false")
    }
    for (name, needed) in [("device", ["type"]), ("type", ["device"]), ("o", ["device", "type"])]
    where options[name] != nil {
      for other in needed where options[other] == nil {
        throw EngineError.invalidParameter("missing required option: \"\(other)\"")
      }
    }
  }

  /// A file system's own tables take some mebibytes.
  static let minimumSize: Int64 = 16 << 20

  static func checkName(_ name: String) throws {
    guard name.utf8.count != 1 else {
      throw EngineError.invalidParameter(
        "create \(name): volume name is too short, names should be at least two alphanumeric characters")
    }
    guard name.utf8.count <= 255 else {
      throw EngineError.invalidParameter("create \(name): volume name is too long, names have at most 255 characters")
    }
    let isValid = name.utf8.enumerated().allSatisfy { index, byte in
      switch byte {
      case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
        UInt8(ascii: "0")...UInt8(ascii: "9"):
        true
      case UInt8(ascii: "_"), UInt8(ascii: "."), UInt8(ascii: "-"): index > 0
      default: false
      }
    }
    guard isValid, !name.isEmpty else {
      throw EngineError.invalidParameter(
        "create \(name): \(JSON(name).text) includes invalid characters for a local volume name, only "
          + "\"[a-zA-Z0-9][a-zA-Z0-9_.-]\" are allowed. If you intended to pass a host directory, use absolute path")
    }
  }

  static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "TRUE", "true", "True": true
    case "0", "f", "F", "FALSE", "false", "False": false
    default: nil
    }
  }

  /// `10G`, `512m`: units of 1,024 (go-units `RAMInBytes`).
  static func bytes(_ text: String) -> Int64? {
    var body = text.lowercased()[...]
    for suffix in ["ib", "b"] where body.hasSuffix(suffix) {
      body = body.dropLast(suffix.count)
      break
    }
    let shift: Int64
    switch body.last {
    case "k": shift = 10
    case "m": shift = 20
    case "g": shift = 30
    case "t": shift = 40
    case "p": shift = 50
    default: shift = 0
    }
    if shift > 0 { body = body.dropLast() }
    guard let number = Double(body), number >= 0 else { return nil }
    return Int64(exactly: (number * Double(Int64(1) << shift)).rounded(.down))
  }
}
