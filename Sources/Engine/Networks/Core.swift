import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

/// What the callers' side (`Networks`) and the thread (`Plumber`) share.
final class Core: Sendable {
  let configuration: Networks.Configuration
  let logger: Logger
  let names: Names
  let state: Mutex<State>
  /// nil where the kernel has no nf_tables.
  let firewall: Mutex<Firewall?>
  /// The number that the firewall's own notices bear.
  let firewallPort: UInt32
  /// An eventfd that wakes the thread.
  let wake: SharedDescriptor

  init(configuration: Networks.Configuration, logger: Logger, identities: NetworkIdentities) throws {
    self.configuration = configuration
    self.logger = logger
    names = Names(configuration)
    wake = SharedDescriptor(try Sys.eventfd())
    var warnings: [String] = []
    var port: UInt32 = 0
    do throws(NetlinkError) {
      let firewall = try Firewall(table: names.table, bridge: names.bridge)
      port = firewall.port
      self.firewall = Mutex(firewall)
    } catch {
      warnings.append("nftables is not available (\(error)): no published ports, no masquerading")
      firewall = Mutex(nil)
    }
    firewallPort = port
    state = Mutex(State(identities: identities, warnings: warnings))
  }

  /// Tells the thread that `state` has work for it.
  func signal() {
    // EAGAIN: the counter is full, so the thread is about to wake anyway; other errors can't happen to an open eventfd
    do throws(SyscallError) { try Sys.signalEvent(wake.raw) } catch {
      logger.error("wake the network thread: \(error)")
    }
  }

  /// Makes the table anew with all that is published now.
  func assertFirewall() throws(NetlinkError) {
    try firewall.withLock { firewall throws(NetlinkError) in
      // read under the firewall's lock: whoever publishes writes it down first and commits after, so nothing is missed
      let (subnet, mappings) = state.withLock { ($0.subnet, Array($0.mappings)) }
      guard let subnet else { return }
      try firewall?.assert(subnet: subnet, mappings)
    }
  }

  /// Names that are this daemon's own. The default exec root has the plain ones; a second daemon on the host, with an exec root of
  /// its own, has others, so that neither sweeps what is the other's.
  struct Names: Sendable {
    let bridge: String
    let table: String
    /// Six to eight characters; a slot of up to seven follows.
    let vethPrefix: String
    let netnsDirectory: String
    let identities: String

    init(_ configuration: Networks.Configuration) {
      // FNV-1a
      let hash = configuration.execRoot.utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
      let digits = String(hash & 0xffff | 0x10000, radix: 16).dropFirst()
      let isDefault = configuration.execRoot == Networks.Configuration.defaultExecRoot
      bridge = configuration.bridgeName ?? (isDefault ? "berth0" : "berth-\(digits)")
      table = isDefault ? "berth" : "berth-\(digits)"
      vethPrefix = "veth\(digits)"
      netnsDirectory = configuration.execRoot + "/netns"
      identities = configuration.dataRoot + "/networks.json"
    }
  }
}

/// Memory only: nothing is called under its lock that waits for the kernel.
struct State: Sendable {
  struct Attachment: Sendable {
    var endpoint: Endpoint
    var sandbox: Sandbox?
    var mappings: [Firewall.Mapping] = []
    var reservations: [PortReservation] = []
    /// Containers that joined this one's namespace.
    var joiners: Set<String> = []
  }
  /// A namespace to let go.
  struct Drop: Sendable {
    var sandbox: Sandbox
    /// Others are in the namespace and keep it: the veth must be deleted by hand so that the address is free.
    var deleteLink: Bool
    /// Forget connections of UDP to this address: they would go on to whoever has it next.
    var forgetConnections: Bool
  }
  struct Job: Sendable {
    let run: @Sendable (inout Plumber) -> Void
    /// The thread can't.
    let fail: @Sendable (any Error) -> Void
  }
  enum Phase: Sendable {
    case idle
    case running
    case closed
  }

