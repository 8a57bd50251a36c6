public import OCI

/// The body of `POST /containers/{id}/exec`.
public struct ExecConfig: Sendable, Equatable {
  public var user = ""
  public var privileged = false
  public var tty = false
  /// Rows, columns.
  public var consoleSize: ConsoleSize?
  public var attachStdin = false
  public var attachStdout = false
  public var attachStderr = false
  public var detachKeys = ""
  public var env: [String] = []
  public var workingDir = ""
  public var cmd: [String] = []

  public init() {}

  public init(_ fields: JSONFields) throws(JSONError) {
    user = try fields.string("User") ?? ""
    privileged = try fields.bool("Privileged") ?? false
    tty = try fields.bool("Tty") ?? false
    consoleSize = ConsoleSize(fields.value("ConsoleSize"))
    attachStdin = try fields.bool("AttachStdin") ?? false
    attachStdout = try fields.bool("AttachStdout") ?? false
    attachStderr = try fields.bool("AttachStderr") ?? false
    detachKeys = try fields.string("DetachKeys") ?? ""
    env = try fields.strings("Env") ?? []
    workingDir = try fields.string("WorkingDir") ?? ""
    cmd = try ContainerConfig.words(fields, "Cmd") ?? []
  }
}

/// Rows and columns of a terminal, in the API's order.
public struct ConsoleSize: Sendable, Equatable {
  public var height: UInt16
  public var width: UInt16
  public init(height: UInt16, width: UInt16) {
    self.height = height
    self.width = width
  }
  /// `[rows, columns]`; `nil` for anything else and for zeros.
  public init?(_ value: JSON?) {
    guard let array = value?.arrayValue, array.count == 2,
      let height = array[0].intValue.flatMap({ UInt16(exactly: $0) }),
      let width = array[1].intValue.flatMap({ UInt16(exactly: $0) }), height > 0, width > 0
    else { return nil }
    self.init(height: height, width: width)
  }
}

/// An exec as `GET /exec/{id}/json` shows it.
public struct ExecSnapshot: Sendable, Equatable {
  public var id: String
  public var containerID: String
  public var running: Bool
  /// `nil` while it hasn't ended.
  public var exitCode: Int32?
  public var pid: Int32
  /// The command's first word and the rest.
  public var entrypoint: String
  public var arguments: [String]
  public var config: ExecConfig
  /// A client may still send input.
  public var openStdin: Bool
  public var openStdout: Bool
  public var openStderr: Bool
  public var canRemove: Bool
}
