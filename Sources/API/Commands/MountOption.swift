import Kernel
import OCI

/// `--mount type=bind,source=/a,target=/b,…` as the API's mount.
enum MountOption {
  static func parse(_ text: String) throws -> JSON {
    let fields = try CommaSeparated.fields(text)
    var type = "volume"
    var source = ""
    var target = ""
    var consistency = ""
    var readOnly = false
    var bind = JSONObject()
    var volume = JSONObject()
    var driver = JSONObject()
    var labels: [String: String] = [:]
    var image = JSONObject()
    var mapping: JSON?
    var tmpfs = JSONObject()
    var (hasBind, hasVolume, hasTmpfs, hasImage) = (false, false, false, false)

    func bool(_ key: String, _ value: String) throws -> Bool {
      guard let result = GoNumber.bool(value) else { throw CommandFailure("invalid value for \(key): \(value)") }
      return result
    }
    for field in fields {
      let (rawKey, given) = field.cut("=")
      let key = rawKey.lowercased()
      guard
        let value = given
          ?? (["readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src", "idmap"].contains(key)
            ? "true" : nil)
      else { throw CommandFailure("invalid field '\(field)' must be a key=value pair") }
      switch key {
      case "type": type = value.lowercased()
      case "source", "src": source = HostPath.absolute(value)
      case "target", "dst", "destination": target = value
      case "readonly", "ro": readOnly = try bool(key, value)
      case "consistency": consistency = value.lowercased()
      case "bind-propagation":
        hasBind = true
        bind["Propagation"] = .string(value.lowercased())
      case "bind-nonrecursive":
        hasBind = true
        if try bool(key, value) { bind["NonRecursive"] = true }
      case "bind-create-src":
        hasBind = true
        if try bool(key, value) { bind["CreateMountpoint"] = true }
      case "bind-recursive":
        hasBind = true
        switch value {
        case "enabled": break
        case "disabled": bind["NonRecursive"] = true
        case "writable": bind["ReadOnlyNonRecursive"] = true
        case "readonly": bind["ReadOnlyForceRecursive"] = true
        default:
          throw CommandFailure(
            "invalid value for \(key): \(value) (must be \"enabled\", \"disabled\", \"writable\", or \"readonly\")")
        }
      case "idmap":
        mapping = try idMapping(value)
      case "volume-subpath":
        hasVolume = true
        volume["Subpath"] = .string(value)
      case "volume-nocopy":
        hasVolume = true
        guard let flag = GoNumber.bool(value) else { throw CommandFailure("invalid value for volume-nocopy: \(value)") }
        if flag { volume["NoCopy"] = true }
      case "volume-label":
        hasVolume = true
        let (name, text) = value.cut("=")
        if !name.isEmpty { labels[name] = text ?? "" }
      case "volume-driver":
        hasVolume = true
        driver["Name"] = .string(value)
      case "volume-opt":
        hasVolume = true
        let (name, text) = value.cut("=")
        var options = driver["Options"]?.objectValue ?? JSONObject()
        if !name.isEmpty { options[name] = .string(text ?? "") }
        driver["Options"] = .object(options)
      case "image-subpath":
        hasImage = true
        image["Subpath"] = .string(value)
      case "tmpfs-size":
        hasTmpfs = true
        guard let size = ByteSize.parse(value) else { throw CommandFailure("invalid value for \(key): \(value)") }
        tmpfs["SizeBytes"] = .int(size)
      case "tmpfs-mode":
        hasTmpfs = true
        guard let mode = UInt32(value, radix: 8) else { throw CommandFailure("invalid value for \(key): \(value)") }
        tmpfs["Mode"] = .int(Int64(mode))
      default: throw CommandFailure("unexpected key '\(key)' in '\(field)'")
      }
    }
    guard !type.isEmpty else { throw CommandFailure("type is required") }
    guard !target.isEmpty else { throw CommandFailure("target is required") }
    if let mapping {
      switch type {
      case "bind": (hasBind, bind["IDMapping"]) = (true, mapping)
      case "volume": (hasVolume, volume["IDMapping"]) = (true, mapping)
      default: throw CommandFailure("cannot mix 'idmap' with mount type '\(type)'")
      }
    }
    for (has, name) in [(hasVolume, "volume"), (hasBind, "bind"), (hasTmpfs, "tmpfs"), (hasImage, "image")]
    where has && type != name {
      throw CommandFailure("cannot mix '\(name)-*' options with mount type '\(type)'")
    }
    if bind["ReadOnlyNonRecursive"] != nil, !readOnly {
      throw CommandFailure("option 'bind-recursive=writable' requires 'readonly' to be specified in conjunction")
    }
    if bind["ReadOnlyForceRecursive"] != nil {
      guard readOnly else {
        throw CommandFailure("option 'bind-recursive=readonly' requires 'readonly' to be specified in conjunction")
      }
      guard bind["Propagation"]?.stringValue == "rprivate" else {
        throw CommandFailure(
          "option 'bind-recursive=readonly' requires 'bind-propagation=rprivate' to be specified in conjunction")
      }
    }
    var mount = JSONBuilder()
    mount.set("Type", type)
    mount.set("Source", source.isEmpty ? nil : source)
    mount.set("Target", target)
    mount.set("ReadOnly", readOnly ? true : nil)
    mount.set("Consistency", consistency.isEmpty ? nil : consistency)
    if hasBind { mount.set("BindOptions", .object(bind)) }
    if hasVolume {
      volume["Labels"] = JSON(labels)
      volume["DriverConfig"] = .object(driver)
      mount.set("VolumeOptions", .object(volume))
    }
    if hasImage { mount.set("ImageOptions", .object(image)) }
    if hasTmpfs { mount.set("TmpfsOptions", .object(tmpfs)) }
    return mount.json
  }
}

