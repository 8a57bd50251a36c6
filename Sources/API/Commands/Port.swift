import EngineClient
import OCI

extension Command {
  static let port = Command(
    name: "port", usage: "CONTAINER [PRIVATE_PORT[/PROTO]]",
    summary: "List port mappings or a specific mapping for the container",
    aliases: ["container port", "port"], arguments: .range(1, 2)
  ) { invocation in
    let name = invocation.arguments[0]
    let container = try invocation.client.get("/containers/\(PercentEncoding.encode(name))/json").json()
    let ports = container["NetworkSettings"]?["Ports"]?.objectValue ?? JSONObject()
    func address(_ binding: JSON) -> String {
      let host = binding["HostIp"]?.stringValue ?? ""
      return (host.contains(":") ? "[\(host)]" : host) + ":" + (binding["HostPort"]?.stringValue ?? "")
    }
    var lines: [String] = []
    if invocation.arguments.count > 1 {
      let wanted = invocation.arguments[1]
      let (number, proto) = wanted.cut("/")
      guard UInt16(number) != nil else {
        throw CommandFailure(
          "Error: invalid port (\(number)): strconv.ParseUint: parsing \(GoText.quote(number)): invalid syntax")
      }
      guard let bindings = ports["\(number)/\((proto ?? "").isEmpty ? "tcp" : proto ?? "tcp")"]?.arrayValue else {
        throw CommandFailure("Error: No public port '\(wanted)' published for \(name)")
      }
      lines = bindings.map(address)
    } else {
      for (port, bindings) in ports.members { lines += (bindings.arrayValue ?? []).map { "\(port) -> \(address($0))" } }
    }
    for line in lines.sorted(by: NaturalOrder.precedes) { invocation.output.line(line) }
  }
}

/// Texts in the order of the numbers in them.
enum NaturalOrder {
  static func precedes(_ a: String, _ b: String) -> Bool {
    var (left, right) = (Array(a.utf8)[...], Array(b.utf8)[...])
    func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }
    while let first = left.first, let second = right.first {
      if isDigit(first) && isDigit(second) {
        let one = left.prefix(while: isDigit)
        let two = right.prefix(while: isDigit)
        let (plainOne, plainTwo) = (Array(one.drop { $0 == 0x30 }), Array(two.drop { $0 == 0x30 }))
        if plainOne.count != plainTwo.count { return plainOne.count < plainTwo.count }
        if plainOne != plainTwo { return plainOne.lexicographicallyPrecedes(plainTwo) }
        left = left.dropFirst(one.count)
        right = right.dropFirst(two.count)
      } else {
        if first != second { return first < second }
        left = left.dropFirst()
        right = right.dropFirst()
      }
    }
    return left.count < right.count
  }
}
