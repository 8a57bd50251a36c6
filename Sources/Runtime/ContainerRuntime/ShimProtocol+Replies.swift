public import OCI

extension ShimProtocol {
  /// A process has come to life.
  public struct Started: Sendable, Equatable {
    /// In the shim's pid namespace.
    public var pid: Int32
    /// Nanoseconds since 1970.
    public var startedAt: Int64
    /// Limits that this host can't keep, and the like.
    public var warnings: [String]

    public init(pid: Int32, startedAt: Int64, warnings: [String] = []) {
      self.pid = pid
      self.startedAt = startedAt
      self.warnings = warnings
    }
  }

  public enum Status: String, Sendable { case created, running, exited }

  public struct Exec: Sendable, Equatable {
    public var id: String
    public var pid: Int32
    /// nil: it runs.
    public var code: Int32?

    public init(id: String, pid: Int32, code: Int32?) {
      self.id = id
      self.pid = pid
      self.code = code
    }
  }

  /// What a daemon that comes later needs to know.
  public struct State: Sendable, Equatable {
    public var status: Status
    /// nil before `start`.
    public var started: Started?
    public var execs: [Exec]
    public var exit: ExitRecord?

    public init(status: Status, started: Started?, execs: [Exec], exit: ExitRecord?) {
      self.status = status
      self.started = started
      self.execs = execs
      self.exit = exit
    }
  }

  /// The answer to one request.
  public enum Reply: Sendable, Equatable {
    case done
    case started(Started)
    case state(State)
    case failure(LaunchFailure)
  }

  public enum Event: Sendable, Equatable {
    case exited(ExitRecord)
    case execExited(id: String, code: Int32)
    /// The kernel's OOM killer took a process of the container.
    case oom
    /// An attacher left by the detach keys; nil: of the container's own process.
    case detached(exec: String?)
  }

  /// What comes from a shim.
  public enum Message: Sendable, Equatable {
    case reply(tag: Int64, Reply)
    case event(Event)
  }
}

extension ShimProtocol.Started {
  func fill(_ fields: inout JSONBuilder) {
    fields.set("pid", integer: pid)
    fields.set("startedAt", startedAt)
    if !warnings.isEmpty { fields.set("warnings", warnings) }
  }

  init?(_ fields: JSONFields) throws(JSONError) {
    guard let pid = try fields.integer("pid", as: Int32.self), let startedAt = try fields.int("startedAt") else {
      return nil
    }
    self.init(pid: pid, startedAt: startedAt, warnings: try fields.strings("warnings") ?? [])
  }
}

extension ShimProtocol.Reply {
  public func encoded(tag: Int64) -> [UInt8] {
    var fields = JSONBuilder()
    fields.set("tag", tag)
    switch self {
    case .done: fields.set("ok", true)
    case .started(let started):
      fields.set("ok", true)
      started.fill(&fields)
    case .state(let state):
      fields.set("ok", true)
      fields.set("status", state.status.rawValue)
      state.started?.fill(&fields)
      fields.set(
        "execs",
        .array(
          state.execs.map { exec in
            var fields = JSONBuilder()
            fields.set("id", exec.id)
            fields.set("pid", integer: exec.pid)
            fields.set("running", exec.code == nil)
            fields.set("code", integer: exec.code)
            return fields.json
          }))
      fields.set("exit", state.exit?.json)
    case .failure(let failure):
      fields.set("error", failure.json)
    }
    return fields.json.encoded()
  }

  init(_ fields: JSONFields) throws(JSONError) {
    if let error = try fields.fields("error") {
      self = .failure(try LaunchFailure(error))
      return
    }
    let started = try ShimProtocol.Started(fields)
    guard let text = try fields.string("status") else {
      self = started.map { .started($0) } ?? .done
      return
    }
    guard let status = ShimProtocol.Status(rawValue: text) else {
      throw JSONError(path: fields.path(of: "status"), "\"\(text)\" is unknown")
    }
    let execs = try fields.list("execs") { exec throws(JSONError) in
      ShimProtocol.Exec(
        id: try exec.required("id", exec.string("id")), pid: try exec.required("pid", exec.integer("pid")),
        code: try exec.integer("code"))
    }
    self = .state(
      ShimProtocol.State(
        status: status, started: started, execs: execs ?? [], exit: try fields.object("exit", ExitRecord.init)))
  }
}

extension ShimProtocol.Event {
  public func encoded() -> [UInt8] {
    var fields = JSONBuilder()
    switch self {
    case .exited(let record):
      fields.set("event", "exited")
      for (key, value) in record.json.objectValue?.members ?? [] { fields.set(key, value) }
    case .execExited(let id, let code):
      fields.set("event", "execExited")
      fields.set("id", id)
      fields.set("code", integer: code)
    case .oom: fields.set("event", "oom")
    case .detached(let exec):
      fields.set("event", "detached")
      fields.set("exec", exec)
    }
    return fields.json.encoded()
  }

  init(_ fields: JSONFields) throws(JSONError) {
    switch try fields.required("event", fields.string("event")) {
    case "exited": self = .exited(try ExitRecord(fields))
    case "execExited":
      self = .execExited(
        id: try fields.required("id", fields.string("id")), code: try fields.required("code", fields.integer("code")))
    case "oom": self = .oom
    case "detached": self = .detached(exec: try fields.string("exec"))
    case let other: throw JSONError(path: "event", "\"\(other)\" is unknown")
    }
  }
}

extension ShimProtocol.Message {
  public init(decoding bytes: [UInt8]) throws(JSONError) {
    let fields = try JSONFields(try JSON.parse(bytes))
    if let tag = try fields.int("tag") {
      self = .reply(tag: tag, try ShimProtocol.Reply(fields))
    } else {
      self = .event(try ShimProtocol.Event(fields))
    }
  }
}
