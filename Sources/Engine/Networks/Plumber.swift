import CLinux
import Errdefs
import Kernel
import Logging
import Netlink
import Synchronization

/// The thread's side: makes namespaces and lets them go, configures the bridge, listens to the kernel's notices.
///
/// All that takes the RTNL lock is here, so that only this thread waits for it.
struct Plumber: ~Copyable {
  let core: Core
  let home: Descriptor
  /// rtnetlink in the host's namespace.
  var links: NetlinkSocket
  private var linkNotices: NetlinkSocket
  private var tableNotices: NetlinkSocket?
  var nextSlot: UInt64 = 1
  /// The thread couldn't come home from a namespace: it makes no more.
  var lost = false
  /// Making sandboxes failed: tried again when somebody asks for one, not before.
  private var refillFailed = false
  private var lastFailure = ""
  /// Veths of the dead that should go on their own, and when to give up waiting.
  var stale: Set<Int32> = []
  var staleDeadline: UInt64 = 0
  private var stopping = false
  /// What nobody waits for is put off until then: 0, or monotonic nanoseconds.
  private var quietUntil: UInt64 = 0

  /// A container that has just got its sandbox is being started: its launch shouldn't meet us in the kernel's locks and RCU's grace
  /// periods, nor on a processor.
  private static let quiet: UInt64 = 15_000_000

  /// On the thread itself, in the host's network namespace.
  init(_ core: Core) throws {
    self.core = core
    let home = try Sys.open("/proc/thread-self/ns/net")
    let links = try NetlinkSocket(.route)
    let linkNotices = try NetlinkSocket(.route)
    try linkNotices.join(1)  // RTNLGRP_LINK
    let tableNotices = try Self.listenToTables(core)
    let counters = SharedDescriptor(try Sys.open("/proc/thread-self/net/dev"))
    core.state.withLock { $0.counters = counters }
    self.home = home
    self.links = links
    self.linkNotices = linkNotices
    self.tableNotices = tableNotices
  }

  private static func listenToTables(_ core: Core) throws(NetlinkError) -> NetlinkSocket? {
    guard core.firewall.withLock({ $0 != nil }) else { return nil }
    let notices = try NetlinkSocket(.netfilter)
    try notices.join(7)  // NFNLGRP_NFTABLES
    return notices
  }

  /// Until `stop`.
  mutating func run() {
    while !stopping {
      do {
        try wait()
        work()
      } catch {
        core.logger.error("network thread: \(error)")
      }
    }
  }

  mutating func stop() { stopping = true }

  /// Sleeps until there is work or a notice, and takes in the notices.
  private mutating func wait() throws {
    var polled = [
      pollfd(fd: core.wake.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: linkNotices.raw, events: Int16(POLLIN), revents: 0),
      pollfd(fd: tableNotices?.raw ?? -1, events: Int16(POLLIN), revents: 0),
    ]
    var timeout: Int32 = -1
    if !stale.isEmpty {
      let now = Sys.monotonicNanoseconds()
      timeout = staleDeadline > now ? Int32(clamping: (staleDeadline - now) / 1_000_000 + 1) : 0
    }
    if quietUntil > 0 {
      let now = Sys.monotonicNanoseconds()
      let left = quietUntil > now ? Int32(clamping: (quietUntil - now) / 1_000_000 + 1) : 0
      timeout = timeout < 0 ? left : min(timeout, left)
    }
    try Sys.retrying("poll") { poll(&polled, nfds_t(polled.count), timeout) }
    if polled[0].revents != 0 { try Sys.drainEvent(core.wake.raw) }
    if polled[1].revents != 0 { try takeLinkNotices() }
    if polled[2].revents != 0 { try takeTableNotices() }
    if !stale.isEmpty, Sys.monotonicNanoseconds() >= staleDeadline { deleteStale() }
  }

