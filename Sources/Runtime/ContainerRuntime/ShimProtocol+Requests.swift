public import OCI

extension ShimProtocol {
  /// How a client's connection joins the streams of a process.
  public struct Attach: Sendable, Equatable {
    /// The exec's id; nil: the container's own process.
    public var exec: String?
    public var stdin: Bool
    public var stdout: Bool
    public var stderr: Bool
    /// Frame output as Docker does without a terminal: `[stream,0,0,0,length BE32]` before each piece.
    public var mux: Bool
    /// The keys that detach, on a terminal; empty: Docker's own, ctrl-p ctrl-q.
    public var detachKeys: [UInt8]
    /// What the client sent already, behind its request's head.
    public var pending: [UInt8]

    public init(
      exec: String? = nil, stdin: Bool, stdout: Bool, stderr: Bool, mux: Bool, detachKeys: [UInt8] = [],
      pending: [UInt8] = []
    ) {
      self.exec = exec
      self.stdin = stdin
      self.stdout = stdout
      self.stderr = stderr
      self.mux = mux
      self.detachKeys = detachKeys
      self.pending = pending
    }
  }

  public enum Request: Sendable, Equatable {
    case attach(Attach)
    case start
    case exec(ExecPlan, Attach?)
    case signal(Int32, exec: String? = nil)
    case resize(exec: String? = nil, width: UInt16, height: UInt16)
    case state
    case release
  }
}

extension ShimProtocol.Attach {
  func fill(_ fields: inout JSONBuilder) {
    fields.set("exec", exec)
    fields.set("stdin", stdin)
    fields.set("stdout", stdout)
    fields.set("stderr", stderr)
    fields.set("mux", mux)
    if !detachKeys.isEmpty { fields.set("detachKeys", .array(detachKeys.map { .int(Int64($0)) })) }
    if !pending.isEmpty { fields.set("pending", Base64.encode(pending)) }
  }

  init(_ fields: JSONFields) throws(JSONError) {
    exec = try fields.string("exec")
    stdin = try fields.bool("stdin") ?? false
    stdout = try fields.bool("stdout") ?? false
    stderr = try fields.bool("stderr") ?? false
    mux = try fields.bool("mux") ?? false
    detachKeys = []
    if let keys = fields.value("detachKeys") {
      let values = keys.arrayValue?.compactMap { $0.intValue.flatMap { UInt8(exactly: $0) } }
      guard let values, values.count == keys.arrayValue?.count else {
        throw JSONError(path: fields.path(of: "detachKeys"), "a list of bytes is expected")
      }
      detachKeys = values
    }
    pending = []
    if let text = try fields.string("pending") {
      guard let bytes = Base64.decode(text) else {
        throw JSONError(path: fields.path(of: "pending"), "base64 is expected")
      }
      pending = bytes
    }
  }
}

extension ShimProtocol.Request {
  public func encoded(tag: Int64) -> [UInt8] {
    var fields = JSONBuilder()
    fields.set("tag", tag)
    switch self {
    case .attach(let attach):
      fields.set("op", "attach")
      attach.fill(&fields)
    case .start: fields.set("op", "start")
    case .exec(let plan, let attach):
      fields.set("op", "exec")
      fields.set("plan", plan.json)
      if let attach {
        var inner = JSONBuilder()
        attach.fill(&inner)
        fields.set("attach", inner.json)
      }
    case .signal(let signal, let exec):
      fields.set("op", "signal")
      fields.set("signal", integer: signal)
      fields.set("exec", exec)
    case .resize(let exec, let width, let height):
      fields.set("op", "resize")
      fields.set("exec", exec)
      fields.set("width", integer: width)
      fields.set("height", integer: height)
    case .state: fields.set("op", "state")
    case .release: fields.set("op", "release")
    }
    return fields.json.encoded()
  }

  /// Reads a request of which `tag` was read before, so that an error can be answered.
  public init(_ fields: JSONFields) throws(JSONError) {
    switch try fields.required("op", fields.string("op")) {
    case "attach": self = .attach(try ShimProtocol.Attach(fields))
    case "start": self = .start
    case "exec":
      let plan = try fields.required("plan", fields.fields("plan"))
      self = .exec(try ExecPlan(plan), try fields.object("attach", ShimProtocol.Attach.init))
    case "signal":
      let signal: Int32 = try fields.required("signal", fields.integer("signal"))
      self = .signal(signal, exec: try fields.string("exec"))
    case "resize":
      self = .resize(
        exec: try fields.string("exec"), width: try fields.required("width", fields.integer("width")),
        height: try fields.required("height", fields.integer("height")))
    case "state": self = .state
    case "release": self = .release
    case let other: throw JSONError(path: "op", "\"\(other)\" is unknown")
    }
  }
}
