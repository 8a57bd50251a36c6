import OCI

@testable import Seccomp

/// What a profile says of one call, read off the profile itself, rule by rule: the compiler's opposite number.
struct NaiveEvaluator {
  let profile: RuntimeSpec.Seccomp
  let native: Seccomp.Architecture
  private let architectures: [Seccomp.Architecture]
  private let names: [Seccomp.Architecture: [UInt32: [String]]]
  private let last: [Seccomp.Architecture: UInt32]

  init(_ profile: RuntimeSpec.Seccomp, native: Seccomp.Architecture = .native) {
    self.profile = profile
    self.native = native
    architectures =
      [native] + profile.architectures.compactMap { Seccomp.Architecture(rawValue: $0) }.filter { $0 != native }
    let named = Set(profile.syscalls.flatMap(\.names))
    var names: [Seccomp.Architecture: [UInt32: [String]]] = [:]
    var last: [Seccomp.Architecture: UInt32] = [:]
    for architecture in architectures {
      var table: [UInt32: [String]] = [:]
      for (name, number) in SyscallTable.shared.all(architecture) { table[number, default: []].append(name) }
      names[architecture] = table
      let direct = SyscallTable.shared.all(architecture).filter { named.contains($0.key) }.map(\.value)
      let muxed = named.compactMap { SyscallTable.multiplexed($0, architecture)?.number }
      last[architecture] = (direct + muxed).max()
    }
    self.names = names
    self.last = last
  }

  func verdict(_ call: Call) throws -> UInt32 {
    let x86 = call.architecture == .x86_64 || call.architecture == .x32
    let isX32 = x86 && call.number & 0x4000_0000 != 0
    let architecture: Seccomp.Architecture = x86 ? (isX32 ? .x32 : .x86_64) : call.architecture
    let action = try Seccomp.verdict(
      action: profile.defaultAction, errno: profile.defaultErrnoRet, ("action", "errnoRet"))
    let isOpen = ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(profile.defaultAction)
    if isX32 && !architectures.contains(.x32) && architectures.contains(.x86_64) {
      return call.number == .max ? action : 0
    }
    guard architectures.contains(architecture) else { return 0 }
    if !isOpen, let last = last[architecture], call.number > last { return 0x0005_0000 | 38 }
    if isOpen && x86 && !isX32 && call.number > 0x4000_0000 && !architectures.contains(.x32) { return 0 }

    var conditional: [(SeccompRules.Branch)] = []
    let own = names[architecture]?[call.number] ?? []
    for rule in profile.syscalls {
      let verdict = try Seccomp.verdict(action: rule.action, errno: rule.errnoRet, ("action", "errnoRet"))
      if verdict == action { continue }
      for name in rule.names {
        let mux = SyscallTable.multiplexed(name, architecture)
        let isMux = mux?.number == call.number
        guard own.contains(name) || isMux else { continue }
        let several = Set(rule.args.map(\.index)).count < rule.args.count
        let groups = several ? rule.args.map { [$0] } : [rule.args]
        for group in groups {
          var checked = group
          if isMux, let mux {
            checked = [.init(index: 0, value: mux.call, op: "SCMP_CMP_EQ")] + group.filter { $0.index != 0 }
          }
          if checked.isEmpty { return verdict }
          conditional.append(.init(conditions: [], verdict: holds(checked, call, architecture) ? verdict : .max))
        }
      }
    }
    return conditional.first { $0.verdict != .max }?.verdict ?? action
  }

  private func holds(_ group: [RuntimeSpec.Seccomp.Argument], _ call: Call, _ architecture: Seccomp.Architecture)
    -> Bool
  {
    group.allSatisfy { condition in
      let width: UInt64 = architecture == .x86_64 || architecture == .aarch64 ? .max : 0xffff_ffff
      let argument = call.arguments[Int(condition.index)] & width
      let value = condition.value & width
      switch condition.op {
      case "SCMP_CMP_EQ": return argument == value
      case "SCMP_CMP_NE": return argument != value
      case "SCMP_CMP_LT": return argument < value
      case "SCMP_CMP_LE": return argument <= value
      case "SCMP_CMP_GT": return argument > value
      case "SCMP_CMP_GE": return argument >= value
      case "SCMP_CMP_MASKED_EQ": return argument & value == condition.valueTwo & value
      default: return false
      }
    }
  }
}
