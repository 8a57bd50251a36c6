public import Cgroups
import CLinux
public import ContainerRuntime
import Dispatch
import Errdefs
public import Kernel
import Synchronization

/// Starts shims, and finds those that a former daemon started.
///
/// The program is executed from a sealed copy in memory, made once: no container can open it for writing, and an
/// upgrade on disk changes nothing under a running daemon (CVE-2019-5736). A shim is a session of its own, with signals
/// reset and no descriptor but its own: 0 and 1 are `/dev/null`, 2 is `errors`, 3 the control socket.
///
/// After `keepAhead` some shims wait for their containers (`Shim/Opening`), since a process's start costs a millisecond. They end
/// with this process, or when it lets go of them.
public final class ShimLauncher: Sendable {
  private let program: SharedDescriptor
  private let null: SharedDescriptor
  private let errors: SharedDescriptor
  private let hub: ShimHub
  /// Called when a shim that this process started has ended.
  private let ended: @Sendable (_ id: String, Sys.Exit) -> Void
  private let spares = Mutex(Spares())
  private let queue = DispatchQueue(label: "shims.ahead", qos: .utility)

  /// What is kept ready.
  public struct Ahead: Sendable {
    /// How many shims wait.
    public var count: Int
    /// The run directories' own, for the place that a waiting shim holds in the list of processes.
    public var runDirectories: String
    /// Where the containers' groups are made.
    public var cgroupParent: String
    public var cgroupLayout: CgroupLayout

    public init(count: Int, runDirectories: String, cgroupParent: String, cgroupLayout: CgroupLayout) {
      self.count = count
      self.runDirectories = runDirectories
      self.cgroupParent = cgroupParent
      self.cgroupLayout = cgroupLayout
    }
  }

  private struct Spares {
    var ahead: Ahead?
    var waiting: [Spare] = []
    var isDue = false
    /// The last one, for those that wait to read once: what has been read before is read faster.
    var sample: LaunchPlan?
  }

  /// A shim that this process has started.
  private final class Spare: Sendable {
    let pid: pid_t
    let socket: SharedDescriptor
    let owner: Owner

    init(pid: pid_t, socket: SharedDescriptor, owner: Owner) {
      self.pid = pid
      self.socket = socket
      self.owner = owner
    }
  }

  /// Whose shim it is, for the one that reaps it, who must not hold its socket.
  private final class Owner: Sendable {
    /// The container's, once there is one.
    let id = Mutex<String?>(nil)
  }

  /// `program`: the path of berth-shim. `errors`: a file that all shims append what goes wrong to; nil: nowhere.
  public init(
    program: String, errors: String? = nil, ended: @escaping @Sendable (_ id: String, Sys.Exit) -> Void = { _, _ in }
  ) throws {
    self.program = try Self.seal(program)
    null = SharedDescriptor(try Sys.open("/dev/null", O_RDWR))
    self.errors =
      try errors.map { SharedDescriptor(try Sys.open($0, O_WRONLY | O_CREAT | O_APPEND, mode: 0o600)) } ?? null
    hub = try ShimHub.start()
    self.ended = ended
  }

  private static func seal(_ path: String) throws(SyscallError) -> SharedDescriptor {
    let source = try Sys.open(path)
    let size = try Sys.fstat(source.raw).st_size
    // 0x10 is MFD_EXEC (Linux 6.3), which older kernels refuse and newer ones may insist on.
    var raw = cl_memfd_create("berth-shim", 0x13)
    if raw < 0 { raw = Int(try Sys.retrying("memfd_create", "berth-shim") { cl_memfd_create("berth-shim", 3) }) }
    let copy = Descriptor(owning: Int32(raw))
    try Sys.retrying("fchmod", "berth-shim") { fchmod(copy.raw, 0o500) }
    var copied = 0
    while copied < size {
      let count = try Sys.retrying("sendfile", path) { sendfile(copy.raw, source.raw, nil, Int(size) - copied) }
      guard count > 0 else { throw SyscallError("sendfile", path, .io) }
      copied += count
    }
    // F_ADD_SEALS: SEAL, SHRINK, GROW, WRITE
    try Sys.fcntl(copy.raw, 1033, 0xF)
    // Above the numbers that a shim is given.
    return SharedDescriptor(owning: try Sys.fcntl(copy.raw, F_DUPFD_CLOEXEC, 16))
  }

