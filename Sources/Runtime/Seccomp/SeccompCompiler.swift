/// From rules to classic BPF.
///
/// ```
///   A = arch;  arch 1? → its section;  arch 2? → its section;  …;  kill the thread
/// a section:
///   A = nr;  a binary search over ranges of numbers that are answered alike;  at each leaf a return, or a jump to
///   the argument checks, which follow the tree
/// ```
///
/// Neighbouring numbers with one answer are one range, so that a profile of 360 allowed calls comes to some 80 ranges an architecture
/// and 6 or 7 comparisons a call.
///
/// Numbers above the highest that the profile names get ENOSYS unless the default lets calls through (allow, log, trace): such a call
/// is younger than the profile, and programs fall back on ENOSYS but not on EPERM (runc's way since 1.0-rc93, measured on
/// every new call since clone3). On x86_64 numbers with bit 30 belong to x32: without x32 in the profile they are of a wrong
/// architecture, but -1, by which a tracer skips a call, is not.
struct SeccompCompiler {
  /// `struct sock_filter`.
  struct Instruction: Equatable {
    var code: UInt16
    var jumpTrue: UInt8 = 0
    var jumpFalse: UInt8 = 0
    var k: UInt32 = 0

    /// BPF_LD|BPF_W|BPF_ABS and so on (linux/filter.h, linux/bpf_common.h).
    static func load(_ offset: UInt32) -> Instruction { Instruction(code: 0x20, k: offset) }
    static func and(_ mask: UInt32) -> Instruction { Instruction(code: 0x54, k: mask) }
    static func answer(_ verdict: UInt32) -> Instruction { Instruction(code: 0x06, k: verdict) }
    static func skip(_ count: Int) -> Instruction { Instruction(code: 0x05, k: UInt32(count)) }
    static let equal: UInt16 = 0x15
    static let greater: UInt16 = 0x25
    static let greaterOrEqual: UInt16 = 0x35
  }

  /// Numbers from `start` on, up to the next range.
  struct Range: Equatable {
    var start: UInt32
    var decision: SeccompRules.Decision
  }

  static let maximumInstructions = 4096

  /// Sections are tried in the order of `architectures`; x32 joins x86_64's.
  static func compile(_ rules: [SeccompRules]) throws(SeccompError) -> [Instruction] {
    var program: [Instruction] = [.load(4)]
    var done: Set<UInt32> = []
    for rule in rules where done.insert(rule.architecture.audit).inserted {
      let together = rules.filter { $0.architecture.audit == rule.architecture.audit }
      let section = section(together)
      // a long section is jumped over by a jump of its own: conditional ones reach 255
      if section.count <= 255 {
        program.append(
          Instruction(code: Instruction.equal, jumpFalse: UInt8(section.count), k: rule.architecture.audit))
      } else {
        program.append(Instruction(code: Instruction.equal, jumpTrue: 1, k: rule.architecture.audit))
        program.append(.skip(section.count))
      }
      program += section
    }
    program.append(.answer(Seccomp.Verdict.killThread))
    guard program.count <= maximumInstructions else {
      throw SeccompError(
        "seccomp: the profile comes to \(program.count) instructions, and the kernel takes \(maximumInstructions)")
    }
    return program
  }

