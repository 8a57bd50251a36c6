public import OCI

/// System call filters: from a profile to a program of classic BPF.
///
/// Owns: the compiler (`compile`), Docker's default profile (`dockerDefault`), the reader of Docker's profile files
/// (`profile(json:)`), the system call numbers of each architecture (`SyscallTable`, used by the daemon only) and the loading of a
/// program (`SeccompProgram.load`, all that the shim needs).
///
/// ```
/// <exec-root>/seccomp/<key>.bpf     written by the daemon: the program's `struct sock_filter`s, 8 bytes each, host order
/// ```
///
/// Profiles are pure values and compilation is a pure function: equal profiles give equal programs and equal `key`s. A compiled file
/// may be kept for ever, and removed at any time that no launch plan names it.
///
/// Must not: depend on libseccomp (1.3 ms a filter), import Foundation, keep state.
public enum Seccomp {
  /// Compiles a profile for the architecture of this machine and those that the profile names.
  ///
  /// Names that no table knows are left out, as libseccomp's users do. The native architecture is always in. Numbers younger than all
  /// that the profile names are ENOSYS unless the default lets calls through, as runc has it.
  public static func compile(_ profile: RuntimeSpec.Seccomp, native: Architecture = .native) throws(SeccompError)
    -> SeccompProgram
  {
    var architectures = [native]
    for (index, name) in profile.architectures.enumerated() {
      guard name.hasPrefix("SCMP_ARCH_"), knownArchitectures.contains(name) else {
        throw SeccompError("linux.seccomp.architectures[\(index)]: unknown architecture \"\(name)\"")
      }
      // other machines' architectures never reach this kernel
      guard let architecture = Architecture(rawValue: name), !architectures.contains(architecture) else { continue }
      architectures.append(architecture)
    }
    var rules: [SeccompRules] = []
    for architecture in architectures { rules.append(try SeccompRules(profile, architecture)) }
    let instructions = try SeccompCompiler.compile(rules)
    var bytes: [UInt8] = []
    bytes.reserveCapacity(instructions.count * 8)
    for instruction in instructions {
      withUnsafeBytes(of: instruction.code) { bytes.append(contentsOf: $0) }
      bytes.append(instruction.jumpTrue)
      bytes.append(instruction.jumpFalse)
      withUnsafeBytes(of: instruction.k) { bytes.append(contentsOf: $0) }
    }
    return SeccompProgram(bytes: bytes, flags: try flags(profile))
  }

  /// The flags that a profile is loaded with (SECCOMP_FILTER_FLAG_… of linux/seccomp.h).
  public static func flags(_ profile: RuntimeSpec.Seccomp) throws(SeccompError) -> UInt32 {
    var flags: UInt32 = profile.flags.isEmpty ? SeccompProgram.defaultFlags : 0
    for (index, name) in profile.flags.enumerated() {
      guard let flag = flagNumbers[name] else {
        throw SeccompError("linux.seccomp.flags[\(index)]: unknown flag \"\(name)\"")
      }
      flags |= flag
    }
    if profile.syscalls.contains(where: { $0.action == "SCMP_ACT_NOTIFY" }) {
      flags |= SeccompProgram.newListener
      // with a listener, TSYNC must report a failing thread by ESRCH instead of its id
      if flags & 1 != 0 { flags |= 16 }
    } else if flags & 32 != 0 {
      throw SeccompError(
        "linux.seccomp.flags: SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV needs a rule with SCMP_ACT_NOTIFY")
    }
    return flags
  }

  /// Of the specification (config-linux.md, "Seccomp"); most of them are of machines that we don't run on.
  private static let knownArchitectures = Set(
    [
      "X86", "X86_64", "X32", "ARM", "AARCH64", "LOONGARCH64", "M68K", "MIPS", "MIPS64", "MIPS64N32", "MIPSEL",
      "MIPSEL64", "MIPSEL64N32", "PPC", "PPC64", "PPC64LE", "RISCV64", "S390", "S390X", "SH", "SHEB", "PARISC",
      "PARISC64", "NATIVE",
    ].map { "SCMP_ARCH_" + $0 })

  private static let flagNumbers: [String: UInt32] = [
    "SECCOMP_FILTER_FLAG_TSYNC": 1, "SECCOMP_FILTER_FLAG_LOG": 2, "SECCOMP_FILTER_FLAG_SPEC_ALLOW": 4,
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV": 32,
  ]

  /// The names that a profile may have among its flags.
  public static var knownFlags: [String] { flagNumbers.keys.sorted() }

  /// Those of them that this kernel has: without a filter it looks at the flags first, and faults (EFAULT) when it knows them.
  public static func supportedFlags() -> [String] {
    knownFlags.filter { name in
      guard let flag = flagNumbers[name] else { return false }
      return SeccompProgram.isSupported(flag | (flag == 32 ? SeccompProgram.newListener : 0))
    }
  }

  /// Whether a call always passes on this machine's own architecture.
  public static func allows(_ call: String, _ profile: RuntimeSpec.Seccomp) throws(SeccompError) -> Bool {
    let rules = try SeccompRules(profile, .native)
    guard let number = SyscallTable.shared.number(call, .native) else { return false }
    return rules.decision(number) == .always(Verdict.allow) || rules.decision(number) == .always(Verdict.log)
  }

  /// SHA-256 of the profile's content and of the compiler's version, in hexadecimal: the name of its compiled form.
  public static func key(_ profile: RuntimeSpec.Seccomp, native: Architecture = .native) -> String {
    // every field ends in a byte that no text has, so that no two profiles have the same bytes
    var bytes: [UInt8] = []
    func add(_ text: String) {
      bytes += text.utf8
      bytes.append(0xff)
    }
    func add(_ number: UInt64?) { add(number.map { String($0) } ?? "-") }
    add("berth seccomp 1 \(native.rawValue)")
    add(profile.defaultAction)
    add(profile.defaultErrnoRet.map(UInt64.init))
    for list in [profile.architectures, profile.flags] {
      add(UInt64(list.count))
      for text in list { add(text) }
    }
    for rule in profile.syscalls {
      add(rule.action)
      add(rule.errnoRet.map(UInt64.init))
      add(UInt64(rule.names.count))
      for name in rule.names { add(name) }
      add(UInt64(rule.args.count))
      for argument in rule.args {
        add(UInt64(argument.index))
        add(argument.value)
        add(argument.valueTwo)
        add(argument.op)
      }
    }
    let digits = Array("0123456789abcdef")
    return String(SHA256.digest(bytes).flatMap { [digits[Int($0 >> 4)], digits[Int($0 & 15)]] })
  }
}

/// A profile that can't be compiled or read; says where and why.
public struct SeccompError: Error, Sendable, Equatable, CustomStringConvertible {
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