  /// Gives the plan to a shim, one that waits if there is one. It prepares the container at once; attach, then `start`.
  /// The run directory must exist. `root`: what the plan's root is, as a detached mount; let go of it.
  public func launch(id: String, runDirectory: String, plan: LaunchPlan, root: SharedDescriptor? = nil) async throws
    -> ShimConnection
  {
    let message = ShimProtocol.Opening.launch(directory: runDirectory, plan).encoded()
    let spare: Spare? = spares.withLock { spares in
      spares.sample = plan
      return spares.waiting.popLast()
    }
    defer { refillLater() }
    if let spare {
      spare.owner.id.withLock { $0 = id }
      do throws(SyscallError) {
        try ShimProtocol.send(message, descriptors: root.map { [$0.raw] } ?? [], on: spare.socket.raw)
        return try ShimConnection(spare.socket, pid: spare.pid, hub: hub)
      } catch {
        // Somebody killed it. The next one is made now.
        guard error.errno == .brokenPipe || error.errno == .connectionReset else { throw error }
      }
    }
    let made = try make(runDirectory)
    made.owner.id.withLock { $0 = id }
    try ShimProtocol.send(message, descriptors: root.map { [$0.raw] } ?? [], on: made.socket.raw)
    return try ShimConnection(made.socket, pid: made.pid, hub: hub)
  }

  /// Namespaces for a container that has its own users: made by a shim that waits, since this process has threads and can't. Blocks.
  /// `joining`: another container's user namespace instead of a new one.
  func namespaces(_ mapping: UserMapping, joining: SharedDescriptor?, network: Bool) throws -> UserNamespaces {
    let spare: Spare? = spares.withLock { $0.waiting.popLast() }
    let directories = spares.withLock { $0.ahead?.runDirectories } ?? "/run/berth/containers"
    let shim = try spare ?? make(directories + "/" + String(repeating: "-", count: 64))
    let message = ShimProtocol.Opening.namespaces(users: mapping.users, groups: mapping.groups, network: network)
    try ShimProtocol.send(message.encoded(), descriptors: joining.map { [$0.raw] } ?? [], on: shim.socket.raw)
    guard try Sys.poll(shim.socket.raw, Int16(POLLIN), timeout: 20_000) != 0 else {
      throw SyscallError("make", "a user namespace", .timedOut)
    }
    let received = try withUnsafeTemporaryAllocation(byteCount: ShimProtocol.packetLimit, alignment: 16) { buffer in
      try ShimProtocol.receive(shim.socket.raw, through: buffer)
    }
    guard let received, let user = received.descriptors.first else {
      let reason = received.map { String(decoding: $0.message, as: UTF8.self) } ?? "the shim has ended"
      throw EngineError.system("make a user namespace: \(reason)")
    }
    spares.withLock { spares in
      if spares.ahead != nil { spares.waiting.append(shim) }
    }
    return UserNamespaces(user: user, network: received.descriptors.count > 1 ? received.descriptors[1] : nil)
  }

  /// From now on, shims wait for their containers.
  public func keepAhead(_ ahead: Ahead) {
    spares.withLock { $0.ahead = ahead }
    queue.async { [self] in refill() }
  }

  /// Lets go of all shims: containers go on without the daemon, and those that wait for one end.
  public func letGo() {
    keepNone()
    hub.closeConnections()
  }

  /// Lets go of the shims that wait; there are no more of them.
  public func keepNone() {
    let waiting = spares.withLock { spares in
      defer { spares.waiting = [] }
      spares.ahead = nil
      return spares.waiting
    }
    // They end when their sockets do, which is when the last reference goes.
    _ = waiting
  }

  /// Not at once: the processors have a container to start.
  private func refillLater() {
    let isDue = spares.withLock { spares in
      guard let ahead = spares.ahead, !spares.isDue, spares.waiting.count < ahead.count else { return false }
      spares.isDue = true
      return true
    }
    guard isDue else { return }
    queue.asyncAfter(deadline: .now() + .milliseconds(15)) { [self] in
      spares.withLock { $0.isDue = false }
      refill()
    }
  }

  private func refill() {
    while true {
      let wanted: (Ahead, LaunchPlan?)? = spares.withLock { spares in
        guard let ahead = spares.ahead, spares.waiting.count < ahead.count else { return nil }
        return (ahead, spares.sample)
      }
      guard let (ahead, sample) = wanted else { return }
      do {
        let spare = try make(ahead.runDirectories + "/" + String(repeating: "-", count: 64))
        let message = ShimProtocol.Opening.ahead(
          cgroupParent: ahead.cgroupParent, ahead.cgroupLayout, sample: sample)
        try ShimProtocol.send(message.encoded(), on: spare.socket.raw)
        spares.withLock { spares in
          if spares.ahead != nil { spares.waiting.append(spare) }
        }
      } catch {
        // The next launch makes its own, and tells why that fails.
        return
      }
    }
  }

