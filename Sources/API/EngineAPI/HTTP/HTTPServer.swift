import CLinux
import Kernel
import Logging
import NIOCore
import NIOHTTP1
import NIOPosix
import Synchronization

/// The HTTP server: listening sockets, their connections, and one event loop for all of them.
///
/// One loop is enough: it only moves bytes of requests and answers, work is done in tasks, and streams of containers leave for their shims.
final class HTTPServer: Sendable {
  static let encoderName = "encoder"
  static let decoderName = "decoder"

  let router: Router
  let commonHeaders: HTTPHeaders
  let log: Logger
  private let group: MultiThreadedEventLoopGroup
  /// Called on the event loop once nothing was asked for `idleAfter`, again only after something was.
  private let onIdle: (@Sendable () -> Void)?
  private let idleAfter: TimeAmount
  /// From a request's first byte to the end of its head, or of its JSON.
  let readTimeout: TimeAmount
  private let state = Mutex(State())

  private struct State {
    var listeners: [Listener] = []
    var channels: [any Channel] = []
    var connections: [ObjectIdentifier: HTTPConnection] = [:]
    var isStopping = false
    var emptied: CheckedContinuation<Void, Never>?
    var lastRequest = NIODeadline.now()
    var isIdle = true
  }

  init(
    router: Router, version: String, log: Logger, idleAfter: TimeAmount = .seconds(3),
    readTimeout: TimeAmount = .minutes(5),
    onIdle: (@Sendable () -> Void)? = nil
  ) {
    self.router = router
    self.log = log
    self.idleAfter = idleAfter
    self.readTimeout = readTimeout
    self.onIdle = onIdle
    group = MultiThreadedEventLoopGroup(numberOfThreads: 1)
    commonHeaders = [
      "Api-Version": EngineAPI.version, "Docker-Experimental": "false", "Ostype": "linux",
      "Server": "Berth/\(version) (linux)",
    ]
  }

  var isStopping: Bool { state.withLock { $0.isStopping } }
  var connectionCount: Int { state.withLock { $0.connections.count } }

  /// Starts to accept on a host.
  func listen(_ host: Host) async throws {
    switch host {
    case .unix(let path):
      try await accept(try Listener.unix(path))
    case .systemd(let number):
      for listener in try Listener.systemd(number) { try await accept(listener) }
    case .tcp(let address, let port):
      log.warning(
        "API on \(host) has neither TLS nor authentication: every user of this machine, and every page that its browsers open, can become root"
      )
      let channel = try await bootstrap().bind(host: address, port: port).get()
      state.withLock { $0.channels.append(channel) }
    }
    log.info("API listen on \(host)")
  }

  private func accept(_ listener: Listener) async throws {
    let channel: any Channel
    do {
      channel = try await bootstrap().withBoundSocket(listener.descriptor).get()
    } catch {
      listener.remove()
      throw error
    }
    state.withLock {
      $0.channels.append(channel)
      $0.listeners.append(listener)
    }
  }

  private func bootstrap() -> ServerBootstrap {
    ServerBootstrap(group: group)
      .serverChannelOption(.backlog, value: 1024)
      .childChannelOption(.autoRead, value: false)
      .childChannelOption(.allowRemoteHalfClosure, value: true)
      .childChannelOption(.maxMessagesPerRead, value: 1)
      .childChannelOption(
        .recvAllocator, value: AdaptiveRecvByteBufferAllocator(minimum: 2048, initial: 4096, maximum: 1 << 20)
      )
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          let pipeline = channel.pipeline.syncOperations
          let gate = ReadGate()
          try pipeline.addHandler(gate)
          try pipeline.addHandler(HTTPResponseEncoder(), name: Self.encoderName)
          try pipeline.addHandler(
            ByteToMessageHandler(HTTPRequestDecoder(leftOverBytesStrategy: .forwardBytes)), name: Self.decoderName)
          try pipeline.addHandler(HTTPConnection(server: self, gate: gate, eventLoop: channel.eventLoop))
        }
      }
  }

  /// Something was asked. One timer runs while there is anything to wait for, none at rest.
  func touch() {
    guard onIdle != nil else { return }
    let wakes = state.withLock { state -> Bool in
      state.lastRequest = .now()
      defer { state.isIdle = false }
      return state.isIdle
    }
    if wakes { awaitIdleness(until: .now() + idleAfter) }
  }

  private func awaitIdleness(until deadline: NIODeadline) {
    group.any().scheduleTask(deadline: deadline) {
      let later = self.state.withLock { state -> NIODeadline? in
        let next = state.lastRequest + self.idleAfter
        state.isIdle = next <= .now()
        return state.isIdle ? nil : next
      }
      if let later { self.awaitIdleness(until: later) } else { self.onIdle?() }
    }
  }

  func opened(_ connection: HTTPConnection) {
    state.withLock { $0.connections[ObjectIdentifier(connection)] = connection }
  }

  func closed(_ connection: HTTPConnection) {
    let waiter = state.withLock { state -> CheckedContinuation<Void, Never>? in
      state.connections[ObjectIdentifier(connection)] = nil
      guard state.connections.isEmpty else { return nil }
      defer { state.emptied = nil }
      return state.emptied
    }
    waiter?.resume()
  }

  /// Stops accepting, lets the requests under way end for at most `grace`, cuts the rest, and takes the sockets' names away.
  func shutdown(grace: Duration = .seconds(2)) async {
    let (channels, listeners, connections) = state.withLock { state in
      state.isStopping = true
      defer {
        state.channels = []
        state.listeners = []
      }
      return (state.channels, state.listeners, Array(state.connections.values))
    }
    for listener in listeners { listener.remove() }
    for channel in channels { try? await channel.close() }
    for connection in connections { connection.eventLoop.execute { connection.retire() } }
    await withTaskGroup(of: Void.self) { tasks in
      tasks.addTask { await self.untilEmpty() }
      tasks.addTask {
        try? await Task.sleep(for: grace)
        for connection in self.state.withLock({ Array($0.connections.values) }) {
          connection.eventLoop.execute { connection.close() }
        }
      }
      await tasks.next()
      tasks.cancelAll()
    }
    await untilEmpty()
    try? await group.shutdownGracefully()
  }

  private func untilEmpty() async {
    await withCheckedContinuation { continuation in
      let isEmpty = state.withLock { state -> Bool in
        guard !state.connections.isEmpty else { return true }
        let earlier = state.emptied
        state.emptied = continuation
        earlier?.resume()
        return false
      }
      if isEmpty { continuation.resume() }
    }
  }
}
