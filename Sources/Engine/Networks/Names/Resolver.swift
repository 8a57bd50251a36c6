import CLinux
import Kernel
import Logging
import Netlink
import Synchronization

/// Answers containers that ask for names: their own networks' from `NameTable`, all others by asking the host's name servers, with a
/// cache in between.
///
/// One thread in the host's namespace with an epoll: it owns all sockets of questions under way. The sockets on which containers ask
/// (`ResolverSockets`) were opened inside their namespaces; others only hand them over (`listen`) and take them back (`forget`).
/// Since questions leave from the host's namespace, a name server on the host's loopback (systemd-resolved) is as good as any other.
///
/// Must not: look into a container's file system, wait for anything but its epoll, or let one container's questions use up the
/// places of all (`perContainer`).
final class Resolver: Sendable {
  private struct Changes: Sendable {
    var listen: [(sockets: ResolverSockets, container: String)] = []
    var forget: [String] = []
    var closing = false
  }

  private let thread = Mutex<Thread?>(nil)

  private let changes = Mutex(Changes())
  private let wake: SharedDescriptor
  private let logger: Logger

  init(logger: Logger) throws {
    wake = SharedDescriptor(try Sys.eventfd())
    self.logger = logger
  }

  /// Starts the thread, in the caller's network namespace.
  func start(_ core: Core) throws {
    let thread = try Thread(name: "resolver") { [self] in
      do {
        let loop = try ResolverLoop(core, wake: wake.raw)
        try run(loop)
      } catch { logger.error("resolver: \(error)") }
    }
    let started = Mutex<Thread?>(consume thread)
    self.thread.withLock { $0 = started.withLock { $0.take() } }
  }

  private func run(_ loop: ResolverLoop) throws {
    while true {
      let (listen, forget, closing) = changes.withLock { changes in
        defer {
          changes.listen = []
          changes.forget = []
        }
        return (changes.listen, changes.forget, changes.closing)
      }
      if closing { return }
      for container in forget { loop.forget(container) }
      for (sockets, container) in listen { try loop.listen(sockets, container: container) }
      try loop.turn()
    }
  }

  /// Questions that come there are that container's.
  func listen(_ sockets: ResolverSockets?, container: String) {
    guard let sockets else { return }
    changes.withLock { $0.listen.append((sockets, container)) }
    signal()
  }

  func forget(container: String) {
    changes.withLock { changes in
      changes.listen.removeAll { $0.container == container }
      changes.forget.append(container)
    }
    signal()
  }

  func close() {
    changes.withLock { $0.closing = true }
    signal()
    thread.withLock { thread in
      guard let running = thread.take() else { return }
      running.join()
    }
  }

  private func signal() {
    do throws(SyscallError) { try Sys.signalEvent(wake.raw) } catch { logger.error("wake the resolver: \(error)") }
  }
}
