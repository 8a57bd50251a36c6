import CLinux
import Kernel
import Logging
import Netlink
import Synchronization

/// Carries connections and datagrams to containers where the kernel can't lead them: from `::1`, which never leaves the loopback, and
/// from the host's IPv6 addresses to a container that has IPv4 alone.
///
/// It listens on the sockets that hold those ports (`PortReservation`), with one thread for all, which is started with the first. What
/// rules lead elsewhere never gets to these sockets. A container sees the bridge's address as the client's, as with docker-proxy.
///
/// The sockets end with the daemon; the next one's `Networks.reconcile` opens them again. Connections under way then end.
///
/// Must not: look at what it carries, wait for anything but its epoll, or keep more than one buffer a direction for a peer that is slow.
final class Forwarder: Sendable {
  /// A port of the host.
  struct Place: Sendable, Hashable {
    let transport: ContainerPort.Transport
    let address: IPAddress
    let port: UInt16
  }
  struct Target: Sendable, Equatable {
    let address: IPAddress
    let port: UInt16
  }

  private struct Pending: Sendable {
    var open: [(place: Place, socket: SharedDescriptor, target: Target)] = []
    var lead: [(place: Place, target: Target)] = []
    var close: [Place] = []
    var closing = false
    /// The thread doesn't run yet, or no more.
    var idle = true
  }

  private let pending = Mutex(Pending())
  private let thread = Mutex<Thread?>(nil)
  private let wake: SharedDescriptor
  private let logger: Logger

  init(logger: Logger) throws {
    wake = SharedDescriptor(try Sys.eventfd())
    self.logger = logger
  }

  /// Listens on the mapping's port; connections wait from then on.
  func open(_ mapping: Firewall.Mapping, on socket: SharedDescriptor) throws {
    try Sys.fcntl(socket.raw, F_SETFL, Int(try Sys.fcntl(socket.raw, F_GETFL, 0) | O_NONBLOCK))
    if mapping.transport == .tcp {
      // what is accepted inherits it, and doesn't keep the next daemon from the port while it ends
      try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_REUSEADDR, 1)
      try Sys.listen(socket.raw, backlog: 1024)
    }
    let start = pending.withLock { pending in
      pending.open.append((Place(mapping), socket, Target(mapping)))
      defer { pending.idle = false }
      return pending.idle && !pending.closing
    }
    if start { try launch() }
    signal()
  }

  /// New connections go where the mapping says now.
  func lead(_ mapping: Firewall.Mapping) {
    pending.withLock { $0.lead.append((Place(mapping), Target(mapping))) }
    signal()
  }

  /// The port is nobody's any more: its connections end.
  func close(_ mapping: Firewall.Mapping) {
    let runs = pending.withLock { pending in
      pending.open.removeAll { $0.place == Place(mapping) }
      pending.close.append(Place(mapping))
      return !pending.idle
    }
    if runs { signal() }
  }

  func close() {
    pending.withLock { $0.closing = true }
    signal()
    thread.withLock { thread in
      guard let running = thread.take() else { return }
      running.join()
    }
  }

  private func launch() throws {
    let thread = try Thread(name: "forwarder") { [self] in
      do { try run(try ForwarderLoop(wake: wake.raw, logger: logger)) } catch { logger.error("forwarder: \(error)") }
    }
    let started = Mutex<Thread?>(consume thread)
    self.thread.withLock { $0 = started.withLock { $0.take() } }
  }

  private func run(_ loop: ForwarderLoop) throws {
    while true {
      let changes = pending.withLock { pending in
        defer {
          pending.open = []
          pending.lead = []
          pending.close = []
        }
        return pending
      }
      if changes.closing { return }
      for place in changes.close { loop.close(place) }
      for (place, socket, target) in changes.open { try loop.open(place, socket, target) }
      for (place, target) in changes.lead { loop.lead(place, target) }
      try loop.turn()
    }
  }

  private func signal() {
    do throws(SyscallError) { try Sys.signalEvent(wake.raw) } catch { logger.error("wake the forwarder: \(error)") }
  }
}

extension Forwarder.Place {
  init(_ mapping: Firewall.Mapping) {
    self.init(transport: mapping.transport, address: mapping.hostAddress, port: mapping.hostPort)
  }
}

extension Forwarder.Target {
  init(_ mapping: Firewall.Mapping) { self.init(address: mapping.target, port: mapping.targetPort) }
}

extension Firewall.Mapping {
  /// The kernel leads there: both addresses are of one family, and the host's isn't `::1`.
  var isKernels: Bool { hostAddress.isV6 == target.isV6 && !hostAddress.isLoopback6 }

  /// The daemon carries what comes by `::1`, and by IPv6 to IPv4. SCTP it can't.
  var isCarried: Bool {
    transport != .sctp && hostAddress.isV6 && (!isKernels || hostAddress.isUnspecified)
  }
}

extension IPAddress {
  /// 127.0.0.0/8, ::1
  var isLoopback: Bool {
    switch self {
    case .v4(let address): address.isLoopback
    case .v6(let address): address.isLoopback
    }
  }
  var isLoopback6: Bool {
    if case .v6(let address) = self { address.isLoopback } else { false }
  }
}
