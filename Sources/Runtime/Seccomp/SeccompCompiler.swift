/// From rules to classic BPF.
///
/// ```
///   A = arch;  arch 1? → its section;  arch 2? → its section;  …;  kill the thread
/// a section:
///   A = nr;  a binary search over ranges of numbers that are answered alike, whose ends are returns or the argument checks
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
  /// Numbers from `start` on, up to the next range.
  struct Range: Equatable {
    var start: UInt32
    var decision: SeccompRules.Decision
  }

  static let maximumInstructions = 4096

  private var writer = ProgramWriter()

  /// Sections are tried in the order of `rules`; x32 joins x86_64's.
  static func compile(_ rules: [SeccompRules]) throws(SeccompError) -> [ProgramWriter.Instruction] {
    var compiler = SeccompCompiler()
    var audits: [UInt32] = []
    for rule in rules where !audits.contains(rule.architecture.audit) { audits.append(rule.architecture.audit) }
    // from the end: an unknown architecture, then the tests before it
    var entry = compiler.writer.answer(Seccomp.Verdict.killThread)
    for audit in audits.reversed() {
      let section = compiler.section(rules.filter { $0.architecture.audit == audit })
      entry = compiler.writer.test(.equal, audit, ifTrue: section, ifFalse: entry)
    }
    _ = compiler.writer.load(4, next: entry)
    let program = compiler.writer.instructions
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

  /// The tree over the ranges, before the argument checks, each of which is there once: many calls often share them.
  private mutating func section(_ rules: [SeccompRules]) -> Int {
    let ranges = Self.ranges(rules)
    var checks: [(branches: [SeccompRules.Branch], isX32: Bool, position: Int)] = []
    var leaves: [Int?] = []
    for range in ranges {
      guard case .first(let branches) = range.decision else {
        leaves.append(nil)
        continue
      }
      let isX32 = range.start & Seccomp.x32Bit != 0 && rules.contains { $0.architecture == .x32 }
      if let known = checks.first(where: { $0.branches == branches && $0.isX32 == isX32 }) {
        leaves.append(known.position)
      } else {
        let rule = rules.first { ($0.architecture == .x32) == isX32 } ?? rules[0]
        let position = check(branches, rule)
        checks.append((branches, isX32, position))
        leaves.append(position)
      }
    }
    let tree = search(Array(zip(ranges, leaves))[...])
    return writer.load(0, next: tree)
  }

  private mutating func search(_ ranges: ArraySlice<(Range, Int?)>) -> Int {
    let middle = ranges.startIndex + ranges.count / 2
    guard ranges.count > 1 else {
      guard let (range, check) = ranges.first else { return writer.answer(Seccomp.Verdict.killThread) }
      if case .always(let verdict) = range.decision { return writer.answer(verdict) }
      return check ?? writer.answer(Seccomp.Verdict.killThread)
    }
    let above = search(ranges[middle...])
    let below = search(ranges[..<middle])
    return writer.test(.greaterOrEqual, ranges[middle].0.start, ifTrue: above, ifFalse: below)
  }

  /// The branches of a call, the default behind them.
  private mutating func check(_ branches: [SeccompRules.Branch], _ rules: SeccompRules) -> Int {
    var next = writer.answer(rules.defaultVerdict)
    for branch in branches.reversed() {
      var position = writer.answer(branch.verdict)
      for condition in branch.conditions.reversed() {
        position = check(condition, is64Bit: rules.architecture.is64Bit, pass: position, fail: next)
      }
      next = position
    }
    return next
  }

  /// One condition in 32-bit steps: the upper half first, where there is one.
  private mutating func check(_ condition: SeccompRules.Condition, is64Bit: Bool, pass: Int, fail: Int) -> Int {
    // struct seccomp_data: args at 16; little-endian on all of our architectures
    let low = 16 + condition.argument * 8
    let high = low + 4
    let (highValue, lowValue) = (UInt32(condition.value >> 32), UInt32(truncatingIfNeeded: condition.value))
    let (highMask, lowMask) = (UInt32(condition.mask >> 32), UInt32(truncatingIfNeeded: condition.mask))
    var next: Int
    switch condition.comparison {
    case .equal:
      next = writer.load(low, next: writer.test(.equal, lowValue, ifTrue: pass, ifFalse: fail))
      if is64Bit { next = writer.load(high, next: writer.test(.equal, highValue, ifTrue: next, ifFalse: fail)) }
    case .notEqual:
      next = writer.load(low, next: writer.test(.equal, lowValue, ifTrue: fail, ifFalse: pass))
      if is64Bit { next = writer.load(high, next: writer.test(.equal, highValue, ifTrue: next, ifFalse: pass)) }
    case .maskedEqual:
      // an empty half of a mask is always right
      next = pass
      if lowMask != 0 {
        let test = writer.test(.equal, lowValue, ifTrue: next, ifFalse: fail)
        next = writer.load(low, next: writer.and(lowMask, next: test))
      }
      if is64Bit && highMask != 0 {
        let test = writer.test(.equal, highValue, ifTrue: next, ifFalse: fail)
        next = writer.load(high, next: writer.and(highMask, next: test))
      }
    case .greater, .greaterOrEqual:
      let test: ProgramWriter.Test = condition.comparison == .greater ? .greater : .greaterOrEqual
      next = writer.load(low, next: writer.test(test, lowValue, ifTrue: pass, ifFalse: fail))
      if is64Bit {
        let equal = writer.test(.equal, highValue, ifTrue: next, ifFalse: fail)
        next = writer.load(high, next: writer.test(.greater, highValue, ifTrue: pass, ifFalse: equal))
      }
    case .less, .lessOrEqual:
      let test: ProgramWriter.Test = condition.comparison == .less ? .greaterOrEqual : .greater
      next = writer.load(low, next: writer.test(test, lowValue, ifTrue: fail, ifFalse: pass))
      if is64Bit {
        let equal = writer.test(.equal, highValue, ifTrue: next, ifFalse: pass)
        next = writer.load(high, next: writer.test(.greater, highValue, ifTrue: fail, ifFalse: equal))
      }
    }
    return next
  }
}

extension SeccompRules {
  /// A default under which an unknown call reaches the kernel, which answers ENOSYS itself.
  var letsThrough: Bool {
    let action = defaultVerdict & 0xffff_0000
    return action == Seccomp.Verdict.allow || action == Seccomp.Verdict.log || action == Seccomp.Verdict.trace
  }
}
