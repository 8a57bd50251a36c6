public import Cgroups
public import OCI
public import Rootfs

/// All that the shim needs to run one container: sent by the daemon in `ShimProtocol.Opening.launch`.
/// JSON of this shape by `encoded()` and `init(decoding:)`.
public struct LaunchPlan: Sendable, Equatable {
  /// 64 hexadecimal digits.
  public var id: String
  /// The OCI configuration. `process.user` is set by the init stage when `user` is given; `root.path` counts only with
  /// `.directory`; `linux.seccomp` is nil: the compiled filter comes by `seccompFilter`. A network namespace is a path.
  public var spec: RuntimeSpec
  public var rootfs: Rootfs
  /// `name|uid[:group|gid]` as the user wrote it, looked up in the container's `/etc/passwd` and `/etc/group` after pivot;
  /// empty: root. Sets `HOME` too unless the environment has it.
  public var user: String?
  /// `--group-add`: names or numbers, looked up likewise.
  public var additionalGroups: [String]
  /// A file of `struct sock_filter`s; nil: unconfined.
  public var seccompFilter: String?
  /// SECCOMP_FILTER_FLAG_… to load it with; nil: those of a profile that names none.
  public var seccompFlags: UInt32? = nil
  /// Who answers the calls that the filter notifies of.
  public var seccompListener: SeccompListener? = nil
  /// Run Berth's own init as pid 1, the process as its child.
  public var initProcess: Bool
  public var stdio: Stdio
  public var log: Log?
  /// The host's cgroup hierarchies, so that the shim needn't look for them; nil: it does.
  public var cgroupLayout: CgroupLayout?
  /// The group at `linux.cgroupsPath` has been made with its limits (from `CgroupPool`, say): it is joined as it is.
  /// Whoever made it, the end of the container removes it.
  public var cgroupMade: Bool
  /// What the sources of bind mounts must be, by the mounts' destinations; those without one are taken as they are.
  public var pins: [String: SourcePin] = [:]
  /// The root's files keep the ids they have on disk, whatever the container's user namespace maps them to; of an overlay.
  public var mapsRoot: Bool = false
  /// Bind mounts whose source is taken from the mount namespace of another process, by the mounts' destinations.
  public var borrowed: [String: Int32] = [:]
  /// Where the exit record goes: `<data-root>/containers/<id>/exit.json`.
  public var exitRecord: String
  /// fdatasync the exit record (after the daemon has been told); false for `--rm`.
  public var durableExit: Bool
  /// Descriptors from 3 on that the process inherits (runc's `--preserve-fds`), under the same numbers;
  /// they can't travel as JSON.
  public var preservedDescriptors: Int32 = 0
  /// What hooks are told; empty where there is none.
  public var bundle: String = ""

  public enum Rootfs: Sendable, Equatable {
    /// An ordinary directory, bound.
    case directory(String)
    /// An overlay, mounted by the init stage in its own mount namespace. `lower` is topmost first.
    case overlay(lower: [String], upper: String, work: String, volatile: Bool)
  }

  public struct Stdio: Sendable, Equatable {
    public var terminal: Bool
    /// Keep standard input open for attachers; otherwise it is /dev/null.
    public var openStdin: Bool
    /// Close it when the first attacher that sends input goes.
    public var stdinOnce: Bool
    public init(terminal: Bool, openStdin: Bool, stdinOnce: Bool) {
      self.terminal = terminal
      self.openStdin = openStdin
      self.stdinOnce = stdinOnce
    }
  }

  /// Docker's json-file log: `{"log":"…\n","stream":"stdout","time":"…Z"}` a line; lines over 16 KiB are split.
  public struct Log: Sendable, Equatable {
    public var path: String
    /// Bytes at which the file is rotated to `path.1`; nil: never.
    public var maximumSize: Int64?
    /// Files kept, the current one included; at least 1.
    public var maximumFiles: Int
    public init(path: String, maximumSize: Int64?, maximumFiles: Int) {
      self.path = path
      self.maximumSize = maximumSize
      self.maximumFiles = maximumFiles
    }
  }

  public init(
    id: String, spec: RuntimeSpec, rootfs: Rootfs, user: String? = nil, additionalGroups: [String] = [],
    seccompFilter: String? = nil, initProcess: Bool = false, stdio: Stdio, log: Log? = nil, exitRecord: String,
    durableExit: Bool = true, cgroupLayout: CgroupLayout? = nil, cgroupMade: Bool = false
  ) {
    self.id = id
    self.spec = spec
    self.rootfs = rootfs
    self.user = user
    self.additionalGroups = additionalGroups
    self.seccompFilter = seccompFilter
    self.initProcess = initProcess
    self.stdio = stdio
    self.log = log
    self.exitRecord = exitRecord
    self.durableExit = durableExit
    self.cgroupLayout = cgroupLayout
    self.cgroupMade = cgroupMade
  }
}

extension LaunchPlan {
  /// What hooks are told of the container.
  public func state(_ status: RuntimeSpec.State.Status, pid: Int32?) -> RuntimeSpec.State {
    RuntimeSpec.State(
      ociVersion: spec.ociVersion, id: id, status: status, pid: pid, bundle: bundle,
      annotations: spec.annotations ?? [:])
  }
}

/// A process to run in a container that runs.
public struct ExecPlan: Sendable, Equatable {
  /// 64 hexadecimal digits.
  public var id: String
  public var process: RuntimeSpec.Process
  /// As `LaunchPlan.user`; nil: the container's own user.
  public var user: String?
  public var additionalGroups: [String]
  /// nil: unconfined (a privileged exec).
  public var seccompFilter: String?
  /// As `LaunchPlan`'s.
  public var seccompFlags: UInt32? = nil
  public var seccompListener: SeccompListener? = nil
  /// Standard input is open only when an attacher sends it.
  public var stdio: LaunchPlan.Stdio
  /// As `LaunchPlan.preservedDescriptors`; not in the JSON form.
  public var preservedDescriptors: Int32 = 0

  public init(
    id: String, process: RuntimeSpec.Process, user: String?, additionalGroups: [String] = [], seccompFilter: String?,
    stdio: LaunchPlan.Stdio
  ) {
    self.id = id
    self.process = process
    self.user = user
    self.additionalGroups = additionalGroups
    self.seccompFilter = seccompFilter
    self.stdio = stdio
  }
}

/// A container or an exec did not come to life.
public struct LaunchFailure: Error, Sendable, Equatable, CustomStringConvertible {
  /// The numbered step of the init stage, e.g. `mount`, `pivot`, `user`, `exec`.
  public let step: String
  /// errno, 0 when no system call failed.
  public let errno: Int32
  /// The path, name or number that it failed on.
  public let object: String
  /// Docker's words where its clients match them, e.g. `exec: "foo": executable file not found in $PATH`.
  public let message: String

  public init(step: String, errno: Int32, object: String, message: String) {
    self.step = step
    self.errno = errno
    self.object = object
    self.message = message
  }

  public var description: String { message }
}
