import Cgroups
import CLinux
import Kernel
import OCI

/// A container that `create` made, as a later command finds it.
struct Container {
  let directory: StateDirectory
  /// `nil`: only its directory is there.
  let record: StateDirectory.Record?

  var id: String { directory.id }

  struct FirstProcess: ~Copyable {
    let pid: Int32
    let pidfd: Descriptor

    consuming func takeHandle() -> Descriptor { pidfd }
  }

  enum Status: String {
    case creating, created, running, paused, stopped
  }

  init(_ id: String, root: String) throws(CommandError) {
    directory = try StateDirectory.open(id, root: root)
    record = try directory.load()
  }

  /// With its lock held, and read under it.
  init(locking id: String, root: String) throws(CommandError) {
    directory = try StateDirectory.open(id, root: root)
    try directory.lock()
    record = try directory.load()
  }

  func status() throws(CommandError) -> Status {
    guard let record, record.pid > 0 else { return directory.isLocked ? .creating : .stopped }
    guard record.isAlive else { return .stopped }
    if directory.awaitsStart { return .created }
    if let cgroup = record.cgroup, (try? cgroup.isFrozen()) == true { return .paused }
    return .running
  }

  /// The cgroup, or an error.
  func cgroup() throws(CommandError) -> Cgroup {
    guard let cgroup = record?.cgroup else { throw CommandError("container \(id) has no cgroup") }
    return cgroup
  }

  /// A handle on the first process, which lives.
  func process() throws(CommandError) -> FirstProcess {
    guard let record, record.pid > 0 else { throw CommandError("container not running") }
    let pidfd: Descriptor
    do throws(SyscallError) { pidfd = try Sys.pidfdOpen(record.pid) } catch {
      throw CommandError("container not running")
    }
    // Looked at after the handle is ours: the number can't go to another process meanwhile.
    guard record.isAlive else { throw CommandError("container not running") }
    return FirstProcess(pid: record.pid, pidfd: pidfd)
  }

  /// The hooks that later commands run.
  func lateHooks() throws(CommandError) -> RuntimeSpec.Hooks? {
    guard let record, record.hasLateHooks else { return nil }
    return try directory.configuration().hooks
  }

  /// `state`'s answer (runtime-spec, runtime.md#state), with runc's additions.
  func stateJSON(_ status: Status) -> JSON {
    var builder = JSONBuilder()
    builder.set("ociVersion", record?.ociVersion ?? OCI.runtimeVersion)
    builder.set("id", id)
    builder.set("pid", integer: status == .stopped || status == .creating ? 0 : record?.pid ?? 0)
    builder.set("status", status.rawValue)
    builder.set("bundle", record?.bundle ?? "")
    builder.set("rootfs", record?.rootfs ?? "")
    builder.set("created", (record?.created ?? Timestamp(seconds: 0)).text(fractionDigits: nil))
    builder.set("annotations", (record?.annotations).flatMap { $0.isEmpty ? nil : $0 })
    builder.set("owner", (record?.owner).map { $0 == 0 ? "root" : "#\($0)" } ?? "")
    return builder.json
  }
}

extension StateDirectory.Record {
  /// Whether the first process is there and no zombie.
  var isAlive: Bool {
    guard pid > 0, let (state, start) = Self.stat(of: pid) else { return false }
    return start == startTime && state != UInt8(ascii: "Z") && state != UInt8(ascii: "X")
  }

  /// proc_pid_stat(5): field 3 and field 22. The name in field 2 may hold anything, so from its last parenthesis on.
  static func stat(of pid: Int32) -> (state: UInt8, startTime: UInt64)? {
    guard let bytes = try? Sys.readFile("/proc/\(pid)/stat"), let end = bytes.lastIndex(of: UInt8(ascii: ")")) else {
      return nil
    }
    let fields = bytes[bytes.index(after: end)...].split(separator: UInt8(ascii: " "))
    guard fields.count > 19, let state = fields[0].first,
      let time = UInt64(String(decoding: fields[19], as: UTF8.self))
    else { return nil }
    return (state, time)
  }
}
