import OCI

/// `-p` and `--expose`: `[[address:]host port:]container port[/protocol]`, each port a number or a range.
struct PortSpecs {
  private(set) var exposed: [String] = []
  private(set) var bindings: [(port: String, address: String, hostPort: String)] = []

  init(publish: [String], expose: [String]) throws {
    for spec in publish { try self.publish(try PortSpecs.standard(spec)) }
    for spec in expose {
      guard !spec.contains(":") else { throw CommandFailure("invalid port format for --expose: \(spec)") }
      let (ports, proto) = try PortSpecs.protocolOf(spec)
      guard let range = PortSpecs.range(ports) else {
        throw CommandFailure("invalid range format for --expose: \(spec), error: invalid syntax")
      }
      for port in range { self.expose("\(port)/\(proto)") }
    }
  }

  var exposedJSON: JSON? {
    guard !exposed.isEmpty else { return nil }
    return .object(JSONObject(exposed.sorted().map { ($0, .object(JSONObject())) }))
  }

  var bindingsJSON: JSON? {
    guard !bindings.isEmpty else { return nil }
    var result = JSONObject()
    for binding in bindings {
      let entry: JSON = ["HostIp": .string(binding.address), "HostPort": .string(binding.hostPort)]
      result[binding.port] = .array((result[binding.port]?.arrayValue ?? []) + [entry])
    }
    return .object(result)
  }

  /// As `bindingsJSON`; a port whose binding names nothing of the host has an empty list.
  var removalJSON: JSON? {
    guard !bindings.isEmpty else { return nil }
    var result = JSONObject()
    for binding in bindings {
      var list = result[binding.port]?.arrayValue ?? []
      if !binding.address.isEmpty || !binding.hostPort.isEmpty {
        list.append(["HostIp": .string(binding.address), "HostPort": .string(binding.hostPort)])
      }
      result[binding.port] = .array(list)
    }
    return .object(result)
  }

  private mutating func expose(_ port: String) { if !exposed.contains(port) { exposed.append(port) } }

  /// `published=80,target=8080,protocol=udp` in the common notation.
  private static func standard(_ spec: String) throws -> String {
    guard spec.contains("=") else { return spec }
    var parameters = ["protocol": "tcp"]
    for parameter in spec.split(separator: ",", omittingEmptySubsequences: false) {
      let (key, value) = parameter.cut("=")
      guard let value, !key.isEmpty else {
        throw CommandFailure("invalid publish opts format (should be name=value but got '\(parameter)')")
      }
      parameters[key] = value
    }
    return "\(parameters["published"] ?? ""):\(parameters["target"] ?? "")/\(parameters["protocol"] ?? "tcp")"
  }

  private static func protocolOf(_ text: String) throws -> (ports: String, proto: String) {
    let (ports, proto) = text.cut("/")
    let name = (proto ?? "").isEmpty ? "tcp" : (proto ?? "").lowercased()
    guard ["tcp", "udp", "sctp"].contains(name) else { throw CommandFailure("invalid proto: \(proto ?? "")") }
    return (ports, name)
  }

  private static func range(_ text: String) -> ClosedRange<Int>? {
    let (first, last) = text.cut("-")
    guard let low = UInt16(first), let high = UInt16(last ?? first), low <= high else { return nil }
    return Int(low)...Int(high)
  }

  private mutating func publish(_ spec: String) throws {
    let parts = spec.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    let containerPart = parts.last ?? ""
    let hostPort = parts.count > 1 ? parts[parts.count - 2] : ""
    var address = parts.dropLast(2).joined(separator: ":")
    if address.hasPrefix("["), address.hasSuffix("]") { address = String(address.dropFirst().dropLast()) }
    guard address.isEmpty || InternetAddress.isValid(address) else {
      throw CommandFailure("invalid IP address: \(address)")
    }
    let (ports, proto) = try PortSpecs.protocolOf(containerPart)
    guard !ports.isEmpty else { throw CommandFailure("no port specified: \(spec)<empty>") }
    guard let inside = PortSpecs.range(ports) else { throw CommandFailure("invalid containerPort: \(ports)") }
    var outside: ClosedRange<Int>?
    if !hostPort.isEmpty {
      guard let range = PortSpecs.range(hostPort) else { throw CommandFailure("invalid hostPort: \(hostPort)") }
      guard range.count == inside.count || inside.count == 1 else {
        throw CommandFailure("invalid ranges specified for container and host Ports: \(ports) and \(hostPort)")
      }
      outside = range
    }
    for (offset, port) in inside.enumerated() {
      var text = outside.map { "\($0.lowerBound + offset)" } ?? ""
      if let outside, inside.count == 1, outside.count > 1 { text += "-\(outside.upperBound)" }
      expose("\(port)/\(proto)")
      bindings.append(("\(port)/\(proto)", address, text))
    }
  }
}

/// Addresses of version 4 and 6, by their text.
enum InternetAddress {
  static func isValid(_ text: String) -> Bool { isVersion4(text[...]) || isVersion6(text) }

  private static func isVersion4(_ text: Substring) -> Bool {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    return parts.count == 4
      && parts.allSatisfy { UInt8($0) != nil && $0.allSatisfy(\.isNumber) && ($0 == "0" || !$0.hasPrefix("0")) }
  }

  private static func isVersion6(_ text: String) -> Bool {
    let (address, zone) = text.cut("%")
    guard zone == nil, address.contains(":") else { return false }
    var groups = address.split(separator: ":", omittingEmptySubsequences: false)
    let gaps = address.ranges(of: "::").count
    guard gaps <= 1, !address.contains(":::") else { return false }
    if groups.first == "" { guard address.hasPrefix("::") else { return false } }
    if groups.last == "" { guard address.hasSuffix("::") else { return false } }
    var count = 0
    if let last = groups.last, last.contains(".") {
      guard isVersion4(last) else { return false }
      groups.removeLast()
      count = 2
    }
    for group in groups where !group.isEmpty {
      guard group.count <= 4, UInt16(group, radix: 16) != nil else { return false }
      count += 1
    }
    return gaps == 1 ? count < 8 : count == 8
  }
}