  /// All of 0 to 2^32-1, as ranges of equal decisions, for the rules of one audit architecture.
  static func ranges(_ rules: [SeccompRules]) -> [Range] {
    var result: [Range] = []
    func append(_ start: UInt32, _ decision: SeccompRules.Decision) {
      if let last = result.last {
        if last.decision == decision { return }
        if last.start == start { result.removeLast() }
      }
      if result.last?.decision != decision { result.append(Range(start: start, decision: decision)) }
    }
    /// The named numbers of one table, from `start`; what lies between them is the default, what follows the last is `beyond`.
    func table(_ rule: SeccompRules, from start: UInt32) {
      append(start, .always(rule.defaultVerdict))
      for number in rule.decisions.keys.sorted() {
        append(number, rule.decision(number))
        append(number + 1, .always(rule.defaultVerdict))
      }
      if let last = rule.last, !rule.letsThrough { append(last + 1, .always(enosys)) }
    }
    let main = rules.first { $0.architecture != .x32 }
    let x32 = rules.first { $0.architecture == .x32 }
    let isX86 = rules.contains { $0.architecture.audit == Seccomp.Architecture.x86_64.audit }
    let kill = SeccompRules.Decision.always(Seccomp.Verdict.killThread)
    if let main { table(main, from: 0) } else { append(0, kill) }
    guard isX86 else { return result }
    let afterMain = result.last?.decision ?? kill
    if let x32 {
      table(x32, from: Seccomp.x32Bit)
      // the halves again: bit 31 is no call of either
      let afterX32 = result.last?.decision ?? kill
      append(0x8000_0000, afterMain)
      append(0xc000_0000, afterX32)
    } else if let main {
      append(Seccomp.x32Bit, kill)
      append(0x8000_0000, main.last != nil && !main.letsThrough ? afterMain : kill)
      append(0xc000_0000, kill)
      append(.max, .always(main.defaultVerdict))
    }
    return result
  }

  private static let enosys = Seccomp.Verdict.errno | 38

  /// The tree over the ranges, then the argument checks, each once: many calls often share them.
  private static func section(_ rules: [SeccompRules]) -> [Instruction] {
    let ranges = ranges(rules)
    var checks: [(branches: [SeccompRules.Branch], isX32: Bool, leaves: [Int])] = []
    var code = search(ranges[...])
    // the leaves are marked by the index of their range
    for (index, instruction) in code.enumerated() where instruction.code == mark {
      let range = ranges[Int(instruction.k)]
      guard case .first(let branches) = range.decision else { continue }
      let isX32 = range.start & Seccomp.x32Bit != 0 && rules.contains { $0.architecture == .x32 }
      if let known = checks.firstIndex(where: { $0.branches == branches && $0.isX32 == isX32 }) {
        checks[known].leaves.append(index)
      } else {
        checks.append((branches, isX32, [index]))
      }
    }
    for check in checks {
      for leaf in check.leaves { code[leaf] = .skip(code.count - leaf - 1) }
      let rule = rules.first { ($0.architecture == .x32) == check.isX32 } ?? rules[0]
      for branch in check.branches { code += self.branch(branch, is64Bit: rule.architecture.is64Bit) }
      code.append(.answer(rule.defaultVerdict))
    }
    return [.load(0)] + code
  }

  /// No instruction: a leaf whose checks are placed later.
  private static let mark: UInt16 = 0xffff

  private static func search(_ ranges: ArraySlice<Range>) -> [Instruction] {
    let middle = ranges.startIndex + ranges.count / 2
    guard ranges.count > 1 else {
      guard let range = ranges.first else { return [.answer(Seccomp.Verdict.killThread)] }
      if case .always(let verdict) = range.decision { return [.answer(verdict)] }
      return [Instruction(code: mark, k: UInt32(ranges.startIndex))]
    }
    let below = search(ranges[..<middle])
    let above = search(ranges[middle...])
    if below.count <= 255 {
      return [Instruction(code: Instruction.greaterOrEqual, jumpTrue: UInt8(below.count), k: ranges[middle].start)]
        + below + above
    }
    return [Instruction(code: Instruction.greaterOrEqual, jumpFalse: 1, k: ranges[middle].start), .skip(below.count)]
      + below + above
  }

  /// Where a condition's jumps go: on to the next condition, or behind the branch.
  private enum Target { case next, pass, fail }