  var phase = Phase.idle
  var identities: NetworkIdentities
  var warnings: [String]
  /// The bridge's address and prefix, once it's there.
  var subnet: IPv4Subnet?
  var bridgeIndex: Int32 = 0
  var addresses: AddressPool?
  var ports = PortTable()
  var mappings: Set<Firewall.Mapping> = []
  var attachments: [String: Attachment] = [:]
  /// Sandboxes made ahead, oldest first.
  var ready: [Sandbox.Kind: [Sandbox]] = [:]
  /// Who waits for one, first come first.
  var waiting: [(kind: Sandbox.Kind, resume: @Sendable (Result<Sandbox, any Error>) -> Void)] = []
  var drops: [Drop] = []
  /// When sandboxes were taken from `ready`, the last time and the one before, in monotonic nanoseconds.
  var takes: (before: UInt64, last: UInt64) = (0, 0)
  /// Work for the thread, in order.
  var jobs: [Job] = []
  /// Addresses that are free once the kernel tells that the veth with that index is gone.
  var leaving: [Int32: IPv4Address] = [:]
  /// `/proc/net/dev` of the host's namespace.
  var counters: SharedDescriptor?

  init(identities: NetworkIdentities, warnings: [String]) {
    self.identities = identities
    self.warnings = warnings
  }

  /// Until when nothing should be done that nobody waits for; 0: it may be, since no container is just being started, or many are, the
  /// pool runs low, much is to be let go, or something can't wait.
  func quietUntil(_ now: UInt64, _ quiet: UInt64, poolSize: Int) -> UInt64 {
    guard takes.last > 0, now < takes.last &+ quiet, takes.last &- takes.before > quiet / 4, drops.count < 8,
      !drops.contains(where: { $0.deleteLink || $0.forgetConnections }),
      ready[.bridge]?.count ?? 0 >= poolSize / 2, ready[.none]?.count ?? 0 >= 1
    else { return 0 }
    return takes.last &+ quiet
  }

  mutating func takeReady(_ kind: Sandbox.Kind) -> Sandbox? {
    guard var list = ready[kind], !list.isEmpty else { return nil }
    let first = list.removeFirst()
    ready[kind] = list
    return first
  }
}

extension Core {
  /// Runs `job` on the thread, after what was asked before.
  func onThread<T: Sendable>(_ job: @escaping @Sendable (inout Plumber) throws -> T) async throws -> T {
    try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<T, any Error>) in
      let accepted = state.withLock { state in
        guard state.phase != .closed else { return false }
        state.jobs.append(
          State.Job(
            run: { plumber in continuation.resume(with: Result { try job(&plumber) }) },
            fail: { continuation.resume(throwing: $0) }))
        return true
      }
      if accepted { signal() } else { continuation.resume(throwing: EngineError.unavailable) }
    }
  }

  /// A sandbox from the pool, or the next that is made.
  func takeSandbox(_ kind: Sandbox.Kind) async throws -> Sandbox {
    let now = Sys.monotonicNanoseconds()
    let taken = state.withLock { state -> Sandbox? in
      guard state.phase == .running, let ready = state.takeReady(kind) else { return nil }
      state.takes = (state.takes.last, now)
      return ready
    }
    if let ready = taken {
      signal()
      return ready
    }
    return try await withCheckedThrowingContinuation { (continuation: CheckedContinuation<Sandbox, any Error>) in
      let accepted = state.withLock { state in
        guard state.phase == .running else { return false }
        state.waiting.append((kind, { continuation.resume(with: $0) }))
        return true
      }
      if accepted { signal() } else { continuation.resume(throwing: EngineError.unavailable) }
    }
  }

  /// Lets a sandbox go, behind the caller's back.
  func drop(_ sandbox: Sandbox, deleteLink: Bool = false, forgetConnections: Bool = false) {
    state.withLock {
      $0.drops.append(State.Drop(sandbox: sandbox, deleteLink: deleteLink, forgetConnections: forgetConnections))
    }
    signal()
  }

  /// The thread works no more: who waits is told so, and whoever comes.
  func refuse(_ error: any Error) {
    let (waiting, jobs) = state.withLock { state in
      state.phase = .closed
      let result = (state.waiting, state.jobs)
      state.waiting = []
      state.jobs = []
      return result
    }
    for entry in waiting { entry.resume(.failure(error)) }
    for job in jobs { job.fail(error) }
  }
}

extension EngineError {
  static let unavailable = EngineError(.unavailable, "networks are not available: the daemon is starting or ending")
}
