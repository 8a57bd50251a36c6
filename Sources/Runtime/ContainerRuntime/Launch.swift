import Cgroups
import CLinux
import Kernel
import OCI
import Rootfs

/// The parent's half of a launch or an exec: the clone, and the talk with the child until its program runs.
///
/// Whatever fails here kills and reaps the child.
struct Launch: ~Copyable {
  let pid: Int32
  private let pidfd: Descriptor
  private let channel: Descriptor
  private(set) var warnings: [String] = []
  private var terminal: SharedDescriptor?
  /// Who gets the descriptor of a filter that notifies.
  var notice: SeccompNotice?
  private var isAllowed = false

  typealias Joined = (kind: RuntimeSpec.NamespaceKind, file: SharedDescriptor)

  /// Milliseconds that a child may need between two messages: mounts of a network's file systems are slow, for ever is wrong.
  static let deadline: Int32 = 120_000

  /// Clones; the child runs `body`, which ends in the program or throws, and never comes back from here.
  ///
  /// `entering`: namespaces that the child is to be born in, which this process enters for the moment of the clone.
  /// `through`: enters those from which there is no way back: in a process in between, of which the child is born.
  init(
    flags: UInt64, cgroup: Int32, entering: [Joined], through: (() throws(SyscallError) -> Void)? = nil,
    _ body: (inout Stage) throws(LaunchFailure) -> Never
  ) throws(LaunchFailure) {
    do throws(SyscallError) {
      let ends = try Sys.socketPair(Sys.sockSequencedPacket)
      let ours = Descriptor(owning: ends.0)
      let theirs = Descriptor(owning: ends.1)
      let child = try Self.within(entering) { () throws(SyscallError) in
        let (child, inCgroup) = try Self.bear(through == nil ? flags : 0, cgroup)
        if child.pid == 0 {
          // Held by us, the parent's end would hide its death.
          _ = CLinux.close(ours.raw)
          if !inCgroup { Self.enter(cgroup, theirs.raw) }
          if let through { Self.inBetween(theirs.raw, through, flags) }
          Self.inChild(theirs.raw, body)
        }
        return child
      }
      let own = through == nil ? child.pidfd : try Self.born(of: child.pidfd, ours.raw)
      let number = through == nil ? child.pid : try Sys.pid(of: own)
      pid = number
      pidfd = Descriptor(owning: own)
      channel = ours
    } catch {
      throw LaunchFailure(step: "clone", errno: error.errno.rawValue, object: error.object, message: "clone: \(error)")
    }
  }

  /// False with the child: it wasn't born in the cgroup, and is to enter it.
  private static func bear(_ flags: UInt64, _ cgroup: Int32) throws(SyscallError) -> (
    child: (pid: pid_t, pidfd: Int32), inCgroup: Bool
  ) {
    do throws(SyscallError) {
      return (try Sys.clone3(flags: flags, cgroup: cgroup), true)
    } catch  where cgroup >= 0 && Sys.isMissing(error.errno) {
      return (try Sys.clone3(flags: flags), false)
    }
  }

  /// The way into a v2 group without CLONE_INTO_CGROUP, for a child that has done nothing yet.
  private static func enter(_ cgroup: Int32, _ channel: Int32) {
    do throws(SyscallError) { try Sys.writeFile("cgroup.procs", "0", at: cgroup) } catch {
      Stage(channel: channel).fail(
        LaunchFailure(
          step: "cgroup", errno: error.errno.rawValue, object: "cgroup.procs", message: "join cgroup: \(error)"))
    }
  }

  /// The process in between: enters, bears the child as a child of its own parent (CLONE_PARENT), says so and ends. Comes back in the
  /// child alone.
  private static func inBetween(_ channel: Int32, _ enter: () throws(SyscallError) -> Void, _ flags: UInt64) {
    do throws(SyscallError) {
      // The owner of the user namespace that we enter may look into processes of his own, as we are one then: not into this one, and not
      // into the child before it says so itself.
      try Sys.prctl(4, 0)
      try enter()
      let child = try Sys.cloneSibling(flags: flags)
      if child.pid == 0 { return }
      try Message.born.send(on: channel, descriptors: [child.pidfd])
      _exit(0)
    } catch {
      Message.failure(
        LaunchFailure(
          step: "namespaces", errno: error.errno.rawValue, object: error.object,
          message: "join user namespace: \(error)")
      ).post(to: channel)
      _exit(127)
    }
  }

