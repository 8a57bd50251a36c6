import CLinux
import Kernel
import Logging
import Netlink

/// The resolver's thread: its sockets and what is under way on them.
final class ResolverLoop {
  /// Questions to name servers under way, of all and of one container.
  static let total = 1024
  static let perContainer = 256
  static let patience: UInt64 = 3_000_000_000
  static let clientPatience: UInt64 = 10_000_000_000
  static let clientsPerContainer = 32

  private static let sendFlags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)

  private let core: Core
  private let epoll: Descriptor
  private let wake: Int32
  private var nextToken: UInt64 = 1
  private var turns = 0
  private var listeners: [UInt64: Listener] = [:]
  private var clients: [UInt64: Client] = [:]
  private var forwards: [UInt64: Forward] = [:]
  private var cache = ResolverCache()
  private var buffer = [UInt8](repeating: 0, count: 65_536)

  private struct Listener {
    let sockets: ResolverSockets
    let container: String
    let isUDP: Bool
    var raw: Int32 { isUDP ? sockets.udp.raw : sockets.tcp.raw }
  }
  /// A container's connection.
  private struct Client {
    let socket: SharedDescriptor
    let container: String
    var input: [UInt8] = []
    var output: [UInt8] = []
    var deadline: UInt64
  }
  private enum Asker {
    case datagram(listener: UInt64, peer: [UInt8])
    case connection(client: UInt64)
  }
  /// A question under way to a name server.
  private struct Forward {
    let query: DNSMessage.Query
    let asker: Asker
    let container: String
    let key: ResolverCache.Key
    /// As the asker sent it.
    let message: [UInt8]
    var servers: [IPAddress]
    var id: UInt16 = 0
    var socket: SharedDescriptor?
    var input: [UInt8] = []
    var output: [UInt8] = []
    var deadline: UInt64 = 0
    /// What a server said that another might say better.
    var fallback: [UInt8]?
    var isTCP: Bool { if case .connection = asker { true } else { false } }
  }

  init(_ core: Core, wake: Int32) throws {
    self.core = core
    self.wake = wake
    epoll = try Sys.epoll()
    try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, wake, events: EPOLLIN.rawValue, token: 0)
  }

  // MARK: Who asks

  func listen(_ sockets: ResolverSockets, container: String) throws {
    forget(container)
    for isUDP in [true, false] {
      let listener = Listener(sockets: sockets, container: container, isUDP: isUDP)
      let token = newToken()
      try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, listener.raw, events: EPOLLIN.rawValue, token: token)
      listeners[token] = listener
    }
  }

  func forget(_ container: String) {
    for (token, listener) in listeners where listener.container == container {
      drop(listener.raw)
      listeners[token] = nil
    }
    for (token, client) in clients where client.container == container { close(client: token) }
    for (token, forward) in forwards where forward.container == container { close(forward: token) }
  }

  private func newToken() -> UInt64 {
    defer { nextToken += 1 }
    return nextToken
  }

  private func drop(_ fd: Int32) {
    // gone already: as good
    try? Sys.epollControl(epoll.raw, EPOLL_CTL_DEL, fd)
  }

  private func close(client token: UInt64) {
    if let client = clients.removeValue(forKey: token) { drop(client.socket.raw) }
  }

  private func close(forward token: UInt64) {
    if let socket = forwards.removeValue(forKey: token)?.socket { drop(socket.raw) }
  }

  // MARK: The loop

  /// Waits for what comes next and does it.
  func turn() throws {
    var events = [epoll_event](repeating: epoll_event(), count: 64)
    let deadline = min(
      forwards.values.lazy.map(\.deadline).min() ?? .max, clients.values.lazy.map(\.deadline).min() ?? .max)
    var timeout: Int32 = -1
    if deadline != .max {
      let now = Sys.monotonicNanoseconds()
      timeout = deadline > now ? Int32(clamping: (deadline - now) / 1_000_000 + 1) : 0
    }
    let count = try events.withUnsafeMutableBufferPointer { try Sys.epollWait(epoll.raw, $0, timeout: timeout) }
    for event in events.prefix(count) {
      let token = event.data.u64
      if token == 0 {
        try Sys.drainEvent(wake)
      } else if let listener = listeners[token] {
        if listener.isUDP { takeDatagrams(token, listener) } else { accept(listener) }
      } else if clients[token] != nil {
        serve(client: token)
      } else if forwards[token] != nil {
        go(on: token, event.events)
      }
    }
    expire()
  }

  private func expire() {
    let now = Sys.monotonicNanoseconds()
    for (token, client) in clients where client.deadline <= now { close(client: token) }
    for (token, forward) in forwards where forward.deadline <= now { next(token) }
  }

  private func takeDatagrams(_ token: UInt64, _ listener: Listener) {
    for _ in 0..<64 {
      var peer = [UInt8](repeating: 0, count: 28)
      var length: UInt32 = 0
      let count = buffer.withUnsafeMutableBytes { cl_receive_from(listener.raw, $0.baseAddress, 4096, &peer, &length) }
      guard count >= 0 else { return }
      guard count <= 4096 else { continue }
      take(
        buffer[..<count], from: .datagram(listener: token, peer: Array(peer.prefix(Int(length)))), listener.container)
    }
  }

  private func accept(_ listener: Listener) {
    while let accepted = try? Sys.accept(listener.raw, nonBlocking: true) {
      let socket = SharedDescriptor(accepted)
      guard clients.values.count(where: { $0.container == listener.container }) < Self.clientsPerContainer else {
        continue
      }
      let token = newToken()
      guard (try? Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, socket.raw, events: EPOLLIN.rawValue, token: token)) != nil
      else { continue }
      clients[token] = Client(
        socket: socket, container: listener.container, deadline: Sys.monotonicNanoseconds() &+ Self.clientPatience)
    }
  }

  private func serve(client token: UInt64) {
    guard let client = clients[token] else { return }
    let count: Int
    do throws(SyscallError) { count = try fill(from: client.socket.raw) } catch {
      if error.errno == .wouldBlock { flush(token) } else { close(client: token) }
      return
    }
    guard count > 0 else {
      close(client: token)
      return
    }
    clients[token]?.input += buffer[..<count]
    clients[token]?.deadline = Sys.monotonicNanoseconds() &+ Self.clientPatience
    while let input = clients[token]?.input, input.count >= 2 {
      let length = Int(input[0]) << 8 | Int(input[1])
      guard length <= 4096 else {
        close(client: token)
        return
      }
      guard input.count >= length + 2 else { break }
      clients[token]?.input.removeFirst(length + 2)
      take(input[2..<(length + 2)], from: .connection(client: token), client.container)
    }
    flush(token)
  }

  private func fill(from fd: Int32) throws(SyscallError) -> Int {
    try Sys.retrying("read", "fd \(fd)") { buffer.withUnsafeMutableBytes { read(fd, $0.baseAddress, $0.count) } }
  }

  private func flush(_ token: UInt64) {
    guard let client = clients[token], !client.output.isEmpty else { return }
    let sent = client.output.withUnsafeBytes { send(client.socket.raw, $0.baseAddress, $0.count, Self.sendFlags) }
    if sent > 0 { clients[token]?.output.removeFirst(sent) }
    if sent < 0, Errno.current != .wouldBlock {
      close(client: token)
      return
    }
    let rest = clients[token]?.output.isEmpty == false
    // a client that takes nothing is let go by its deadline
    try? Sys.epollControl(
      epoll.raw, EPOLL_CTL_MOD, client.socket.raw, events: EPOLLIN.rawValue | (rest ? EPOLLOUT.rawValue : 0),
      token: token)
    if (clients[token]?.output.count ?? 0) > 1 << 18 { close(client: token) }
  }

  // MARK: Answers

  private func take(_ message: ArraySlice<UInt8>, from asker: Asker, _ container: String) {
    guard let query = DNSMessage.Query(message) else {
      if let complaint = DNSMessage.complaint(message) { reply(complaint, to: asker) }
      return
    }
    turns &+= 1
    switch core.answer(query, container: container, turn: turns & 0xffff) {
    case .own(let code, let records): reply(query, code, records, to: asker)
    case .forward(let servers): forward(query, Array(message), servers, asker, container)
    }
  }

  private func reply(
    _ query: DNSMessage.Query, _ code: DNSMessage.Code, _ records: [DNSMessage.Record] = [], to asker: Asker
  ) {
    let limit = if case .connection = asker { 65_535 } else { query.limit }
    reply(DNSMessage.answer(query, code, records, limit: limit), to: asker)
  }

  private func reply(_ message: [UInt8], to asker: Asker) {
    switch asker {
    case .datagram(let token, let peer):
      guard let listener = listeners[token] else { return }
      // what the asker's socket can't take is lost, as datagrams are
      _ = message.withUnsafeBytes { cl_send_to(listener.raw, $0.baseAddress, $0.count, peer, UInt32(peer.count)) }
    case .connection(let token):
      guard clients[token] != nil else { return }
      clients[token]?.output += DNSMessage.word(UInt16(clamping: message.count)) + message
      flush(token)
    }
  }

  // MARK: Name servers

  private func forward(
    _ query: DNSMessage.Query, _ message: [UInt8], _ servers: [IPAddress], _ asker: Asker, _ container: String
  ) {
    let rest = message.dropFirst(DNSMessage.headerLength + query.question.count)
    let key = ResolverCache.Key(
      question: query.question.map { (65...90).contains($0) ? $0 + 32 : $0 }, flags: query.flags & 0x0130,
      options: Array(rest), servers: servers)
    if let answer = cache.answer(query, key, now: Sys.monotonicNanoseconds()) {
      if case .connection = asker { return reply(answer, to: asker) }
      if answer.count <= query.limit { return reply(answer, to: asker) }
    }
    guard !servers.isEmpty, forwards.count < Self.total,
      forwards.values.count(where: { $0.container == container }) < Self.perContainer
    else { return reply(query, .failure, to: asker) }
    let token = newToken()
    forwards[token] = Forward(
      query: query, asker: asker, container: container, key: key, message: message, servers: Array(servers.prefix(3)))
    next(token)
  }

  /// Asks the next server, or says that none answered.
  private func next(_ token: UInt64) {
    guard var forward = forwards[token] else { return }
    if let socket = forward.socket { drop(socket.raw) }
    forward.socket = nil
    forward.input = []
    while !forward.servers.isEmpty {
      let server = forward.servers.removeFirst()
      forward.id = UInt16.random(in: 0 ... .max)
      var message = forward.message
      message.replaceSubrange(0..<2, with: DNSMessage.word(forward.id))
      forward.output = forward.isTCP ? DNSMessage.word(UInt16(clamping: message.count)) + message : message
      do throws(SyscallError) {
        let socket = SharedDescriptor(
          try Sys.socket(
            server.isV6 ? AF_INET6 : AF_INET,
            (forward.isTCP ? Sys.sockStream : Sys.sockDatagram) | Sys.sockNonBlock))
        do throws(SyscallError) { try Sys.connect(socket.raw, address: server.bytes, port: 53) } catch {
          guard error.errno.rawValue == EINPROGRESS else { throw error }
        }
        let events = EPOLLIN.rawValue | (forward.isTCP ? EPOLLOUT.rawValue : 0)
        try Sys.epollControl(epoll.raw, EPOLL_CTL_ADD, socket.raw, events: events, token: token)
        if !forward.isTCP { try Sys.writeAll(socket.raw, forward.output) }
        forward.socket = socket
        forward.deadline = Sys.monotonicNanoseconds() &+ Self.patience
        forwards[token] = forward
        return
      } catch {
        core.logger.debug("ask name server \(server): \(error)")
      }
    }
    close(forward: token)
    if let fallback = forward.fallback {
      reply(fallback, to: forward.asker)
    } else {
      reply(forward.query, .failure, to: forward.asker)
    }
  }

  private func go(on token: UInt64, _ events: UInt32) {
    guard let forward = forwards[token], let socket = forward.socket else { return }
    if forward.isTCP, !forward.output.isEmpty, events & EPOLLOUT.rawValue != 0 {
      let sent = forward.output.withUnsafeBytes { send(socket.raw, $0.baseAddress, $0.count, Self.sendFlags) }
      guard sent > 0 else { return next(token) }
      forwards[token]?.output.removeFirst(sent)
      if sent == forward.output.count {
        try? Sys.epollControl(epoll.raw, EPOLL_CTL_MOD, socket.raw, events: EPOLLIN.rawValue, token: token)
      }
    }
    guard events & (EPOLLIN.rawValue | EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 else { return }
    let count: Int
    do throws(SyscallError) { count = try fill(from: socket.raw) } catch {
      if error.errno != .wouldBlock { next(token) }
      return
    }
    guard forward.isTCP else { return received(buffer[..<count], token) }
    guard count > 0 else { return next(token) }
    forwards[token]?.input += buffer[..<count]
    guard let input = forwards[token]?.input, input.count >= 2 else { return }
    let length = Int(input[0]) << 8 | Int(input[1])
    if input.count >= length + 2 { received(input[2..<(length + 2)], token) }
  }

  /// An answer, if it is one to what was asked; anything else is somebody's attempt to be believed.
  private func received(_ bytes: ArraySlice<UInt8>, _ token: UInt64) {
    guard let forward = forwards[token], let header = DNSMessage.Header(bytes), header.isResponse,
      header.id == forward.id, header.questions == 1
    else { return }
    let length = forward.query.question.count
    let question = bytes.dropFirst(DNSMessage.headerLength).prefix(length).map { (65...90).contains($0) ? $0 + 32 : $0 }
    guard question == forward.key.question else { return }
    var answer = Array(bytes)
    answer.replaceSubrange(0..<2, with: DNSMessage.word(forward.query.id))
    // another server may know better than one that fails or refuses
    if header.code == 2 || header.code == 5, !forward.servers.isEmpty {
      forwards[token]?.fallback = answer
      return next(token)
    }
    cache.keep(bytes, for: forward.key, now: Sys.monotonicNanoseconds())
    close(forward: token)
    reply(answer, to: forward.asker)
  }
}
