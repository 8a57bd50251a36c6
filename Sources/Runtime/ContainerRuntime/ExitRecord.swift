public import Kernel
public import OCI

/// How a container ended: what its shim leaves on disk (`LaunchPlan.exitRecord`) for a daemon that wasn't there.
///
/// Written whole or not at all, before the daemon is told.
public struct ExitRecord: Sendable, Equatable {
  /// The exit status, or 128 + signal, as Docker tells it.
  public var code: Int32
  /// The signal that ended pid 1, if one did.
  public var signal: Int32?
  /// The kernel's OOM killer took at least one of the container's processes.
  public var oomKilled: Bool
  /// Nanoseconds since 1970.
  public var startedAt: Int64
  public var exitedAt: Int64

  public init(code: Int32, signal: Int32? = nil, oomKilled: Bool = false, startedAt: Int64, exitedAt: Int64) {
    self.code = code
    self.signal = signal
    self.oomKilled = oomKilled
    self.startedAt = startedAt
    self.exitedAt = exitedAt
  }

  public var json: JSON {
    var fields = JSONBuilder()
    fields.set("code", integer: code)
    fields.set("signal", integer: signal)
    fields.set("oomKilled", oomKilled)
    fields.set("startedAt", startedAt)
    fields.set("exitedAt", exitedAt)
    return fields.json
  }

  public init(_ fields: JSONFields) throws(JSONError) {
    code = try fields.required("code", fields.integer("code"))
    signal = try fields.integer("signal")
    oomKilled = try fields.bool("oomKilled") ?? false
    startedAt = try fields.required("startedAt", fields.int("startedAt"))
    exitedAt = try fields.required("exitedAt", fields.int("exitedAt"))
  }

  /// Puts the record in place by a rename; `durable`: synced, with its directory.
  public func write(to path: String, durable: Bool) throws(SyscallError) {
    try Sys.replaceFile(path, with: json.encoded(), mode: 0o600, durable: durable)
  }

  /// Reads a record; nil when there is none. Content that is no record is EINVAL.
  public static func read(_ path: String) throws(SyscallError) -> ExitRecord? {
    let bytes: [UInt8]
    do throws(SyscallError) {
      bytes = try Sys.readFile(path, limit: 64 << 10)
    } catch  where error.errno == .noSuchFile {
      return nil
    }
    do throws(JSONError) {
      return try ExitRecord(JSONFields(try JSON.parse(bytes)))
    } catch {
      throw SyscallError("read exit record", path, .invalidArgument)
    }
  }
}