  private static func born(of between: Int32, _ channel: Int32) throws(SyscallError) -> Int32 {
    let between = Descriptor(owning: between)
    guard try Sys.poll(channel, Int16(POLLIN), timeout: deadline) != 0,
      let (message, descriptors) = try Message.receive(from: channel)
    else {
      try? Sys.sendSignal(pidfd: between.raw, SIGKILL)
      _ = try Sys.wait(pidfd: between.raw)
      throw SyscallError("clone3", "in the user namespace", .timedOut)
    }
    _ = try Sys.wait(pidfd: between.raw)
    switch message {
    case .born:
      guard let pidfd = descriptors.first else { break }
      return try Sys.fcntl(pidfd.raw, F_DUPFD_CLOEXEC, 0)
    case .failure(let failure): throw SyscallError("clone3", failure.message, Errno(rawValue: failure.errno))
    default: break
    }
    throw SyscallError("clone3", "in the user namespace", Errno(rawValue: EBADMSG))
  }

  private static func inChild(_ channel: Int32, _ body: (inout Stage) throws(LaunchFailure) -> Never) -> Never {
    var stage = Stage(channel: channel)
    do throws(LaunchFailure) { try body(&stage) } catch { stage.fail(error) }
  }

  /// Runs the body in others' namespaces, and comes back.
  private static func within<T>(_ namespaces: [Joined], _ body: () throws(SyscallError) -> T) throws(SyscallError) -> T
  {
    guard let (kind, file) = namespaces.first else { return try body() }
    let flag = Int32(truncatingIfNeeded: kind.cloneFlag)
    let own = try Sys.open("/proc/self/ns/\(kind.procName)")
    try Sys.setns(file.raw, flag)
    let result: Result<T, SyscallError>
    do throws(SyscallError) {
      result = .success(try within(Array(namespaces.dropFirst()), body))
    } catch { result = .failure(error) }
    try Sys.setns(own.raw, flag)
    return try result.get()
  }

  private enum Heard {
    case ready, end
    case failure(LaunchFailure)
  }

  /// What the parent does when the child asks for it.
  struct Services {
    var maps: (Int32) throws(LaunchFailure) -> Void = { _ in }
    var hooks: (Int32) throws(LaunchFailure) -> Void = { _ in }
  }

  private mutating func hear(_ services: Services) throws(SyscallError) -> Heard {
    while true {
      guard try Sys.poll(channel.raw, Int16(POLLIN), timeout: Self.deadline) != 0 else {
        throw SyscallError("wait for init stage", "", .timedOut)
      }
      let packet: (message: Message, descriptors: [SharedDescriptor])?
      do throws(SyscallError) {
        packet = try Message.receive(from: channel.raw)
      } catch  where error.errno == .connectionReset && isAllowed {
        // Told once, of a child that ended with our permission unread; what it said before is read next.
        continue
      }
      guard let (message, descriptors) = packet else { return .end }
      switch message {
      case .ready: return .ready
      case .warning(let text): warnings.append(text)
      case .terminal: terminal = descriptors.first
      case .needMaps:
        do throws(LaunchFailure) { try services.maps(pid) } catch { return .failure(error) }
        try Message.mapped.send(on: channel.raw)
      case .needHooks:
        do throws(LaunchFailure) { try services.hooks(pid) } catch { return .failure(error) }
        try Message.hooked.send(on: channel.raw)
      case .listener:
        do throws(LaunchFailure) { try notice.deliver(descriptors.first, pid: pid) } catch { return .failure(error) }
      case .failure(let failure): return .failure(failure)
      case .mapped, .hooked, .born, .go: throw SyscallError("wait for init stage", "", Errno(rawValue: EBADMSG))
      }
    }
  }