extension MountOption {
  /// `uids=FILE-SEEN-SIZE[#…];gids=…`, as podman writes it: which ids the container sees in place of the files' own. Without ranges
  /// (`idmap`): the container's user namespace's.
  private static func idMapping(_ text: String) throws -> JSON {
    var result = JSONObject()
    if let flag = GoNumber.bool(text) {
      guard flag else { throw CommandFailure("invalid value for idmap: \(text)") }
      return .object(result)
    }
    for part in text.split(separator: ";") {
      let (kind, list) = String(part).cut("=")
      guard ["uids", "gids"].contains(kind), let list else { throw CommandFailure("invalid value for idmap: \(text)") }
      let ranges = try list.split(separator: "#").map { range -> JSON in
        let numbers = range.split(separator: "-").map { UInt32($0) }
        guard numbers.count == 3, let host = numbers[0], let container = numbers[1], let size = numbers[2] else {
          throw CommandFailure("invalid value for idmap: \(text): a range is FILE-SEEN-SIZE")
        }
        return ["ContainerID": .int(Int64(container)), "HostID": .int(Int64(host)), "Size": .int(Int64(size))]
      }
      result[kind == "uids" ? "UIDMappings" : "GIDMappings"] = .array(ranges)
    }
    return .object(result)
  }
}

/// Paths on the user's side, which the daemon sees from `/`.
enum HostPath {
  /// `.`, `..` and what begins with them, from the working directory; anything else as it is.
  static func absolute(_ path: String) -> String {
    guard path == "." || path == ".." || path.hasPrefix("./") || path.hasPrefix("../") else { return path }
    guard let base = try? Sys.getcwd() else { return path }
    return clean(base + "/" + path)
  }

  /// path.Clean of an absolute path.
  static func clean(_ path: String) -> String {
    var parts: [Substring] = []
    for part in path.split(separator: "/") {
      switch part {
      case ".": continue
      case "..": _ = parts.popLast()
      default: parts.append(part)
      }
    }
    let joined = parts.joined(separator: "/")
    return path.hasPrefix("/") ? "/" + joined : joined.isEmpty ? "." : joined
  }
}