  /// Starts a shim, which waits for its opening.
  private func make(_ argument: String) throws -> Spare {
    let (ours, theirs) = try Sys.socketPair(Sys.sockSequencedPacket)
    let socket = SharedDescriptor(owning: ours)
    let control = Descriptor(owning: theirs)
    let pid = try spawn(argument, control: control.raw)
    let owner = Owner()
    let ended = self.ended
    do throws(SyscallError) {
      _ = try ShimReaper(pid, hub) { [weak self] exit in
        self?.spares.withLock { $0.waiting.removeAll { $0.owner === owner } }
        if let id = owner.id.withLock({ $0 }) { ended(id, exit) }
      }
    } catch {
      // Without a way to wait for it, it would stay a zombie.
      try Sys.kill(pid, SIGKILL)
      throw error
    }
    return Spare(pid: pid, socket: socket, owner: owner)
  }

  /// Connects to the shim of a container that a former daemon started; nil when there is none, and then the exit record
  /// tells the end. Ask for its `state` next.
  public func adopt(runDirectory: String) throws -> ShimConnection? {
    let socket = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket | Sys.sockNonBlock)
    do throws(SyscallError) {
      let directory = try Sys.open(runDirectory, O_DIRECTORY | O_PATH)
      // By the descriptor, since the path may be longer than an address can be.
      try Sys.connect(socket.raw, path: "/proc/self/fd/\(directory.raw)/\(ShimProtocol.socketName)")
    } catch {
      switch error.errno {
      case .noSuchFile, .connectionRefused: return nil
      default: throw error
      }
    }
    let peer = try Sys.peerCredentials(socket.raw)
    guard peer.uid == geteuid() else { throw SyscallError("connect", runDirectory, .notPermitted) }
    return try ShimConnection(SharedDescriptor(socket), pid: peer.pid, hub: hub)
  }

  private func spawn(_ argument: String, control: Int32) throws(SyscallError) -> pid_t {
    // The numbers 0 to 3 must not be overwritten before they are copied from.
    let control = try Sys.fcntl(control, F_DUPFD_CLOEXEC, 16)
    defer { _ = CLinux.close(control) }
    var actions = posix_spawn_file_actions_t()
    var attributes = posix_spawnattr_t()
    posix_spawn_file_actions_init(&actions)
    posix_spawnattr_init(&attributes)
    defer {
      posix_spawn_file_actions_destroy(&actions)
      posix_spawnattr_destroy(&attributes)
    }
    posix_spawn_file_actions_adddup2(&actions, null.raw, 0)
    posix_spawn_file_actions_adddup2(&actions, null.raw, 1)
    posix_spawn_file_actions_adddup2(&actions, errors.raw, 2)
    posix_spawn_file_actions_adddup2(&actions, control, 3)
    posix_spawn_file_actions_adddup2(&actions, program.raw, 4)
    // Whatever some library forgot to mark close-on-exec. The shim closes 4.
    posix_spawn_file_actions_addclosefrom_np(&actions, 5)

    var none = sigset_t()
    sigemptyset(&none)
    var all = sigset_t()
    sigfillset(&all)
    posix_spawnattr_setsigmask(&attributes, &none)
    posix_spawnattr_setsigdefault(&attributes, &all)
    posix_spawnattr_setflags(&attributes, Int16(0x80 | 0x08 | 0x04))  // SETSID, SETSIGMASK, SETSIGDEF

    // Nothing of the daemon's environment concerns a shim. What it frees should go back to the kernel and not wait in
    // malloc's caches: 7 KB for each container.
    let arguments: [UnsafeMutablePointer<CChar>?] = [strdup("berth-shim"), strdup(argument), nil]
    defer { for argument in arguments { free(argument) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("GLIBC_TUNABLES=glibc.malloc.tcache_count=0"), nil]
    defer { free(environment[0]) }
    var pid: pid_t = 0
    let result = Sys.spawning {
      posix_spawn(&pid, "/proc/self/fd/4", &actions, &attributes, arguments, &environment)
    }
    guard result == 0 else { throw SyscallError("posix_spawn", "berth-shim", Errno(rawValue: result)) }
    return pid
  }
}