  private static func branch(_ branch: SeccompRules.Branch, is64Bit: Bool) -> [Instruction] {
    var steps: [(instruction: Instruction, ifTrue: Target, ifFalse: Target, conditionEnd: Int)] = []
    for condition in branch.conditions {
      let start = steps.count
      for (instruction, ifTrue, ifFalse) in check(condition, is64Bit: is64Bit) {
        steps.append((instruction, ifTrue, ifFalse, 0))
      }
      for index in start..<steps.count { steps[index].conditionEnd = steps.count }
    }
    // the return behind the conditions belongs to the branch
    let end = steps.count + 1
    var code: [Instruction] = []
    for (index, step) in steps.enumerated() {
      func distance(_ target: Target) -> UInt8 {
        switch target {
        case .next: 0
        case .pass: UInt8(step.conditionEnd - index - 1)
        case .fail: UInt8(end - index - 1)  // at most 6 conditions of 6 instructions
        }
      }
      var instruction = step.instruction
      instruction.jumpTrue = distance(step.ifTrue)
      instruction.jumpFalse = distance(step.ifFalse)
      code.append(instruction)
    }
    return code + [.answer(branch.verdict)]
  }

  /// One condition in 32-bit steps: the upper half first, where there is one.
  private static func check(_ condition: SeccompRules.Condition, is64Bit: Bool) -> [(Instruction, Target, Target)] {
    // struct seccomp_data: args at 16; little-endian on all of our architectures
    let low = 16 + condition.argument * 8
    let high = low + 4
    let (highValue, lowValue) = (UInt32(condition.value >> 32), UInt32(truncatingIfNeeded: condition.value))
    let (highMask, lowMask) = (UInt32(condition.mask >> 32), UInt32(truncatingIfNeeded: condition.mask))
    func plain(_ instruction: Instruction) -> (Instruction, Target, Target) { (instruction, .next, .next) }
    func jump(_ code: UInt16, _ value: UInt32, _ ifTrue: Target, _ ifFalse: Target) -> (Instruction, Target, Target) {
      (Instruction(code: code, k: value), ifTrue, ifFalse)
    }
    typealias I = Instruction
    switch condition.comparison {
    case .equal:
      let upper = [plain(.load(high)), jump(I.equal, highValue, .next, .fail)]
      return (is64Bit ? upper : []) + [plain(.load(low)), jump(I.equal, lowValue, .next, .fail)]
    case .notEqual:
      let upper = [plain(.load(high)), jump(I.equal, highValue, .next, .pass)]
      return (is64Bit ? upper : []) + [plain(.load(low)), jump(I.equal, lowValue, .fail, .next)]
    case .maskedEqual:
      // an empty half of a mask is always right
      let upper = [plain(.load(high)), plain(.and(highMask)), jump(I.equal, highValue, .next, .fail)]
      let lower = [plain(.load(low)), plain(.and(lowMask)), jump(I.equal, lowValue, .next, .fail)]
      return (is64Bit && highMask != 0 ? upper : []) + (lowMask != 0 ? lower : [])
    case .greater, .greaterOrEqual:
      let upper = [
        plain(.load(high)), jump(I.greater, highValue, .pass, .next), jump(I.equal, highValue, .next, .fail),
      ]
      let test = condition.comparison == .greater ? I.greater : I.greaterOrEqual
      return (is64Bit ? upper : []) + [plain(.load(low)), jump(test, lowValue, .next, .fail)]
    case .less, .lessOrEqual:
      let upper = [
        plain(.load(high)), jump(I.greater, highValue, .fail, .next), jump(I.equal, highValue, .next, .pass),
      ]
      let test = condition.comparison == .less ? I.greaterOrEqual : I.greater
      return (is64Bit ? upper : []) + [plain(.load(low)), jump(test, lowValue, .fail, .next)]
    }
  }
}

extension SeccompRules {
  /// A default under which an unknown call reaches the kernel, which answers ENOSYS itself.
  var letsThrough: Bool {
    let action = defaultVerdict & 0xffff_0000
    return action == Seccomp.Verdict.allow || action == Seccomp.Verdict.log || action == Seccomp.Verdict.trace
  }
}
