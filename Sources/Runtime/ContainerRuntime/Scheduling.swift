import CLinux
import Kernel
import OCI

/// When and where a process runs, as its configuration has it: scheduler, I/O priority, processors. Checked by the parent, set by the
/// child while it has its rights.
struct Scheduling {
  private var scheduler: Scheduler?
  private var ioPriority: Int?
  private var processors: [UInt64]?

  private struct Scheduler {
    var policy: UInt32
    var flags: UInt64 = 0
    var nice: Int32 = 0
    var priority: UInt32 = 0
    var runtime: UInt64 = 0
    var deadline: UInt64 = 0
    var period: UInt64 = 0
  }

  /// `execCPUAffinity` is for execs alone (config.md); a first process's is checked all the same.
  init(_ process: RuntimeSpec.Process, isExec: Bool) throws(LaunchFailure) {
    if let asked = process.scheduler { scheduler = try Self.scheduler(asked) }
    if let asked = process.ioPriority {
      let classes = ["IOPRIO_CLASS_RT": 1, "IOPRIO_CLASS_BE": 2, "IOPRIO_CLASS_IDLE": 3]
      guard let number = classes[asked.class] else {
        throw Self.refuse("process.ioPriority.class", "unknown class \"\(asked.class)\"")
      }
      guard (0...7).contains(asked.priority) else {
        throw Self.refuse("process.ioPriority.priority", "\(asked.priority) is not between 0 and 7")
      }
      ioPriority = number << 13 | Int(asked.priority)
    }
    if let list = process.execCPUAffinity?.initial, !list.isEmpty {
      processors = try Self.processors(list, "process.execCPUAffinity.initial")
    }
    if let list = process.execCPUAffinity?.final, !list.isEmpty {
      processors = try Self.processors(list, "process.execCPUAffinity.final")
    }
    if !isExec { processors = nil }
  }

  private static func refuse(_ path: String, _ text: String) -> LaunchFailure {
    LaunchFailure(step: "plan", errno: EINVAL, object: path, message: "\(path): \(text)")
  }

  private static func scheduler(_ asked: RuntimeSpec.Scheduler) throws(LaunchFailure) -> Scheduler {
    // linux/sched.h
    let policies: [String: UInt32] = [
      "SCHED_OTHER": 0, "SCHED_FIFO": 1, "SCHED_RR": 2, "SCHED_BATCH": 3, "SCHED_ISO": 4, "SCHED_IDLE": 5,
      "SCHED_DEADLINE": 6,
    ]
    let flags: [String: UInt64] = [
      "SCHED_FLAG_RESET_ON_FORK": 0x01, "SCHED_FLAG_RECLAIM": 0x02, "SCHED_FLAG_DL_OVERRUN": 0x04,
      "SCHED_FLAG_KEEP_POLICY": 0x08, "SCHED_FLAG_KEEP_PARAMS": 0x10, "SCHED_FLAG_UTIL_CLAMP_MIN": 0x20,
      "SCHED_FLAG_UTIL_CLAMP_MAX": 0x40,
    ]
    guard let policy = policies[asked.policy] else {
      throw refuse("process.scheduler.policy", "unknown policy \"\(asked.policy)\"")
    }
    var result = Scheduler(policy: policy)
    for (index, name) in asked.flags.enumerated() {
      guard let flag = flags[name] else {
        throw refuse("process.scheduler.flags[\(index)]", "unknown flag \"\(name)\"")
      }
      result.flags |= flag
    }
    guard (-20...19).contains(asked.nice) else {
      throw refuse("process.scheduler.nice", "\(asked.nice) is not between -20 and 19")
    }
    let realTime = policy == 1 || policy == 2
    guard asked.priority == 0 || realTime else {
      throw refuse("process.scheduler.priority", "only SCHED_FIFO and SCHED_RR have one")
    }
    guard !realTime || (1...99).contains(asked.priority) else {
      throw refuse("process.scheduler.priority", "\(asked.priority) is not between 1 and 99")
    }
    guard policy == 6 || asked.runtime == 0 && asked.deadline == 0 && asked.period == 0 else {
      throw refuse("process.scheduler.runtime", "only SCHED_DEADLINE has runtime, deadline and period")
    }
    result.nice = asked.nice
    result.priority = UInt32(asked.priority)
    (result.runtime, result.deadline, result.period) = (asked.runtime, asked.deadline, asked.period)
    return result
  }

  /// `0-3,7` to a mask.
  static func processors(_ list: String, _ path: String) throws(LaunchFailure) -> [UInt64] {
    var mask: [UInt64] = []
    for part in list.split(separator: ",", omittingEmptySubsequences: false) {
      let ends = part.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
      guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last,
        last < 8192
      else { throw refuse(path, "\"\(list)\" is no list of processors") }
      for number in first...last {
        while mask.count <= Int(number) / 64 { mask.append(0) }
        mask[Int(number) / 64] |= 1 << UInt64(number % 64)
      }
    }
    return mask
  }

  func apply(_ stage: Stage) throws(LaunchFailure) {
    if let processors {
      try stage.attempt("process.execCPUAffinity") { () throws(SyscallError) in
        try Sys.retrying("sched_setaffinity") { cl_sched_setaffinity(processors, processors.count * 8) }
      }
    }
    if let scheduler {
      try stage.attempt("process.scheduler") { () throws(SyscallError) in
        try Sys.retrying("sched_setattr") {
          cl_sched_setattr(
            scheduler.policy, scheduler.flags, scheduler.nice, scheduler.priority, scheduler.runtime,
            scheduler.deadline, scheduler.period)
        }
      }
    }
    if let ioPriority {
      try stage.attempt("process.ioPriority") { () throws(SyscallError) in
        try Sys.retrying("ioprio_set") { cl_ioprio_set(Int32(ioPriority)) }
      }
    }
  }
}
