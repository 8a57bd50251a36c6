import CLinux
import Kernel
import Logging
import Netlink

/// The forwarder's thread: its ports, and what is under way between clients and containers.
final class ForwarderLoop {
  /// Connections and peers of UDP under way, of all ports: two descriptors each, and one.
  static let most = 4096
  static let mostPeers = 1024
  /// Peers of UDP are forgotten after that, as docker-proxy does.
  static let peerPatience: UInt64 = 90_000_000_000
  static let connectPatience: UInt64 = 30_000_000_000

  private struct Port {
    let place: Forwarder.Place
    /// Whoever holds the port closes it (`PortReservation`), and it is free at once.
    weak var socket: SharedDescriptor?
    var target: Forwarder.Target
    /// Not in the epoll: there are too many connections.
    var isPaused = false
    /// Of UDP: tokens by the peer's address.
    var peers: [[UInt8]: UInt64] = [:]
  }
  /// Somebody who sends datagrams, and the socket on which the container answers.
  private struct Peer {
    let port: UInt64
    let address: [UInt8]
    let socket: SharedDescriptor
    var used: UInt64
  }

  private let epoll: Descriptor
  private let wake: Int32
  private let logger: Logger
  private var nextToken: UInt64 = 1
  private var ports: [UInt64: Port] = [:]
  private var tokens: [Forwarder.Place: UInt64] = [:]
  /// By the client's token; the container's is the next one.
  private var pairs: [UInt64: (pair: ForwardedPair, port: UInt64)] = [:]
  private var peers: [UInt64: Peer] = [:]
  private var isPaused = false
  private var buffer = [UInt8](repeating: 0, count: 128 << 10)

