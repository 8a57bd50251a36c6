import OCI

/// v2 has no devices controller: a group's device rules are an eBPF program of type CGROUP_DEVICE (Linux 4.15), which the kernel asks
/// at every open and mknod of a device node.
///
/// The program tries the rules from the last to the first, so that the last one that matches decides, as the OCI's order asks:
///
/// ```
/// r2 = type, r3 = access, r4 = major, r5 = minor     of struct bpf_cgroup_dev_ctx at r1
/// a rule: unless type, major, minor and access match, go to the next
///         r0 = allow; exit
/// r0 = what the last rule for all devices says, or deny; exit
/// ```
struct DeviceProgram: Equatable {
  /// BPF_DEVCG_ACC_…
  static let mknod: UInt32 = 1
  static let read: UInt32 = 2
  static let write: UInt32 = 4
  static let everything: UInt32 = 7

  /// What a rule says, checked.
  struct Rule: Equatable {
    var allow: Bool
    /// BPF_DEVCG_DEV_BLOCK (1) or _CHAR (2).
    var type: UInt32
    /// nil: any.
    var major: UInt32?
    var minor: UInt32?
    var access: UInt32
  }

  /// When no rule matches.
  private(set) var allowsByDefault = false
  /// In the order of application, after the last rule for all devices.
  private(set) var rules: [Rule] = []

  /// Checks the rules and reduces them: a rule of type `a` makes all before it void. Throws the offending rule's fault.
  init(_ rules: [RuntimeSpec.DeviceRule]) throws(Fault) {
    for rule in rules {
      let access = try Self.access(rule)
      switch rule.type ?? "a" {
      case "a":
        guard rule.major.map({ $0 < 0 }) ?? true, rule.minor.map({ $0 < 0 }) ?? true, access == Self.everything else {
          throw Fault(text: "device rule \(Self.text(rule)): a rule of type a is for all devices and every access")
        }
        self.rules = []
        allowsByDefault = rule.allow
      case "c", "u":
        append(
          Rule(
            allow: rule.allow, type: 2, major: try Self.number(rule, rule.major),
            minor: try Self.number(rule, rule.minor), access: access))
      case "b":
        append(
          Rule(
            allow: rule.allow, type: 1, major: try Self.number(rule, rule.major),
            minor: try Self.number(rule, rule.minor), access: access))
      default: throw Fault(text: "device rule \(Self.text(rule)): unknown type")
      }
    }
  }

  struct Fault: Error, Equatable { let text: String }

  private mutating func append(_ rule: Rule) {
    // "r" and then "w" on the same device together allow a single open for both, as on v1
    if rule.allow, let last = rules.lastIndex(where: { !$0.allow }).map({ $0 + 1 }) ?? Optional(0),
      let same = rules[last...].firstIndex(where: {
        $0.type == rule.type && $0.major == rule.major && $0.minor == rule.minor
      })
    {
      rules[same].access |= rule.access
    } else {
      rules.append(rule)
    }
  }

  private static func access(_ rule: RuntimeSpec.DeviceRule) throws(Fault) -> UInt32 {
    var bits: UInt32 = 0
    for letter in rule.access ?? "rwm" {
      switch letter {
      case "r": bits |= read
      case "w": bits |= write
      case "m": bits |= mknod
      default: throw Fault(text: "device rule \(text(rule)): unknown access \(letter)")
      }
    }
    return bits == 0 ? everything : bits
  }

  private static func number(_ rule: RuntimeSpec.DeviceRule, _ number: Int64?) throws(Fault) -> UInt32? {
    // -1 is how the OCI's Go types say "any"
    guard let number, number != -1 else { return nil }
    guard let exact = UInt32(exactly: number) else {
      throw Fault(text: "device rule \(text(rule)): \(number) isn't a device number")
    }
    return exact
  }

  /// `c 1:3 rwm`, as v1's files take it.
  static func text(_ rule: RuntimeSpec.DeviceRule) -> String {
    func part(_ number: Int64?) -> String { number.flatMap { $0 < 0 ? nil : String($0) } ?? "*" }
    let type = rule.type == "u" ? "c" : rule.type ?? "a"
    if type == "a" { return "a" }
    let access = rule.access ?? ""
    return "\(type) \(part(rule.major)):\(part(rule.minor)) \(access.isEmpty ? "rwm" : access)"
  }

  /// v1 ignores, without a word, a denial that isn't exactly one of the exceptions it holds; nobody must believe in such a rule.
  func punchedHole() -> (denial: Rule, wildcard: Rule)? {
    for (index, rule) in rules.enumerated() where rule.allow == allowsByDefault {
      for earlier in rules[..<index]
      where earlier.allow != rule.allow && earlier.type == rule.type && earlier.access & rule.access != 0 {
        let same = earlier.major == rule.major && earlier.minor == rule.minor
        let overlaps =
          (earlier.major == nil || rule.major == nil || earlier.major == rule.major)
          && (earlier.minor == nil || rule.minor == nil || earlier.minor == rule.minor)
        if overlaps && !same { return (rule, earlier) }
      }
    }
    return nil
  }

  /// `struct bpf_insn`s, 8 bytes each.
  func instructions() -> [UInt64] {
    var code: [UInt64] = [
      Self.instruction(0x61, to: 2, from: 1, offset: 0),  // r2 = *(u32 *)(r1 + 0): access << 16 | type
      Self.instruction(0xbc, to: 3, from: 2),  // r3 = r2
      Self.instruction(0x74, to: 3, value: 16),  // r3 >>= 16
      Self.instruction(0x54, to: 2, value: 0xffff),  // r2 &= 0xffff
      Self.instruction(0x61, to: 4, from: 1, offset: 4),
      Self.instruction(0x61, to: 5, from: 1, offset: 8),
    ]
    for rule in rules.reversed() { code += Self.block(rule) }
    code.append(Self.instruction(0xb4, to: 0, value: allowsByDefault ? 1 : 0))
    code.append(Self.instruction(0x95))
    return code
  }

  private static func block(_ rule: Rule) -> [UInt64] {
    // each test jumps behind the block; the distance is known once the block is
    var tests: [(code: UInt8, register: UInt8, value: UInt32)] = [(0x56, 2, rule.type)]  // jne32
    if let major = rule.major { tests.append((0x56, 4, major)) }
    if let minor = rule.minor { tests.append((0x56, 5, minor)) }
    var access: [UInt64] = []
    if rule.access != everything {
      // allowed only if nothing beyond is asked for; denied if any of it is
      access = [
        instruction(0xbc, to: 1, from: 3),
        instruction(0x54, to: 1, value: rule.allow ? ~rule.access : rule.access),
        instruction(rule.allow ? 0x56 : 0x16, to: 1, offset: 2, value: 0),
      ]
    }
    let length = tests.count + access.count + 2
    var code: [UInt64] = []
    for (index, test) in tests.enumerated() {
      code.append(instruction(test.code, to: test.register, offset: Int16(length - index - 1), value: test.value))
    }
    return code + access + [instruction(0xb4, to: 0, value: rule.allow ? 1 : 0), instruction(0x95)]
  }

  private static func instruction(
    _ code: UInt8, to destination: UInt8 = 0, from source: UInt8 = 0, offset: Int16 = 0, value: UInt32 = 0
  ) -> UInt64 {
    UInt64(code) | UInt64(destination | source << 4) << 8 | UInt64(UInt16(bitPattern: offset)) << 16 | UInt64(value)
      << 32
  }
}
