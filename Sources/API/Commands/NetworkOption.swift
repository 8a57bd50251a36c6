import OCI

/// `--network`: a name, or `name=…,alias=…,ip=…,driver-opt=…`.
struct NetworkOption {
  var target = ""
  var aliases: [String] = []
  var driverOptions: [String: String] = [:]
  var links: [String] = []
  var address4 = ""
  var address6 = ""
  var linkLocal: [String] = []
  var hardwareAddress = ""
  var gatewayPriority: Int64 = 0

  init(target: String) { self.target = target }

  init(parsing text: String) throws {
    guard NetworkOption.isLong(text) else {
      target = text
      return
    }
    for field in try CommaSeparated.fields(text) {
      let (rawKey, value) = field.lowercased().cut("=")
      let key = rawKey.trimmed()
      guard let value = value?.trimmed(), !key.isEmpty else { throw CommandFailure("invalid field \(field)") }
      switch key {
      case "name": target = value
      case "alias": aliases.append(value)
      case "ip": address4 = value
      case "ip6": address6 = value
      case "mac-address": hardwareAddress = value
      case "link-local-ip": linkLocal.append(value)
      case "driver-opt":
        let (name, option) = value.cut("=")
        guard let option, !name.isEmpty else { throw CommandFailure("invalid key value pair format in driver options") }
        driverOptions[name.trimmed()] = option.trimmed()
      case "gw-priority":
        guard let priority = GoNumber.int(value) else {
          throw CommandFailure("invalid gw-priority (\(value)): invalid syntax")
        }
        gatewayPriority = priority
      default: throw CommandFailure("invalid field key \(key)")
      }
    }
    guard !target.isEmpty else { throw CommandFailure("network name/id is not specified") }
  }

  /// docker's `\w+=\w+(,\w+=\w+)*` anywhere in the text.
  private static func isLong(_ text: String) -> Bool {
    guard let mark = text.firstIndex(of: "="), mark > text.startIndex else { return false }
    let before = text[text.index(before: mark)]
    let after = text[text.index(after: mark)...].first
    func isWord(_ character: Character) -> Bool {
      character.isASCII && (character.isLetter || character.isNumber || character == "_")
    }
    return isWord(before) && after.map(isWord) == true
  }

  /// A network of the user's own, unlike the modes that the engine knows.
  var isUserDefined: Bool {
    !["default", "bridge", "host", "none", "nat"].contains(target) && !target.hasPrefix("container:")
  }

  /// The endpoint's settings; nil when nothing is asked for.
  func endpoint() throws -> JSON? {
    guard !target.trimmed().isEmpty else { throw CommandFailure("no name set for network") }
    if !isUserDefined {
      if !aliases.isEmpty {
        throw CommandFailure("network-scoped aliases are only supported for user-defined networks")
      }
      if !links.isEmpty { throw CommandFailure("links are only supported for user-defined networks") }
    }
    var endpoint = JSONBuilder()
    if !aliases.isEmpty { endpoint.set("Aliases", aliases) }
    if !driverOptions.isEmpty { endpoint.set("DriverOpts", driverOptions) }
    if !links.isEmpty { endpoint.set("Links", links) }
    if gatewayPriority != 0 { endpoint.set("GwPriority", gatewayPriority) }
    if !address4.isEmpty || !address6.isEmpty || !linkLocal.isEmpty {
      var addresses = JSONBuilder()
      if !address4.isEmpty { addresses.set("IPv4Address", address4) }
      if !address6.isEmpty { addresses.set("IPv6Address", address6) }
      if !linkLocal.isEmpty { addresses.set("LinkLocalIPs", linkLocal) }
      endpoint.set("IPAMConfig", addresses.json)
    }
    if !hardwareAddress.isEmpty {
      guard NetworkOption.isHardwareAddress(hardwareAddress) else {
        throw CommandFailure("\(hardwareAddress) is not a valid mac address")
      }
      endpoint.set("MacAddress", hardwareAddress)
    }
    // A bare `nil` in a choice would be JSON's null.
    guard !endpoint.object.isEmpty else { return nil }
    return endpoint.json
  }

  static func isHardwareAddress(_ text: String) -> Bool {
    let separator: Character = text.contains("-") ? "-" : ":"
    let parts = text.split(separator: separator, omittingEmptySubsequences: false)
    return [6, 8, 20].contains(parts.count) && parts.allSatisfy { $0.count == 2 && UInt8($0, radix: 16) != nil }
  }
}
