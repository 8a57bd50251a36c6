import Cgroups
import Kernel
public import OCI

/// A container's scope: its name and its slice, as `cgroupsPath` has them with systemd's driver, `SLICE:PREFIX:NAME`
/// (runc's docs/systemd.md).
public struct SystemdScope: Sendable, Equatable {
  /// `machine.slice`; `-.slice` is the root.
  public let slice: String
  /// `crio-3f2a.scope`; a name that ends in `.slice` is a slice itself.
  public let unit: String

  /// An empty slice is the system's, or the user's. Anything but three parts is an error in runc's words.
  public init(_ cgroupsPath: String?, id: String, isUser: Bool) throws(SystemdError) {
    let text = cgroupsPath.flatMap { $0.isEmpty ? nil : $0 } ?? "::\(id)"
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard parts.count == 3 else {
      throw SystemdError(
        "linux.cgroupsPath: expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"\(text)\" instead"
      )
    }
    slice = parts[0].isEmpty ? (isUser ? "user.slice" : "system.slice") : parts[0]
    let name = parts[2]
    guard !name.isEmpty else { throw SystemdError("linux.cgroupsPath: the name of \"\(text)\" is empty") }
    unit = name.hasSuffix(".slice") ? name : (parts[1].isEmpty ? name : "\(parts[1])-\(name)") + ".scope"
    for part in [slice, unit] where !Self.isUnitName(part) {
      throw SystemdError("linux.cgroupsPath: \"\(part)\" is no name of a unit")
    }
    _ = try slicePath()
  }

