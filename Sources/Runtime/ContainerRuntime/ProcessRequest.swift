import CLinux
import Kernel
import OCI
import Seccomp

/// What a process of a container is to be, checked by the parent before anything is made: names are known, files are read.
struct ProcessRequest {
  let process: RuntimeSpec.Process
  let user: String?
  let additionalGroups: [String]
  /// `nil`: as the parent's, without ambient and inheritable ones.
  let capabilities: CapabilitySets?
  let limits: [(limit: RuntimeSpec.Rlimit, number: Int32)]
  let scheduling: Scheduling
  let filter: SeccompProgram?
  let terminal: Bool
  let initProcess: Bool
  /// Descriptors from 3 on that the program inherits.
  let preserved: Int32
  /// PER_LINUX32 is 8.
  let personality: UInt?

  init(_ plan: LaunchPlan) throws(LaunchFailure) {
    guard let process = plan.spec.process else {
      throw LaunchFailure(step: "plan", errno: EINVAL, object: plan.id, message: "the configuration has no process")
    }
    try self.init(
      process, user: plan.user, additionalGroups: plan.additionalGroups, seccompFilter: plan.seccompFilter,
      terminal: plan.stdio.terminal, initProcess: plan.initProcess, preserved: plan.preservedDescriptors,
      personality: plan.spec.linux.personality, isExec: false)
  }

  /// `user`: the container's own, for a plan without one.
  init(_ plan: ExecPlan, user: String?, personality: String?) throws(LaunchFailure) {
    try self.init(
      plan.process, user: plan.user ?? user, additionalGroups: plan.additionalGroups,
      seccompFilter: plan.seccompFilter, terminal: plan.stdio.terminal, initProcess: false,
      preserved: plan.preservedDescriptors, personality: personality, isExec: true)
  }

  private init(
    _ process: RuntimeSpec.Process, user: String?, additionalGroups: [String], seccompFilter: String?, terminal: Bool,
    initProcess: Bool, preserved: Int32, personality: String?, isExec: Bool
  ) throws(LaunchFailure) {
    guard !process.args.isEmpty else {
      throw LaunchFailure(step: "plan", errno: EINVAL, object: "args", message: "the process has no arguments")
    }
    for text in process.args + process.env + [process.cwd] where text.utf8.contains(0) {
      throw LaunchFailure(
        step: "plan", errno: EINVAL, object: "process", message: "the process has a NUL byte in a string")
    }
    guard process.cwd.hasPrefix("/") else {
      throw LaunchFailure(
        step: "plan", errno: EINVAL, object: process.cwd, message: "cwd \"\(process.cwd)\" is not an absolute path")
    }
    self.process = process
    self.user = user
    self.additionalGroups = additionalGroups
    if let given = process.capabilities { capabilities = try CapabilitySets(given) } else { capabilities = nil }
    limits = try ResourceLimits.resolve(process.rlimits)
    scheduling = try Scheduling(process, isExec: isExec)
    filter = try seccompFilter.map { path throws(LaunchFailure) in try Self.load(path) }
    self.terminal = terminal
    self.initProcess = initProcess
    self.preserved = preserved
    switch personality {
    case nil: self.personality = nil
    case "LINUX"?: self.personality = 0
    case "LINUX32"?: self.personality = 8
    case let other?:
      throw LaunchFailure(step: "plan", errno: EINVAL, object: other, message: "unknown personality \"\(other)\"")
    }
  }

  /// SECCOMP_FILTER_FLAG_SPEC_ALLOW (Linux 4.17): the filter doesn't slow the program down by speculation controls, as runc has it.
  private static let speculationAllowed: UInt32 = 4

  private static func load(_ path: String) throws(LaunchFailure) -> SeccompProgram {
    do throws(SyscallError) {
      let bytes = try Sys.readFile(path, limit: 8 * 4096)
      guard !bytes.isEmpty, bytes.count % 8 == 0 else { throw SyscallError("read", path, .invalidArgument) }
      return SeccompProgram(bytes: bytes, flags: speculationAllowed)
    } catch {
      throw LaunchFailure(
        step: "seccomp", errno: error.errno.rawValue, object: path,
        message: "read seccomp filter \"\(path)\": \(error.errno)")
    }
  }
}
