import OCI
import Testing

@testable import Seccomp

/// A generator of the same numbers in every run.
struct Sequence64: RandomNumberGenerator {
  var state: UInt64
  mutating func next() -> UInt64 {
    state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
    return state ^ state >> 29
  }
}

let dockerCapabilities = [
  "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
  "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
]

@Suite struct CompilerTests {
  private typealias Rule = RuntimeSpec.Seccomp.Rule
  private typealias Argument = RuntimeSpec.Seccomp.Argument

  /// Every call of 0 to 600 and the odd ones, on every architecture; those that rules check, with arguments around all values that they are
  /// compared with.
  private func calls(_ profile: RuntimeSpec.Seccomp, _ architectures: [Seccomp.Architecture]) -> [Call] {
    var compared: [String: Set<UInt64>] = [:]
    for rule in profile.syscalls where !rule.args.isEmpty {
      var values: Set<UInt64> = [0, .max, 0x1_0000_0000]
      for value in rule.args.flatMap({ [$0.value, $0.valueTwo] }) {
        values.formUnion([value, value &+ 1, value &- 1, value ^ 0x1_0000_0000, ~value])
      }
      for name in rule.names { compared[name, default: []].formUnion(values) }
    }
    var result: [Call] = []
    for architecture in architectures {
      let bit: UInt32 = architecture == .x32 ? 0x4000_0000 : 0
      let odd: [UInt32] = [
        .max, .max - 1, 0x3fff_ffff, 0x4000_0000, 0x7fff_ffff, 0x8000_0000, 0xbfff_ffff, 0xc000_0000, 983_041, 983_047,
      ]
      for number in (0...600).map({ $0 | bit }) + odd {
        result.append(Call(number: number, architecture: architecture))
      }
      for (name, values) in compared {
        var numbers = [SyscallTable.shared.number(name, architecture)].compactMap { $0 }
        if let multiplexer = SyscallTable.multiplexed(name, architecture) {
          numbers.append(multiplexer.number)
          for call in UInt64(0)...25 {
            result.append(
              Call(number: multiplexer.number, architecture: architecture, arguments: [call, 1, 2, 3, 4, 5]))
          }
        }
        for number in numbers {
          for value in values {
            result.append(
              Call(number: number, architecture: architecture, arguments: [UInt64](repeating: value, count: 6)))
            // one argument apart from the others
            for index in 0..<6 {
              var arguments = [UInt64](repeating: 0, count: 6)
              arguments[index] = value
              result.append(Call(number: number, architecture: architecture, arguments: arguments))
            }
          }
        }
      }
    }
    return result
  }

  private func compare(_ profile: RuntimeSpec.Seccomp, native: Seccomp.Architecture = .x86_64) throws {
    let program = try Seccomp.compile(profile, native: native)
    let interpreter = try Interpreter(program.bytes)
    let naive = NaiveEvaluator(profile, native: native)
    var different = 0
    for call in calls(profile, [.x86_64, .x32, .x86, .aarch64, .arm]) {
      let (compiled, expected) = (try interpreter.run(call), try naive.verdict(call))
      if compiled != expected {
        different += 1
        if different <= 5 {
          Issue.record("\(call): \(String(compiled, radix: 16)), not \(String(expected, radix: 16))")
        }
      }
    }
    #expect(different == 0)
  }

  @Test func dockersProfileSaysTheSameCompiledAndRead() throws {
    for capabilities in [dockerCapabilities, [], dockerCapabilities + ["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"]] {
      try compare(Seccomp.dockerDefault(capabilities: capabilities, kernel: (6, 12)))
    }
    try compare(
      Seccomp.dockerDefault(capabilities: dockerCapabilities, kernel: (4, 4), native: .aarch64), native: .aarch64)
  }

  @Test func everyOperatorAndActionSaysTheSameCompiledAndRead() throws {
    let operators = ["NE", "LT", "LE", "EQ", "GE", "GT", "MASKED_EQ"]
    let actions = ["ALLOW", "KILL_PROCESS", "TRAP", "TRACE", "LOG", "KILL", "ERRNO"]
    for (index, op) in operators.enumerated() {
      for value: UInt64 in [0, 5, 0xffff_ffff, 0x1_0000_0005, .max, 0x8000_0000_0000_0000] {
        let rules = [
          Rule(
            names: ["read", "socket", "shmget"], action: "SCMP_ACT_" + actions[index], errnoRet: 7,
            args: [
              Argument(
                index: UInt32(index % 6), value: value, valueTwo: value & 0xf0f0_f0f0_0f0f_0f0f, op: "SCMP_CMP_" + op)
            ]),
          Rule(names: ["write"], action: "SCMP_ACT_ERRNO", errnoRet: 0),
        ]
        for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL_PROCESS"] {
          try compare(
            RuntimeSpec.Seccomp(
              defaultAction: action, defaultErrnoRet: 9, architectures: ["SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
              syscalls: rules))
        }
      }
    }
  }