  /// systemd.unit(5): letters, digits and `:-_.\`, at most 255 bytes.
  private static func isUnitName(_ name: String) -> Bool {
    name.utf8.count <= 255
      && name.utf8.allSatisfy { byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a: true
        default: [UInt8](":-_.\\@".utf8).contains(byte)
        }
      }
  }

  /// The scope's path below a hierarchy's root, where systemd's manager is the system's: `/a.slice/a-b.slice/PREFIX-NAME.scope`.
  public func path() throws(SystemdError) -> String { try slicePath() + "/" + unit }

  /// A slice lies in those that its name names before each dash (systemd.slice(5)).
  private func slicePath() throws(SystemdError) -> String {
    if slice == "-.slice" { return "" }
    guard slice.hasSuffix(".slice"), slice.count > 6 else {
      throw SystemdError("linux.cgroupsPath: \"\(slice)\" is no slice")
    }
    var path = ""
    var prefix = ""
    for part in slice.dropLast(6).split(separator: "-", omittingEmptySubsequences: false) {
      guard !part.isEmpty else { throw SystemdError("linux.cgroupsPath: \"\(slice)\" is no slice") }
      path += "/\(prefix)\(part).slice"
      prefix += "\(part)-"
    }
    return path
  }

  /// What the scope is made with: `pids` are its first processes; `annotations` may name more (`org.systemd.property.NAME`).
  public func properties(
    description: String, pids: [Int32], _ resources: RuntimeSpec.Resources, isV2: Bool, annotations: [String: String]
  ) throws(SystemdError) -> [SystemdManager.Property] {
    var properties: [SystemdManager.Property] = [
      ("Description", .string(description)), ("Slice", .string(slice)), ("Delegate", .boolean(true)),
      ("PIDs", .array("u", pids.map { .uint32(UInt32(bitPattern: $0)) })),
      // The scope isn't stopped before others at a shutdown, and needs nothing.
      ("DefaultDependencies", .boolean(false)),
    ]
    for name in ["MemoryAccounting", "CPUAccounting", "TasksAccounting", isV2 ? "IOAccounting" : "BlockIOAccounting"] {
      properties.append((name, .boolean(true)))
    }
    properties += Self.limits(resources, isV2: isV2)
    properties += Self.devices(resources.devices)
    for (name, text) in annotations.sorted(by: { $0.key < $1.key }) where name.hasPrefix("org.systemd.property.") {
      let key = String(name.dropFirst("org.systemd.property.".count))
      guard !key.isEmpty, key.utf8.allSatisfy({ (0x41...0x5a).contains($0) || (0x61...0x7a).contains($0) }),
        let value = GVariantText.value(text)
      else { throw SystemdError("annotations[\"\(name)\"]: \"\(text)\" can't be read as a property's value") }
      properties.append(Self.inMicroseconds(key, value))
    }
    return properties
  }

  /// `TimeoutStopSec` isn't known on the bus: `TimeoutStopUSec` in microseconds is, as runc has it.
  private static func inMicroseconds(_ name: String, _ value: DBusValue) -> SystemdManager.Property {
    guard name.hasSuffix("Sec"), !name.hasSuffix("USec") else { return (name, value) }
    let seconds: UInt64
    switch value {
    case .int32(let number) where number >= 0: seconds = UInt64(number)
    case .uint32(let number): seconds = UInt64(number)
    case .int64(let number) where number >= 0: seconds = UInt64(number)
    case .uint64(let number): seconds = number
    default: return (name, value)
    }
    return (name.dropLast(3) + "USec", .uint64(seconds.multipliedReportingOverflow(by: 1_000_000).partialValue))
  }

  /// The limits that systemd knows: it writes them again when it reloads. The others are the groups' files alone.
  public static func limits(_ resources: RuntimeSpec.Resources, isV2: Bool) -> [SystemdManager.Property] {
    var properties: [SystemdManager.Property] = []
    func add(_ name: String, _ value: UInt64?) { if let value { properties.append((name, .uint64(value))) } }
    /// -1 is all.
    func limit(_ value: Int64?) -> UInt64? { value.flatMap { $0 == 0 ? nil : $0 < 0 ? .max : UInt64($0) } }
    let memory = resources.memory
    if isV2 {
      add("MemoryMax", limit(memory?.limit))
      add("MemoryLow", limit(memory?.reservation))
      if let both = memory?.swap, both != 0 {
        if both < 0 {
          add("MemorySwapMax", .max)
        } else if let alone = memory?.limit, alone > 0, both >= alone {
          add("MemorySwapMax", UInt64(both - alone))
        }
      }
      if let shares = resources.cpu?.shares, shares != 0 { add("CPUWeight", Cgroups.cpuWeight(shares: shares)) }
      if let weight = resources.blockIO?.weight, weight != 0 {
        add("IOWeight", Cgroups.ioWeight(blkioWeight: weight))
      }
      for (name, list) in [("AllowedCPUs", resources.cpu?.cpus), ("AllowedMemoryNodes", resources.cpu?.mems)] {
        guard let list, !list.isEmpty, let numbers = Cgroups.parseList(list), let last = numbers.max() else { continue }
        var mask = [UInt8](repeating: 0, count: last / 8 + 1)
        for number in numbers { mask[number / 8] |= 1 << UInt8(number % 8) }
        properties.append((name, .array("y", mask.map { .byte($0) })))
      }
    } else {
      add("MemoryLimit", limit(memory?.limit))
      if let shares = resources.cpu?.shares, shares != 0 { add("CPUShares", shares) }
      if let weight = resources.blockIO?.weight, weight != 0 { add("BlockIOWeight", UInt64(weight)) }
    }
    if let cpu = resources.cpu, (cpu.quota ?? 0) != 0 || (cpu.period ?? 0) != 0 {
      let period = cpu.period.flatMap { $0 == 0 ? nil : $0 } ?? 100_000
      if let given = cpu.period, given != 0 { add("CPUQuotaPeriodUSec", given) }
      if let quota = cpu.quota, quota > 0 {
        // What a second holds, in steps of 10 ms: systemd rounds down, and more than asked must still be the group's own.
        let (product, overflow) = UInt64(quota).multipliedReportingOverflow(by: 1_000_000)
        let share = overflow ? UInt64.max : product / period
        add("CPUQuotaPerSecUSec", share > .max - 10_000 ? .max : (share + 9_999) / 10_000 * 10_000)
      } else if (cpu.quota ?? 0) < 0 {
        add("CPUQuotaPerSecUSec", .max)
      }
    }
    if let pids = resources.pids { add("TasksMax", pids < 0 ? .max : UInt64(max(pids, 1))) }
    return properties
  }

  /// Device rules as systemd has them: a list of what is allowed. It knows neither exceptions from an allowed kind nor ranges; the group
  /// itself has the rules as they are.
  static func devices(_ rules: [RuntimeSpec.DeviceRule]) -> [SystemdManager.Property] {
    var allowed: [DBusValue] = []
    for rule in rules {
      let isAll = rule.type ?? "a" == "a"
      if isAll, rule.major ?? -1 == -1, rule.minor ?? -1 == -1 {
        // Everything from here on.
        allowed = []
        if rule.allow { return [("DevicePolicy", .string("auto")), ("DeviceAllow", .array("(ss)", []))] }
        continue
      }
      guard rule.allow else { continue }
      let access = rule.access ?? "rwm"
      for type in isAll ? ["c", "b"] : [rule.type ?? "c"] where type == "c" || type == "b" {
        let kind = type == "c" ? "char" : "block"
        let place: String
        switch (rule.major ?? -1, rule.minor ?? -1) {
        case (-1, _): place = "\(kind)-*"
        case (let major, -1):
          guard let name = group(major, kind: kind) else { continue }
          place = "\(kind)-\(name)"
        case (let major, let minor): place = "/dev/\(kind)/\(major):\(minor)"
        }
        allowed.append(.structure([.string(place), .string(access)]))
      }
    }
    return [("DevicePolicy", .string("strict")), ("DeviceAllow", .array("(ss)", allowed))]
  }

  /// The name of a major number in /proc/devices.
  private static func group(_ major: Int64, kind: String) -> String? {
    guard let bytes = try? Sys.readFile("/proc/devices") else { return nil }
    var isOurs = false
    for line in String(decoding: bytes, as: UTF8.self).split(separator: "\n") {
      if line.hasSuffix("devices:") {
        isOurs = line.hasPrefix(kind == "char" ? "Character" : "Block")
        continue
      }
      let words = line.split(separator: " ")
      if isOurs, words.count == 2, Int64(words[0]) == major { return String(words[1]) }
    }
    return nil
  }
}

