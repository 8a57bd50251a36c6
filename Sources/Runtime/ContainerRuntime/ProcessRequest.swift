import CLinux
import Kernel
import OCI
import Seccomp

/// What a process of a container is to be, checked by the parent before anything is made: names are known, files are read.
struct ProcessRequest {
  let process: RuntimeSpec.Process
  let user: String?
  let additionalGroups: [String]
  /// None when the configuration doesn't speak of them, as with runc and crun.
  let capabilities: CapabilitySets
  /// Names that Linux doesn't have: a warning, as config.md asks.
  let unknownCapabilities: [String]
  let limits: [(limit: RuntimeSpec.Rlimit, number: Int32)]
  let scheduling: Scheduling
  let filter: SeccompProgram?
  let terminal: Bool
  let initProcess: Bool
  /// Descriptors from 3 on that the program inherits.
  let preserved: Int32
  /// PER_LINUX32 is 8.
  let personality: UInt?
  let memoryPolicy: MemoryPolicy?
  let appArmorProfile: String?

  init(_ plan: LaunchPlan) throws(LaunchFailure) {
    guard let process = plan.spec.process else {
      throw LaunchFailure(step: "plan", errno: EINVAL, object: plan.id, message: "the configuration has no process")
    }
    try self.init(
      process, user: plan.user, additionalGroups: plan.additionalGroups, seccompFilter: plan.seccompFilter,
      seccompFlags: plan.seccompFlags, terminal: plan.stdio.terminal, initProcess: plan.initProcess,
      preserved: plan.preservedDescriptors,
      setting: Setting(plan.spec.linux), isExec: false)
  }

  /// `user`: the container's own, for a plan without one.
  init(_ plan: ExecPlan, user: String?, setting: Setting) throws(LaunchFailure) {
    try self.init(
      plan.process, user: plan.user ?? user, additionalGroups: plan.additionalGroups,
      seccompFilter: plan.seccompFilter, seccompFlags: plan.seccompFlags, terminal: plan.stdio.terminal,
      initProcess: false,
      preserved: plan.preservedDescriptors, setting: setting, isExec: true)
  }

  private init(
    _ process: RuntimeSpec.Process, user: String?, additionalGroups: [String], seccompFilter: String?,
    seccompFlags: UInt32?, terminal: Bool, initProcess: Bool, preserved: Int32, setting: Setting, isExec: Bool
  ) throws(LaunchFailure) {
    guard !process.args.isEmpty else {
      throw ConfigurationCheck.refusal("process.args", "the process has no arguments")
    }
    for (field, texts) in [("args", process.args), ("env", process.env), ("cwd", [process.cwd])] {
      for (index, text) in texts.enumerated() where text.utf8.contains(0) {
        throw ConfigurationCheck.refusal("process.\(field)" + (field == "cwd" ? "" : "[\(index)]"), "a NUL byte")
      }
    }
    guard process.cwd.hasPrefix("/") else {
      throw ConfigurationCheck.refusal("process.cwd", "cwd \"\(process.cwd)\" is not an absolute path")
    }
    if let adjustment = process.oomScoreAdj, !(-1000...1000).contains(adjustment) {
      throw ConfigurationCheck.refusal("process.oomScoreAdj", "\(adjustment) is not between -1000 and 1000")
    }
    if let umask = process.user.umask, umask > 0o777 {
      throw ConfigurationCheck.refusal("process.user.umask", "\(umask) is above 0777")
    }
    self.process = process
    self.user = user
    self.additionalGroups = additionalGroups
    let given = process.capabilities ?? RuntimeSpec.Capabilities()
    capabilities = CapabilitySets(given)
    unknownCapabilities = CapabilitySets.unknown(given)
    if let profile = process.apparmorProfile, !profile.isEmpty {
      let isKept = SecurityModules.hasAppArmor
      guard isKept || profile == "unconfined" else {
        throw ConfigurationCheck.refusal("process.apparmorProfile", "AppArmor is disabled or not supported")
      }
      appArmorProfile = isKept ? profile : nil
    } else {
      appArmorProfile = nil
    }
    if let label = process.selinuxLabel, !label.isEmpty, !SecurityModules.hasSELinux {
      throw ConfigurationCheck.refusal("process.selinuxLabel", "SELinux is disabled or not supported")
    }
    limits = try ResourceLimits.resolve(process.rlimits)
    scheduling = try Scheduling(process, isExec: isExec)
    filter = try seccompFilter.map { path throws(LaunchFailure) in try Self.load(path, seccompFlags) }
    self.terminal = terminal
    self.initProcess = initProcess
    self.preserved = preserved
    memoryPolicy = try setting.memoryPolicy.map { policy throws(LaunchFailure) in try MemoryPolicy(policy) }
    switch setting.personality {
    case nil: personality = nil
    case "LINUX"?: personality = 0
    case "LINUX32"?: personality = 8
    case let other?:
      throw ConfigurationCheck.refusal("linux.personality.domain", "unknown domain \"\(other)\"")
    }
  }

  /// What a container's configuration has for all of its processes, execs too.
  struct Setting {
    let personality: String?
    let memoryPolicy: RuntimeSpec.MemoryPolicy?

    init(personality: String?, memoryPolicy: RuntimeSpec.MemoryPolicy?) {
      self.personality = personality
      self.memoryPolicy = memoryPolicy
    }

    init(_ linux: RuntimeSpec.Linux) {
      self.init(personality: linux.personality, memoryPolicy: linux.memoryPolicy)
    }
  }

  /// `flags` nil: those of a profile without any.
  private static func load(_ path: String, _ flags: UInt32?) throws(LaunchFailure) -> SeccompProgram {
    do throws(SyscallError) {
      let bytes = try Sys.readFile(path, limit: 8 * 4096)
      guard !bytes.isEmpty, bytes.count % 8 == 0 else { throw SyscallError("read", path, .invalidArgument) }
      return SeccompProgram(bytes: bytes, flags: flags ?? SeccompProgram.defaultFlags)
    } catch {
      throw LaunchFailure(
        step: "seccomp", errno: error.errno.rawValue, object: path,
        message: "read seccomp filter \"\(path)\": \(error.errno)")
    }
  }
}
