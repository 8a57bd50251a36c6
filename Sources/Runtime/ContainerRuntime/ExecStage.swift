import Cgroups
import Kernel
import OCI
import Rootfs

/// The child's half of an exec: from the clone, in the container's pid namespace already, to `ProcessStage`.
final class ExecStage {
  private let container: String
  private let request: ProcessRequest
  private let entrance: CgroupEntrance
  /// The container's pid 1.
  private let pidfd: Int32
  /// CLONE_NEW… of the namespaces to enter.
  private let namespaces: UInt64
  /// The container has a user namespace of its own.
  private let inUser: Bool
  private let stdio: ContainerRuntime.Stdio

  init(
    container: String, request: ProcessRequest, entrance: consuming CgroupEntrance, pidfd: Int32, namespaces: UInt64,
    inUser: Bool,
    stdio: ContainerRuntime.Stdio
  ) {
    self.container = container
    self.request = request
    self.entrance = entrance
    self.pidfd = pidfd
    self.namespaces = namespaces
    self.inUser = inUser
    self.stdio = stdio
  }

  var cloneInto: Int32 { entrance.cloneInto }

  func run(_ stage: inout Stage) throws(LaunchFailure) -> Never {
    try stage.enter(.signals)
    Sys.resetSignals()

    try stage.enter(.dumpable)
    try stage.attempt("prctl") { () throws(SyscallError) in try Sys.prctl(4, 0) }

    try stage.enter(.session)
    try stage.attempt("setsid") { () throws(SyscallError) in try Sys.setsid() }
    try InitStage.joinKeyring(container, stage)

    try stage.enter(.cgroup)
    do throws(CgroupError) { try entrance.enter() } catch {
      throw stage.failure(error.errno.rawValue, error.path, "\(error)")
    }

    try stage.enter(.namespaces)
    try stage.attempt("join namespaces of container \(container)") { () throws(SyscallError) in
      // One call for all of them, and root and working directory become the container's.
      if namespaces != 0 { try Sys.setns(pidfd, Int32(truncatingIfNeeded: namespaces)) }
      if inUser {
        try Sys.setgid(0)
        try Sys.setuid(0)
        try Sys.leaveGroups()
        try Sys.prctl(4, 0)
      }
    }

    try stage.enter(.console)
    var slave: SharedDescriptor?
    if request.terminal {
      let root = try stage.attempt("open root directory") { () throws(SyscallError) in try Root("/") }
      let terminal = try stage.mounting { () throws(RootfsError) in try Rootfs.openTerminal(in: root) }
      try stage.attempt("hand over the terminal") { () throws(SyscallError) in
        try Message.terminal.send(on: stage.channel, descriptors: [terminal.master.raw])
      }
      slave = SharedDescriptor(terminal.takeSlave())
    }
    try ProcessStage(request: request, stdio: stdio, slave: slave).run(&stage, proc: nil, waits: false)
  }
}