  /// Jobs first, then who waits, then the dead, one at a time, and last the pool.
  private mutating func work() {
    quietUntil = 0
    while !stopping {
      let now = Sys.monotonicNanoseconds()
      let (job, wanted, drop, quiet) = core.state.withLock { state in
        let job = state.jobs.isEmpty ? nil : state.jobs.removeFirst()
        let wanted = job == nil ? state.waiting.first?.kind : nil
        let quiet = state.quietUntil(now, Self.quiet, poolSize: core.configuration.poolSize)
        let drop = job == nil && wanted == nil && quiet == 0 && !state.drops.isEmpty ? state.drops.removeFirst() : nil
        return (job, wanted, drop, quiet)
      }
      if let job {
        job.run(&self)
      } else if let wanted {
        refillFailed = false
        serve(wanted)
      } else if quiet > 0 {
        quietUntil = quiet
        return
      } else if let drop {
        release(drop)
      } else if let kind = lacking(), !refillFailed {
        do {
          let sandbox = try make(kind)
          deliver(.success(sandbox), kind)
        } catch {
          refillFailed = true
          // once a cause: the next who needs a sandbox is told, too
          if lastFailure != "\(error)" { core.logger.error("make a network namespace ahead: \(error)") }
          lastFailure = "\(error)"
        }
      } else {
        return
      }
    }
  }

  private mutating func serve(_ kind: Sandbox.Kind) {
    do {
      deliver(.success(try make(kind)), kind)
    } catch {
      deliver(.failure(error), kind)
    }
  }

  /// To the first who waits for that kind, else to the pool.
  private func deliver(_ result: Result<Sandbox, any Error>, _ kind: Sandbox.Kind) {
    let resume = core.state.withLock { state -> (@Sendable (Result<Sandbox, any Error>) -> Void)? in
      if let index = state.waiting.firstIndex(where: { $0.kind == kind }) {
        return state.waiting.remove(at: index).resume
      }
      if case .success(let sandbox) = result { state.ready[kind, default: []].append(sandbox) }
      return nil
    }
    resume?(result)
  }

  private func lacking() -> Sandbox.Kind? {
    core.state.withLock { state in
      guard state.phase == .running else { return nil }
      let size = core.configuration.poolSize
      if state.subnet != nil, state.ready[.bridge]?.count ?? 0 < size { return .bridge }
      // few containers have no network at all
      return state.ready[.none]?.count ?? 0 < min(size, 2) ? Sandbox.Kind.none : nil
    }
  }

  private mutating func takeLinkNotices() throws {
    guard let notices = try linkNotices.notices() else {
      // some were lost: whoever isn't there any more has gone
      let awaited = stale.union(core.state.withLock { $0.leaving.keys })
      gone(awaited.subtracting(try links.links().map(\.index)))
      return
    }
    var gone: Set<Int32> = []
    for notice in notices where Int(notice.type) == RTM_DELLINK {
      if let link = try Link(notice), !link.isBridgePortNotice { gone.insert(link.index) }
    }
    if !gone.isEmpty { self.gone(gone) }
  }

  /// Veths that went: their addresses are free. Bridges of ours are made again.
  mutating func gone(_ indexes: Set<Int32>) {
    stale.subtract(indexes)
    core.state.withLock { state in
      for index in indexes {
        if let plug = state.leaving.removeValue(forKey: index) { state.free(plug) }
      }
    }
  }

  private mutating func takeTableNotices() throws {
    var lost = false
    if let notices = try tableNotices?.notices() {
      for notice in notices where notice.port != core.firewallPort {
        if try NftNotice(notice) == .removed(family: NftTransaction.Family.inet.rawValue, table: core.names.table) {
          lost = true
          break
        }
      }
    } else {
      // some were lost: others make tables in great number. If each of them made its own anew for that, there would be no end of it
      lost = try core.firewall.withLock { firewall throws(NetlinkError) in try firewall?.isWhole() == false }
    }
    if lost {
      core.logger.notice("nftables table \(core.names.table) was changed by others: made anew")
      do { try core.assertFirewall() } catch { core.logger.error("make the nftables table anew: \(error)") }
    }
  }
}