  /// `forLibseccomp`: one action, and one rule a call unless its conditions are equalities. Its tree answers wrongly where several
  /// rules compare one argument by order (`1 LE ff` or `1 GE ffffffffffffffff` matches ffffffff in 2.5.4).
  private func randomProfile(_ random: inout Sequence64, forLibseccomp: Bool) -> RuntimeSpec.Seccomp {
    var names = SyscallTable.shared.all(.x86_64).keys.sorted() + ["no_such_call", "socketcall", "ipc", "stat64"]
    let operators = ["EQ", "MASKED_EQ", "NE", "LT", "LE", "GE", "GT"]
    let values: [UInt64] = [
      0, 1, 2, 3, 15, 255, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1234_5678_9abc_def0, .max,
    ]
    func pick<T>(_ values: [T]) -> T { values[Int.random(in: 0..<values.count, using: &random)] }
    let actions = ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_TRAP", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS"]
    let single = pick(actions)
    var rules: [Rule] = []
    for _ in 0..<Int.random(in: 1...50, using: &random) {
      let onlyEqual = Bool.random(using: &random)
      var args: [Argument] = []
      for _ in 0..<Int.random(in: 0...3, using: &random) {
        let index = UInt32.random(in: 0...5, using: &random)
        if forLibseccomp && args.contains(where: { $0.index == index }) { continue }
        let op = onlyEqual ? "EQ" : pick(operators)
        args.append(Argument(index: index, value: pick(values), valueTwo: pick(values), op: "SCMP_CMP_" + op))
      }
      let chosen = (0..<Int.random(in: 1...8, using: &random)).map { _ in pick(names) }
      if forLibseccomp && !onlyEqual { names.removeAll { chosen.contains($0) } }
      let used = Set(rules.flatMap(\.names))
      if forLibseccomp && !onlyEqual && !used.isDisjoint(with: chosen) { continue }
      rules.append(
        Rule(
          names: chosen, action: forLibseccomp ? single : pick(actions),
          errnoRet: forLibseccomp ? 33 : UInt32.random(in: 1...40, using: &random), args: args))
    }
    let open = Bool.random(using: &random)
    let architectures = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"].prefix(
      Int.random(in: 0...3, using: &random))
    return RuntimeSpec.Seccomp(
      defaultAction: open ? "SCMP_ACT_ALLOW" : "SCMP_ACT_ERRNO", defaultErrnoRet: open ? nil : 1,
      architectures: Array(architectures), syscalls: rules)
  }

  @Test func profilesByChanceSayTheSameCompiledAndRead() throws {
    var random = Sequence64(state: 42)
    for _ in 0..<12 { try compare(randomProfile(&random, forLibseccomp: false)) }
  }

  /// Compares with libseccomp's program for the profile, and knows runc's ENOSYS for what is younger than it.
  private func compareWithLibseccomp(_ profile: RuntimeSpec.Seccomp) throws {
    let (theirs, known) = try LibseccompOracle.compile(profile)
    let ours = try Interpreter(Seccomp.compile(known, native: .x86_64).bytes)
    let libseccomp = try Interpreter(theirs)
    let isOpen = known.defaultAction == "SCMP_ACT_ALLOW" || known.defaultAction == "SCMP_ACT_LOG"
    var last: [Seccomp.Architecture: UInt32] = [:]
    for architecture in [Seccomp.Architecture.x86_64, .x32, .x86] {
      last[architecture] = try SeccompRules(known, architecture).last
    }
    var different = 0
    for call in calls(known, [.x86_64, .x32, .x86, .arm]) {
      let (a, b) = (try ours.run(call), try libseccomp.run(call))
      // the kernel takes the program's answer as one action when both kill the same
      if a == b { continue }
      let isX32 = call.architecture != .x86 && call.number & 0x4000_0000 != 0
      let table: Seccomp.Architecture = call.architecture == .x86 ? .x86 : isX32 ? .x32 : .x86_64
      if !isOpen, let last = last[table], call.number > last, a == 0x0005_0000 | 38 { continue }
      different += 1
      if different == 1 {
        let here = known.syscalls.filter { $0.names.contains { SyscallTable.shared.number($0, table) == call.number } }
        print(
          "rules:",
          here.map {
            (
              $0.action,
              $0.args.map { "\($0.index) \($0.op) \(String($0.value, radix: 16)) \(String($0.valueTwo, radix: 16))" }
            )
          })
      }
      if different <= 5 { Issue.record("\(call): ours \(String(a, radix: 16)), libseccomp's \(String(b, radix: 16))") }
    }
    #expect(different == 0)
    print(
      "compared with libseccomp: ours \(try Seccomp.compile(known, native: .x86_64).count) instructions, theirs \(theirs.count / 8)"
    )
  }

  @Test func dockersProfileSaysTheSameAsLibseccompsProgram() throws {
    if case .failure(let reason) = LibseccompOracle.tool {
      return print("SKIPPED: comparison with libseccomp: \(reason)")
    }
    guard Seccomp.Architecture.native == .x86_64 else {
      return print("SKIPPED: comparison with libseccomp: not on x86_64")
    }
    try compareWithLibseccomp(Seccomp.dockerDefault(capabilities: dockerCapabilities, kernel: (6, 12)))
    try compareWithLibseccomp(Seccomp.dockerDefault(capabilities: ["CAP_SYS_ADMIN"], kernel: (6, 12)))
  }

  @Test func profilesByChanceSayTheSameAsLibseccompsPrograms() throws {
    if case .failure(let reason) = LibseccompOracle.tool {
      return print("SKIPPED: comparison with libseccomp: \(reason)")
    }
    guard Seccomp.Architecture.native == .x86_64 else {
      return print("SKIPPED: comparison with libseccomp: not on x86_64")
    }
    var random = Sequence64(state: 7)
    for _ in 0..<12 { try compareWithLibseccomp(randomProfile(&random, forLibseccomp: true)) }
  }

  @Test func longSectionsAndSubtreesAreJumpedOver() throws {
    // every second call has an argument check: far more than 255 instructions a section
    let names = SyscallTable.shared.all(.x86_64).sorted { $0.value < $1.value }.enumerated().filter {
      $0.offset % 2 == 0
    }.map(\.element.key)
    let rules = names.enumerated().map { index, name in
      Rule(names: [name], action: "SCMP_ACT_ALLOW", args: [Argument(index: 1, value: UInt64(index), op: "SCMP_CMP_GT")])
    }
    let profile = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"], syscalls: rules)
    #expect(try Seccomp.compile(profile, native: .x86_64).count > 2000)
    try compare(profile)
  }

  @Test func aProgramThatTheKernelWouldRefuseIsRefused() {
    let names = SyscallTable.shared.all(.x86_64).keys.sorted()
    let args = (0..<6).map { Argument(index: UInt32($0), value: .max / 3, op: "SCMP_CMP_LE") }
    let profile = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ERRNO", syscalls: [Rule(names: names, action: "SCMP_ACT_ALLOW", args: args)])
    // equal checks are shared by neighbours; let them differ
    var rules: [Rule] = []
    for (index, name) in names.enumerated() {
      var rule = profile.syscalls[0]
      rule.names = [name]
      rule.args[0].value = UInt64(index)
      rules.append(rule)
    }
    #expect(throws: SeccompError.self) {
      try Seccomp.compile(RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ERRNO", syscalls: rules), native: .x86_64)
    }
  }

  @Test func faultsAreNamed() {
    func error(_ profile: RuntimeSpec.Seccomp) -> String? {
      do {
        _ = try Seccomp.compile(profile)
        return nil
      } catch { return error.message }
    }
    func rule(
      _ action: String = "SCMP_ACT_ALLOW", names: [String] = ["read"], index: UInt32 = 0, op: String = "SCMP_CMP_EQ"
    ) -> RuntimeSpec.Seccomp {
      RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ERRNO",
        syscalls: [Rule(names: names, action: action, args: [Argument(index: index, value: 0, op: op)])])
    }
    #expect(error(rule()) == nil)
    #expect(error(rule("SCMP_ACT_PLEASE"))?.contains("SCMP_ACT_PLEASE") == true)
    #expect(error(rule(index: 6))?.contains("linux.seccomp.syscalls[0].args[0].index") == true)
    #expect(error(rule(op: "SCMP_CMP_LIKE"))?.contains("SCMP_CMP_LIKE") == true)
    #expect(
      error(rule("SCMP_ACT_NOTIFY", names: ["write"]))
        == "linux.seccomp.syscalls[0].action: SCMP_ACT_NOTIFY cannot be used for the write syscall")
    #expect(
      error(RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_NOTIFY"))
        == "linux.seccomp.defaultAction: SCMP_ACT_NOTIFY cannot be used as default action")
    #expect(error(RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW", architectures: ["VAX"])) != nil)
    #expect(error(RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW", flags: ["FLAG"])) != nil)
  }

  @Test func compilationIsFastAndShort() throws {
    let profile = Seccomp.dockerDefault(capabilities: dockerCapabilities, kernel: (6, 12))
    _ = try Seccomp.compile(profile)
    let clock = ContinuousClock()
    var count = 0
    let time = try clock.measure { for _ in 0..<20 { count = try Seccomp.compile(profile).count } }
    print("Docker's profile: \(count) instructions, \(time / 20) a compilation (of this build)")
    #expect(count < 1000)
  }
}
