extension RuntimeSpec {
  /// `process.scheduler`: the arguments of sched_setattr(2), as config.md names them.
  public struct Scheduler: Sendable, Equatable {
    /// `SCHED_OTHER`, `SCHED_FIFO`, …
    public var policy: String
    public var nice: Int32 = 0
    public var priority: Int32 = 0
    /// `SCHED_FLAG_RESET_ON_FORK`, …
    public var flags: [String] = []
    /// Nanoseconds; of SCHED_DEADLINE.
    public var runtime: UInt64 = 0
    public var deadline: UInt64 = 0
    public var period: UInt64 = 0
    public init(policy: String) { self.policy = policy }
  }

  /// `process.ioPriority` (ioprio_set(2)).
  public struct IOPriority: Sendable, Equatable {
    /// `IOPRIO_CLASS_RT`, `IOPRIO_CLASS_BE` or `IOPRIO_CLASS_IDLE`.
    public var `class`: String
    /// 0, the highest, to 7.
    public var priority: Int32
    public init(class: String, priority: Int32) {
      self.class = `class`
      self.priority = priority
    }
  }

  /// `process.execCPUAffinity`: lists of processors (`0-3,7`) before and after the change into the container.
  public struct CPUAffinity: Sendable, Equatable {
    public var initial: String?
    public var final: String?
    public init(initial: String? = nil, final: String? = nil) {
      self.initial = initial
      self.final = final
    }
  }
}

extension RuntimeSpec.Scheduler {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(policy: try fields.required("policy", try fields.string("policy")))
    nice = try fields.integer("nice") ?? 0
    priority = try fields.integer("priority") ?? 0
    flags = try fields.strings("flags") ?? []
    runtime = try fields.unsigned("runtime") ?? 0
    deadline = try fields.unsigned("deadline") ?? 0
    period = try fields.unsigned("period") ?? 0
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("policy", policy)
    builder.set("nice", integer: nice)
    builder.set("priority", integer: priority)
    builder.strings("flags", flags)
    builder.set("runtime", integer: runtime)
    builder.set("deadline", integer: deadline)
    builder.set("period", integer: period)
    return builder.json
  }
}

extension RuntimeSpec.IOPriority {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      class: try fields.required("class", try fields.string("class")), priority: try fields.integer("priority") ?? 0)
  }

  var json: JSON { ["class": .string(self.class), "priority": .int(Int64(priority))] }
}

extension RuntimeSpec.CPUAffinity {
  init(_ fields: JSONFields) throws(JSONError) {
    self.init(initial: try fields.string("initial"), final: try fields.string("final"))
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("initial", initial)
    builder.set("final", self.final)
    return builder.json
  }
}
