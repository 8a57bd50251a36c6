import OCI

/// `--device`, `--device-…-bps`, `--blkio-weight-device`, `--ulimit`: options that name devices or limits.
enum DeviceOptions {
  /// `/dev/a[:/dev/b][:rwm]`.
  static func mapping(_ text: String) throws -> JSON {
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count <= 3, let source = parts.first, !source.isEmpty else {
      throw CommandFailure("bad format for path: \(text)")
    }
    var target = source
    var permissions = "rwm"
    if parts.count == 3 {
      guard isMode(parts[2]) else { throw CommandFailure("bad mode specified: \(parts[2])") }
      (target, permissions) = (parts[1], parts[2])
    } else if parts.count == 2 {
      if isMode(parts[1]) { permissions = parts[1] } else { target = parts[1] }
    }
    guard target.hasPrefix("/") else { throw CommandFailure("\(target) is not an absolute path") }
    return [
      "PathOnHost": .string(source), "PathInContainer": .string(target.isEmpty ? source : target),
      "CgroupPermissions": .string(permissions),
    ]
  }

  /// `vendor.com/class=name`, a device of the Container Device Interface.
  static func isCDI(_ text: String) -> Bool {
    let (kind, name) = text.cut("=")
    guard let name, !name.isEmpty, !text.hasPrefix("/") else { return false }
    let (vendor, type) = kind.cut("/")
    return type?.isEmpty == false && !vendor.isEmpty && !vendor.contains(":")
  }

  private static func isMode(_ text: String) -> Bool {
    !text.isEmpty && text.allSatisfy { "rwm".contains($0) } && Set(text).count == text.count
  }

  /// `c 1:3 rwm`.
  static func rule(_ text: String) throws -> String {
    let parts = text.split(separator: " ", omittingEmptySubsequences: false)
    let numbers = parts.count == 3 ? parts[1].split(separator: ":", omittingEmptySubsequences: false) : []
    let isRule =
      parts.count == 3 && ["a", "c", "b"].contains(parts[0]) && numbers.count == 2
      && numbers.allSatisfy { $0 == "*" || (!$0.isEmpty && $0.allSatisfy { $0.isASCII && $0.isNumber }) }
      && (1...3).contains(parts[2].count) && parts[2].allSatisfy { "rwm".contains($0) }
    guard isRule else { throw CommandFailure("invalid device cgroup format '\(text)'") }
    return text
  }

  /// `/dev/sda:1mb` or `/dev/sda:1000`.
  static func throttle(_ text: String, bytes: Bool) throws -> JSON {
    let (path, value) = text.cut(":")
    guard let value, !path.isEmpty else { throw CommandFailure("bad format: \(text)") }
    guard path.hasPrefix("/dev/") else { throw CommandFailure("bad format for device path: \(text)") }
    let rate = bytes ? ByteSize.parse(value) : UInt64(value).flatMap { Int64(exactly: $0) }
    guard let rate, rate >= 0 else {
      throw CommandFailure(
        bytes
          ? "invalid rate for device: \(text). The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb"
          : "invalid rate for device: \(text). The correct format is <device-path>:<number>. Number must be a positive integer"
      )
    }
    return ["Path": .string(path), "Rate": .int(rate)]
  }

  /// `/dev/sda:200`.
  static func weight(_ text: String) throws -> JSON {
    let (path, value) = text.cut(":")
    guard let value, !path.isEmpty else { throw CommandFailure("bad format: \(text)") }
    guard path.hasPrefix("/dev/") else { throw CommandFailure("bad format for device path: \(text)") }
    guard let weight = UInt16(value), weight == 0 || (10...1000).contains(weight) else {
      throw CommandFailure("invalid weight for device: \(text)")
    }
    return ["Path": .string(path), "Weight": .int(Int64(weight))]
  }

  private static let limits: Set<String> = [
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc", "rss", "rtprio",
    "rttime",
    "sigpending", "stack",
  ]

  /// `nofile=1024:2048`.
  static func ulimit(_ text: String) throws -> JSON {
    let (name, value) = text.cut("=")
    guard let value else { throw CommandFailure("invalid ulimit argument: \(text)") }
    guard limits.contains(name) else { throw CommandFailure("invalid ulimit type: \(name)") }
    let (softText, hardText) = value.cut(":")
    func number(_ text: String) throws -> Int64 {
      if text == "unlimited" { return -1 }
      guard let number = Int64(text) else {
        throw CommandFailure("strconv.ParseInt: parsing \(GoText.quote(text)): invalid syntax")
      }
      return number
    }
    let soft = try number(softText)
    let hard = try hardText.map(number) ?? soft
    if hard >= 0 && (soft > hard || soft < 0) {
      throw CommandFailure("ulimit soft limit must be less than or equal to hard limit: \(soft) > \(hard)")
    }
    return ["Name": .string(name), "Hard": .int(hard), "Soft": .int(soft)]
  }

  /// `--gpus all`, `--gpus 2`, `--gpus device=0,driver=nvidia`.
  static func gpus(_ text: String) throws -> JSON {
    var count: Int64?
    var devices: [String] = []
    var driver = ""
    var capabilities = ["gpu"]
    var options: [String: String] = [:]
    for field in try CommaSeparated.fields(text) {
      let (key, value) = field.cut("=")
      guard let value else {
        guard let number = key == "all" ? -1 : GoNumber.int(key) else {
          throw CommandFailure("invalid count (\(key)): value must be either \"all\" or an integer: invalid syntax")
        }
        count = number
        continue
      }
      switch key {
      case "driver": driver = value
      case "count":
        guard let number = value == "all" ? -1 : GoNumber.int(value) else {
          throw CommandFailure("invalid count (\(value)): value must be either \"all\" or an integer: invalid syntax")
        }
        count = number
      case "device": devices = value.split(separator: ",").map(String.init)
      case "capabilities": capabilities = value.split(separator: ",").map(String.init) + ["gpu"]
      case "options":
        for option in value.split(separator: ",") {
          let (name, text) = option.cut("=")
          options[name] = text ?? ""
        }
      default: throw CommandFailure("unexpected key '\(key)' in '\(field)'")
      }
    }
    return [
      "Driver": .string(driver), "Count": .int(count ?? (devices.isEmpty ? 1 : 0)), "DeviceIDs": JSON(devices),
      "Capabilities": .array([JSON(capabilities)]), "Options": JSON(options),
    ]
  }
}
