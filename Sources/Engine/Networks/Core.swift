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

  let store: any NetworkStore
  /// Answers containers that ask for names.
  let resolver: Resolver
  /// Carries what the kernel can't lead.
  let forwarder: Forwarder

  init(
    configuration: Networks.Configuration, logger: Logger, identities: NetworkIdentities, store: any NetworkStore
  ) throws {
    self.configuration = configuration
    self.store = store
    self.logger = logger
    names = Names(configuration)
    wake = SharedDescriptor(try Sys.eventfd())
    var warnings: [String] = []
    var port: UInt32 = 0
    do throws(NetlinkError) {
      let firewall = try Firewall(table: names.table, respectsHost: configuration.respectsHostFirewall)
      port = firewall.port
      self.firewall = Mutex(firewall)
    } catch {
      warnings.append("nftables is not available (\(error)): no published ports, no masquerading")
      firewall = Mutex(nil)
    }
    firewallPort = port
    state = Mutex(State(identities: identities, warnings: warnings))
    resolver = try Resolver(logger: logger)
    forwarder = try Forwarder(logger: logger)
  }

  /// Tells the thread that `state` has work for it.
  func signal() {
    // EAGAIN: the counter is full, so the thread is about to wake anyway; other errors can't happen to an open eventfd
    do throws(SyscallError) { try Sys.signalEvent(wake.raw) } catch {
      logger.error("wake the network thread: \(error)")
    }
  }

  /// The daemon carries what the kernel can't lead to that port.
  func carries(_ mapping: Firewall.Mapping) -> Bool {
    if configuration.respectsHostFirewall { return mapping.transport != .sctp }
    return configuration.carries && mapping.isCarried
  }

  /// Makes the table anew with all that is published now.
  func assertFirewall() throws(NetlinkError) {
    try firewall.withLock { firewall throws(NetlinkError) in
      // read under the firewall's lock: whoever publishes writes it down first and commits after, so nothing is missed
      let (zones, mappings) = state.withLock { state in
        (state.segments.values.filter(\.isBridge).map { Firewall.Zone($0) }, Array(state.mappings))
      }
      guard !zones.isEmpty else { return }
      try firewall?.assert(zones, mappings)
    }
  }

  /// Names that are this daemon's own. The default exec root has the plain ones; a second daemon on the host, with an exec root of
  /// its own, has others, so that neither sweeps what is the other's.
  struct Names: Sendable {
    let bridge: String
    let table: String
    /// Six to eight characters; a slot of up to seven follows.
    let vethPrefix: String
    /// The group of the bridges that are ours (IFLA_GROUP): those that no network knows any more are taken down.
    let mark: UInt32
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
      mark = 0xbe27_0000 | (hash & 0xffff)
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
    /// Its interfaces, one a network.
    var plugs: [Sandbox.Plug] = []
    var mappings: [Firewall.Mapping] = []
    var reservations: [PortReservation] = []
    /// Containers that joined this one's namespace.
    var joiners: Set<String> = []
  }
  /// A namespace to let go.
  struct Drop: Sendable {
    var sandbox: Sandbox
    var plugs: [Sandbox.Plug]
    /// Others are in the namespace and keep it: the veths must be deleted by hand so that the addresses are free.
    var deleteLink: Bool
    /// Forget connections to these ports: they would go on to whoever has them next.
    var forget: [Firewall.Mapping]
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
  /// The networks at work, by id: the default bridge, once it's there, and the users'.
  var segments: [String: Segment] = [:]
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
  /// Who is called what, for the resolver.
  var names = NameTable()
  /// What is free once the kernel tells that the veth with that index is gone.
  var leaving: [Int32: Sandbox.Plug] = [:]
  /// `/proc/net/dev` of the host's namespace.
  var counters: SharedDescriptor?

  init(identities: NetworkIdentities, warnings: [String]) {
    self.identities = identities
    self.warnings = warnings
  }

  /// The default bridge.
  var defaultSegment: Segment? { segments[identities.bridge.id] }
  /// Its address and prefix.
  var subnet: IPv4Subnet? { defaultSegment?.subnet }

  /// An interface has gone: its addresses are free.
  mutating func free(_ plug: Sandbox.Plug) {
    if let address = plug.address { segments[plug.network]?.addresses?.give(back: address) }
    if let address = plug.address6 { segments[plug.network]?.addresses6?.give(back: address) }
  }

  /// Until when nothing should be done that nobody waits for; 0: it may be, since no container is just being started, or many are, the
  /// pool runs low, much is to be let go, or something can't wait.
  func quietUntil(_ now: UInt64, _ quiet: UInt64, poolSize: Int) -> UInt64 {
    guard takes.last > 0, now < takes.last &+ quiet, takes.last &- takes.before > quiet / 4, drops.count < 8,
      !drops.contains(where: { $0.deleteLink || !$0.forget.isEmpty }),
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
  func drop(
    _ sandbox: Sandbox, _ plugs: [Sandbox.Plug], deleteLink: Bool = false, forget: [Firewall.Mapping] = []
  ) {
    state.withLock {
      $0.drops.append(State.Drop(sandbox: sandbox, plugs: plugs, deleteLink: deleteLink, forget: forget))
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