  init(wake: Int32, logger: Logger) throws {
    self.wake = wake
    self.logger = logger
    epoll = try Sys.epoll()
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, wake, events: EPOLLIN.rawValue, token: 0)
  }

  private func newToken() -> UInt64 {
    // even ones; a pair's second socket has the odd one after it
    nextToken += 2
    return nextToken & ~1
  }

  // MARK: Ports

  func open(_ place: Forwarder.Place, _ socket: SharedDescriptor, _ target: Forwarder.Target) throws {
    close(place)
    let token = newToken()
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, socket.raw, events: EPOLLIN.rawValue, token: token)
    ports[token] = Port(place: place, socket: socket, target: target)
    tokens[place] = token
  }

  /// Connections that are under way go on to where they went.
  func lead(_ place: Forwarder.Place, _ target: Forwarder.Target) {
    guard let token = tokens[place], ports[token]?.target != target else { return }
    ports[token]?.target = target
    for peer in ports[token]?.peers.values.map({ $0 }) ?? [] { drop(peer: peer) }
  }

  func close(_ place: Forwarder.Place) {
    guard let token = tokens.removeValue(forKey: place), let port = ports[token] else { return }
    for (client, entry) in pairs where entry.port == token { drop(pair: client) }
    for peer in port.peers.values { drop(peer: peer) }
    if let socket = port.socket {
      // it is held on, and nobody takes up what comes
      drop(socket.raw)
      if place.transport == .tcp { _ = CLinux.shutdown(socket.raw, Int32(SHUT_RDWR)) }
    }
    ports[token] = nil
  }

  private func drop(_ fd: Int32) {
    // gone already: as good
    try? Sys.epollControl(epoll.raw, EPOLL_CTL_DEL, fd)
  }

  private func drop(pair token: UInt64) {
    guard let (pair, _) = pairs.removeValue(forKey: token) else { return }
    drop(pair.client.raw)
    drop(pair.server.raw)
    resume()
  }

  private func drop(peer token: UInt64) {
    guard let peer = peers.removeValue(forKey: token) else { return }
    drop(peer.socket.raw)
    ports[peer.port]?.peers[peer.address] = nil
    resume()
  }

  /// No more connections until some have ended: those that come wait in the kernel.
  private func pause(_ token: UInt64) {
    guard let port = ports[token], !port.isPaused else { return }
    logger.warning(
      "\(pairs.count + peers.count) connections are forwarded: more of port \(port.place.port) have to wait")
    if let socket = port.socket { drop(socket.raw) }
    ports[token]?.isPaused = true
    isPaused = true
  }

  private func resume() {
    guard isPaused, pairs.count + peers.count < Self.most * 7 / 8 else { return }
    isPaused = false
    for (token, port) in ports where port.isPaused {
      guard let socket = port.socket else { continue }
      do throws(SyscallError) {
        try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, socket.raw, events: EPOLLIN.rawValue, token: token)
        ports[token]?.isPaused = false
      } catch { logger.error("listen on port \(port.place.port) again: \(error)") }
    }
  }

  // MARK: The loop

  /// Waits for what comes next and does it.
  func turn() throws {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    // peers and unanswered connections are looked at now and then; with none, nothing wakes the thread
    let idle = peers.isEmpty && !pairs.values.contains { $0.pair.isConnecting }
    let count = try events.withUnsafeMutableBufferPointer {
      try Sys.epollWait(epoll.raw, $0, timeout: idle ? -1 : 10_000)
    }
    for event in events.prefix(count) {
      let token = event.data.u64
      if token == 0 {
        try Sys.drainEvent(wake)
      } else if let port = ports[token] {
        if port.place.transport == .udp { takeDatagrams(token) } else { accept(token) }
      } else if peers[token] != nil {
        answer(peer: token)
      } else {
        carry(token, event.events)
      }
    }
    if !idle { expire() }
  }

  private func expire() {
    let now = Sys.monotonicNanoseconds()
    for (token, peer) in peers where peer.used &+ Self.peerPatience <= now { drop(peer: token) }
    for (token, entry) in pairs where entry.pair.isConnecting && entry.pair.since &+ Self.connectPatience <= now {
      drop(pair: token)
    }
  }

  private func accept(_ token: UInt64) {
    guard let port = ports[token], let socket = port.socket else { return }
    for _ in 0..<64 {
      guard pairs.count + peers.count < Self.most else { return pause(token) }
      let client: SharedDescriptor
      do throws(SyscallError) {
        client = SharedDescriptor(try Sys.accept(socket.raw, nonBlocking: true))
      } catch {
        switch error.errno.rawValue {
        case EAGAIN: return
        case EMFILE, ENFILE, ENOMEM, ENOBUFS: return pause(token)
        // the client has gone again
        default: continue
        }
      }
      do throws(SyscallError) { try connect(client, port, token) } catch {
        logger.debug("forward a connection to \(port.target.address):\(port.target.port): \(error)")
      }
    }
  }

  private func connect(_ client: SharedDescriptor, _ port: Port, _ token: UInt64) throws(SyscallError) {
    let target = port.target
    let server = SharedDescriptor(
      try Sys.socket(target.address.isV6 ? AF_INET6 : AF_INET, Sys.sockStream | Sys.sockNonBlock))
    for socket in [client, server] {
      try Sys.setOption(socket.raw, level: SOL_SOCKET, SO_KEEPALIVE, 1)
      try Sys.setOption(socket.raw, level: Int32(IPPROTO_TCP), 1, 1)  // TCP_NODELAY
    }
    do throws(SyscallError) { try Sys.connect(server.raw, address: target.address.bytes, port: target.port) } catch {
      guard error.errno.rawValue == EINPROGRESS else { throw error }
    }
    let own = newToken()
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, client.raw, events: 0, token: own)
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, server.raw, events: EPOLLOUT.rawValue, token: own + 1)
    pairs[own] = (ForwardedPair(client: client, server: server), token)
  }

  private func carry(_ token: UInt64, _ events: UInt32) {
    let own = token & ~1
    guard let (pair, _) = pairs[own] else { return }
    guard pair.carry(events, fromServer: token & 1 == 1, &buffer) else { return drop(pair: own) }
    for (socket, side, token) in [(pair.client, pair.clientSide, own), (pair.server, pair.serverSide, own + 1)]
    where side.wanted != side.watched {
      do throws(SyscallError) {
        if let wanted = side.wanted {
          try Sys.epollControl(
            epoll.raw, side.watched == nil ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket.raw, events: wanted, token: token)
        } else {
          try Sys.epollControl(epoll.raw, EPOLL_CTL_DEL, socket.raw)
        }
      } catch { return drop(pair: own) }
    }
    pair.settled()
  }

  // MARK: Datagrams

  private func takeDatagrams(_ token: UInt64) {
    guard let socket = ports[token]?.socket else { return }
    for _ in 0..<64 {
      var address = [UInt8](repeating: 0, count: 28)
      var length: UInt32 = 0
      let count = buffer.withUnsafeMutableBytes {
        cl_receive_from(socket.raw, $0.baseAddress, 65_536, &address, &length)
      }
      guard count >= 0 else { return }
      guard let peer = peer(Array(address.prefix(Int(length))), token) else { continue }
      peers[peer]?.used = Sys.monotonicNanoseconds()
      guard let target = peers[peer]?.socket else { continue }
      // what the container's socket can't take is lost, as datagrams are
      _ = buffer.withUnsafeBytes { send(target.raw, $0.baseAddress, count, Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)) }
    }
  }

  /// The token of whoever sends from that address; nil when there are too many.
  private func peer(_ address: [UInt8], _ token: UInt64) -> UInt64? {
    guard let port = ports[token] else { return nil }
    if let known = port.peers[address] { return known }
    if port.peers.count >= Self.mostPeers || pairs.count + peers.count >= Self.most {
      guard let oldest = port.peers.values.min(by: { peers[$0]?.used ?? 0 < peers[$1]?.used ?? 0 }) else { return nil }
      drop(peer: oldest)
    }
    let target = port.target
    do throws(SyscallError) {
      let socket = SharedDescriptor(
        try Sys.socket(target.address.isV6 ? AF_INET6 : AF_INET, Sys.sockDatagram | Sys.sockNonBlock))
      try Sys.connect(socket.raw, address: target.address.bytes, port: target.port)
      let own = newToken()
      try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, socket.raw, events: EPOLLIN.rawValue, token: own)
      peers[own] = Peer(port: token, address: address, socket: socket, used: 0)
      ports[token]?.peers[address] = own
      return own
    } catch {
      logger.debug("forward a datagram to \(target.address):\(target.port): \(error)")
      return nil
    }
  }

  private func answer(peer token: UInt64) {
    guard let peer = peers[token], let socket = ports[peer.port]?.socket else { return }
    for _ in 0..<64 {
      let count = buffer.withUnsafeMutableBytes {
        recv(peer.socket.raw, $0.baseAddress, 65_536, Int32(MSG_DONTWAIT))
      }
      // ECONNREFUSED tells that nobody listens there, once a datagram: the client finds out by itself
      guard count >= 0 else { return }
      peers[token]?.used = Sys.monotonicNanoseconds()
      _ = buffer.withUnsafeBytes {
        cl_send_to(socket.raw, $0.baseAddress, count, peer.address, UInt32(peer.address.count))
      }
    }
  }
}