/// The part of GVariant's text format that properties in annotations are written in (glib's gvariant-text).
enum GVariantText {
  /// `'inactive-or-failed'`, `true`, `7`, `uint64 10`, `['a', 'b']`; `nil` for anything else.
  static func value(_ text: String) -> DBusValue? {
    var rest = text[...]
    guard let value = take(&rest) else { return nil }
    skip(&rest)
    return rest.isEmpty ? value : nil
  }

  private static func skip(_ text: inout Substring) { text = text.drop { $0 == " " || $0 == "\t" } }

  private static func take(_ text: inout Substring) -> DBusValue? {
    skip(&text)
    switch text.first {
    case nil: return nil
    case "'"?, "\""?: return string(&text).map { .string($0) }
    case "["?: return list(&text)
    default: break
    }
    let word = text.prefix { $0 != "," && $0 != "]" && $0 != " " }
    text = text.dropFirst(word.count)
    switch word {
    case "true": return .boolean(true)
    case "false": return .boolean(false)
    case "byte", "int32", "uint32", "int64", "uint64":
      skip(&text)
      let number = text.prefix { $0 != "," && $0 != "]" && $0 != " " }
      text = text.dropFirst(number.count)
      switch word {
      case "byte": return UInt8(number).map { .byte($0) }
      case "int32": return Int32(number).map { .int32($0) }
      case "uint32": return UInt32(number).map { .uint32($0) }
      case "int64": return Int64(number).map { .int64($0) }
      default: return UInt64(number).map { .uint64($0) }
      }
    default: return Int32(word).map { .int32($0) }
    }
  }

  private static func string(_ text: inout Substring) -> String? {
    guard let quote = text.popFirst() else { return nil }
    var result = ""
    while let next = text.popFirst() {
      if next == quote { return result }
      if next == "\\" {
        guard let escaped = text.popFirst() else { return nil }
        result.append(escaped == "n" ? "\n" : escaped == "t" ? "\t" : escaped)
      } else {
        result.append(next)
      }
    }
    return nil
  }

  /// Of one type; an empty one has none.
  private static func list(_ text: inout Substring) -> DBusValue? {
    text.removeFirst()
    var values: [DBusValue] = []
    while true {
      skip(&text)
      if text.first == "]" { break }
      guard let value = take(&text), value.signature == values.first?.signature ?? value.signature else { return nil }
      values.append(value)
      skip(&text)
      if text.first == "," { text.removeFirst() } else if text.first != "]" { return nil }
    }
    text.removeFirst()
    guard let first = values.first else { return nil }
    return .array(first.signature, values)
  }
}