  /// Waits until the child is ready to execute its program.
  mutating func awaitReady(_ services: Services) throws(LaunchFailure) {
    switch try heard(services) {
    case .ready: return
    case .failure(let failure): throw end(failure)
    case .end: throw died()
    }
  }

  /// Waits until the program runs: the child's end of the channel is closed by the exec.
  mutating func awaitProgram() throws(LaunchFailure) {
    switch try heard(Services()) {
    case .end: return
    case .failure(let failure): throw end(failure)
    case .ready:
      throw end(LaunchFailure(step: "exec", errno: EBADMSG, object: "", message: "the init stage said ready twice"))
    }
  }

  /// Says go before the child asks: it needn't wait for us then, nor we for it. One that has ended says why in `awaitReady`.
  mutating func allow() {
    do throws(SyscallError) { try Message.go.send(on: channel.raw) } catch { return }
    isAllowed = true
  }

  mutating func go() throws(LaunchFailure) {
    if !isAllowed { try sayGo() }
    try awaitProgram()
  }

  private mutating func sayGo() throws(LaunchFailure) {
    do throws(SyscallError) { try Message.go.send(on: channel.raw) } catch {
      // The child may have said why before it went.
      try awaitReady(Services())
    }
  }

  /// Says go and hears no more: the child goes on to its gate.
  func release() throws(SyscallError) {
    do throws(SyscallError) { try Message.go.send(on: channel.raw) } catch {
      kill()
      throw error
    }
  }

  private mutating func heard(_ services: Services) throws(LaunchFailure) -> Heard {
    do throws(SyscallError) { return try hear(services) } catch {
      throw end(LaunchFailure(step: "launch", errno: error.errno.rawValue, object: error.object, message: "\(error)"))
    }
  }

  /// Kills and reaps the child.
  func kill() {
    try? Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
    _ = try? Sys.wait(pidfd: pidfd.raw)
  }

  private func end(_ failure: LaunchFailure) -> LaunchFailure {
    kill()
    return failure
  }

  private func died() -> LaunchFailure {
    try? Sys.sendSignal(pidfd: pidfd.raw, SIGKILL)
    let exit = (try? Sys.wait(pidfd: pidfd.raw)) ?? nil
    if case .signaled(SIGKILL)? = exit {
      return LaunchFailure(
        step: "launch", errno: 0, object: "\(pid)", message: "container init was OOM-killed (memory limit too low?)")
    }
    return LaunchFailure(
      step: "launch", errno: 0, object: "\(pid)",
      message: "the init stage ended early (\(exit.map { "\($0)" } ?? "unknown"))")
  }

  /// Descriptors of namespaces that the child was born in.
  func hold(_ kinds: [RuntimeSpec.NamespaceKind]) throws(LaunchFailure) -> [SharedDescriptor] {
    do throws(SyscallError) {
      return try kinds.map { kind throws(SyscallError) in
        SharedDescriptor(try Sys.namespace(pidfd: pidfd.raw, pid: pid, kind.cloneFlag))
      }
    } catch  where error.errno == .noSuchProcess || error.errno == .noSuchFile {
      return []  // it has ended, and what it says of that is yet to be heard
    } catch  where (error.errno == .permissionDenied || error.errno == .notPermitted) && geteuid() != 0 {
      return []  // an ordinary user may not look into a child that hides from the user namespace it is in
    } catch {
      throw end(LaunchFailure(step: "launch", errno: error.errno.rawValue, object: error.object, message: "\(error)"))
    }
  }

  func namespace(_ kind: RuntimeSpec.NamespaceKind) throws(SyscallError) -> Descriptor {
    try Sys.namespace(pidfd: pidfd.raw, pid: pid, kind.cloneFlag)
  }

  /// What the caller gets: pidfd and terminal.
  func process() throws(LaunchFailure) -> ContainerProcess {
    do throws(SyscallError) {
      return ContainerProcess(pid: pid, pidfd: try pidfd.duplicate(), terminal: terminal)
    } catch {
      throw end(LaunchFailure(step: "launch", errno: error.errno.rawValue, object: error.object, message: "\(error)"))
    }
  }
}
