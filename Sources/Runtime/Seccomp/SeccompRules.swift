import OCI

/// A profile resolved for one architecture: what each system call number is answered.
///
/// Rules add up as libseccomp adds them: a rule without arguments takes over its call for good, rules with arguments are alternatives in
/// their order, a rule whose action is the default is nothing, an unknown name too.
struct SeccompRules {
  enum Decision: Equatable {
    case always(UInt32)
    case first([Branch])
  }

  /// All conditions hold: this verdict. Otherwise the next branch, after the last one the default.
  struct Branch: Equatable {
    var conditions: [Condition]
    var verdict: UInt32
  }

  struct Condition: Equatable {
    enum Comparison: String {
      case notEqual = "SCMP_CMP_NE"
      case less = "SCMP_CMP_LT"
      case lessOrEqual = "SCMP_CMP_LE"
      case equal = "SCMP_CMP_EQ"
      case greaterOrEqual = "SCMP_CMP_GE"
      case greater = "SCMP_CMP_GT"
      case maskedEqual = "SCMP_CMP_MASKED_EQ"
    }
    /// 0 to 5.
    var argument: UInt32
    var comparison: Comparison
    var value: UInt64
    var mask: UInt64 = .max
  }

  let architecture: Seccomp.Architecture
  let defaultVerdict: UInt32
  private(set) var decisions: [UInt32: Decision] = [:]
  /// The highest number that the profile names, even in a rule that is nothing; nil when it names none. What is above is younger than the
  /// profile: see `SeccompCompiler`.
  private(set) var last: UInt32?

  init(_ profile: RuntimeSpec.Seccomp, _ architecture: Seccomp.Architecture) throws(SeccompError) {
    self.architecture = architecture
    defaultVerdict = try Seccomp.verdict(
      action: profile.defaultAction, errno: profile.defaultErrnoRet,
      ("linux.seccomp.defaultAction", "linux.seccomp.defaultErrnoRet"))
    guard defaultVerdict != Seccomp.Verdict.notify else {
      throw SeccompError("linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action")
    }
    for (index, rule) in profile.syscalls.enumerated() { try add(rule, "linux.seccomp.syscalls[\(index)]") }
  }

  private mutating func add(_ rule: RuntimeSpec.Seccomp.Rule, _ path: String) throws(SeccompError) {
    let verdict = try Seccomp.verdict(action: rule.action, errno: rule.errnoRet, (path + ".action", path + ".errnoRet"))
    if verdict == Seccomp.Verdict.notify && rule.names.contains("write") {
      throw SeccompError("\(path).action: SCMP_ACT_NOTIFY cannot be used for the write syscall")
    }
    var conditions: [Condition] = []
    for (index, argument) in rule.args.enumerated() {
      conditions.append(try Self.condition(argument, "\(path).args[\(index)]"))
    }
    // several conditions on one argument make every condition an alternative (runc's way since its first profiles)
    let isAlternatives = Set(conditions.map(\.argument)).count < conditions.count
    let alternatives = isAlternatives ? conditions.map { [$0] } : [conditions]
    let table = SyscallTable.shared
    for (index, name) in rule.names.enumerated() {
      guard !name.isEmpty else {
        throw SeccompError("\(path).names[\(index)]: an empty string is not a valid syscall")
      }
      let multiplexed = SyscallTable.multiplexed(name, architecture)
      if let number = table.number(name, architecture) {
        last = max(last ?? 0, number)
        if verdict != defaultVerdict {
          for conditions in alternatives { add(number, Branch(conditions: conditions, verdict: verdict)) }
        }
      }
      if let multiplexed { last = max(last ?? 0, multiplexed.number) }
      if let multiplexed, verdict != defaultVerdict {
        for conditions in alternatives {
          // the call's own first argument is out of reach there: which sub-call it is takes its place
          let rest = conditions.filter { $0.argument != 0 }
          let call = Condition(argument: 0, comparison: .equal, value: multiplexed.call)
          add(multiplexed.number, Branch(conditions: [call] + rest, verdict: verdict))
        }
      }
    }
  }

  private mutating func add(_ number: UInt32, _ branch: Branch) {
    switch decisions[number] {
    case .always: return
    case .first(let branches) where !branch.conditions.isEmpty: decisions[number] = .first(branches + [branch])
    default: decisions[number] = branch.conditions.isEmpty ? .always(branch.verdict) : .first([branch])
    }
  }

  private static func condition(_ argument: RuntimeSpec.Seccomp.Argument, _ path: String) throws(SeccompError)
    -> Condition
  {
    guard argument.index < 6 else { throw SeccompError("\(path).index: \(argument.index) is not between 0 and 5") }
    guard let comparison = Condition.Comparison(rawValue: argument.op) else {
      throw SeccompError("\(path).op: unknown operator \"\(argument.op)\"")
    }
    if comparison == .maskedEqual {
      return Condition(
        argument: argument.index, comparison: comparison, value: argument.valueTwo & argument.value,
        mask: argument.value)
    }
    return Condition(argument: argument.index, comparison: comparison, value: argument.value)
  }

  func decision(_ number: UInt32) -> Decision { decisions[number] ?? .always(defaultVerdict) }
}
