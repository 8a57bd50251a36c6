import Errdefs
import Logging
import NIOCore
import NIOHTTP1

/// One client's connection, on its event loop: finds the route of each request, collects its body, runs its handler in a task and writes
/// the answer. It reads from the socket only when it wants something, so that back-pressure needs no watermarks.
final class HTTPConnection: ChannelInboundHandler, @unchecked Sendable {  // SAFETY: touched on its loop only
  typealias InboundIn = HTTPServerRequestPart
  typealias OutboundOut = HTTPServerResponsePart

  enum Phase {
    case idle
    case collecting(Router.Route, Request)
    case running
    /// The answer is out and the rest of the request's body is still to come, of which so many bytes are tolerated.
    case draining(Int)
    case closed
    case taken
  }

  let server: HTTPServer
  let gate: ReadGate
  var phase = Phase.idle
  var context: ChannelHandlerContext?
  /// Set when the channel is, and kept behind it for the tasks' hops.
  let eventLoop: any EventLoop

  // Of the current request.
  var task: Task<Void, Never>?
  /// A stream is cancelled when its client goes; an operation isn't: half a `stop` helps nobody.
  var isStreaming = false
  var isHead = false
  var isUpgrade = false
  var keepAlive = true
  var awaitsContinue = false
  var bodyEnded = false
  var bodyParts = CircularBuffer<ByteBuffer>()
  var bodyWaiter: EventLoopPromise<ByteBuffer?>?
  /// What the decoder gave back when it was removed for a take-over.
  var leftOver: [UInt8] = []

  private var inputClosed = false
  /// Cuts the connection of a request whose head, or whose JSON, doesn't come to its end.
  private var readDeadline: Scheduled<Void>?
  private var collected = ByteBuffer()
  /// Parts of later requests that came along (pipelining).
  private var backlog = CircularBuffer<HTTPServerRequestPart>()

  init(server: HTTPServer, gate: ReadGate, eventLoop: any EventLoop) {
    self.server = server
    self.gate = gate
    self.eventLoop = eventLoop
  }

  func handlerAdded(context: ChannelHandlerContext) {
    self.context = context
    gate.onBytes = { [weak self] in self?.bytesCame() }
  }
  func handlerRemoved(context: ChannelHandlerContext) { self.context = nil }

  func channelActive(context: ChannelHandlerContext) {
    server.opened(self)
    context.read()
  }

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    if case .taken = phase {
      leftOver += RawBytes.unwrapInboundIn(data).readableBytesView
      return
    }
    accept(Self.unwrapInboundIn(data))
  }

  func channelReadComplete(context: ChannelHandlerContext) { readMore() }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    guard case .inputClosed? = event as? ChannelEvent else { return context.fireUserInboundEventTriggered(event) }
    inputClosed = true
    switch phase {
    case .idle: close()
    // The request will never be whole.
    case .collecting, .draining: close()
    case .running where !bodyEnded: failBody(HTTPConnectionError.cutShort)
    case .running, .closed, .taken: break
    }
  }

  func errorCaught(context: ChannelHandlerContext, error: any Error) {
    guard error is HTTPParserError, case .idle = phase else { return close() }
    keepAlive = false
    bodyEnded = true
    phase = .running
    finish(.whole(.badRequest, ["Content-Type": "text/plain; charset=utf-8"], Array("400 Bad Request".utf8)))
  }

  func channelInactive(context: ChannelHandlerContext) {
    server.closed(self)
    readArrived()
    if case .taken = phase { return }
    phase = .closed
    if isStreaming { task?.cancel() }
    task = nil
    failBody(ChannelError.ioOnClosedChannel)
    backlog.removeAll()
  }

  /// The first bytes of a request: all of what is collected must be here in time, as dockerd's `ReadHeaderTimeout` has it for heads. An
  /// idle connection may stay as long as it likes, and so may an upload.
  private func bytesCame() {
    guard case .idle = phase, readDeadline == nil else { return }
    readDeadline = eventLoop.scheduleTask(in: server.readTimeout) { [weak self] in self?.close() }
  }

  private func readArrived() {
    readDeadline?.cancel()
    readDeadline = nil
  }

  func close() {
    phase = .closed
    context?.close(promise: nil)
  }

  /// At shutdown: idle connections go now, others after their answer.
  func retire() {
    keepAlive = false
    if case .idle = phase { close() }
  }
}

enum HTTPConnectionError: Error, CustomStringConvertible {
  case cutShort
  case noTransport
  case gone

  var description: String {
    switch self {
    case .cutShort: "unexpected EOF"
    case .noTransport: "the connection can't be taken over"
    case .gone: "the client has gone"
    }
  }
}

/// Unwraps what the removed decoder forwards.
private final class RawBytes: ChannelInboundHandler { typealias InboundIn = ByteBuffer }

// MARK: requests

extension HTTPConnection {
  private func accept(_ part: HTTPServerRequestPart) {
    guard backlog.isEmpty else { return backlog.append(part) }
    switch (part, phase) {
    case (.head(let head), .idle): begin(head)
    case (.head, _): backlog.append(part)
    case (.body(let bytes), .collecting): collect(bytes)
    case (.body(let bytes), .running): offer(bytes)
    case (.body(let bytes), .draining(let tolerated)):
      if bytes.readableBytes > tolerated { close() } else { phase = .draining(tolerated - bytes.readableBytes) }
    case (.end, .collecting(let route, var request)):
      bodyEnded = true
      request.body = Array(collected.readableBytesView)
      collected = ByteBuffer()
      run(route, request)
    case (.end, .running):
      bodyEnded = true
      if let waiter = bodyWaiter, bodyParts.isEmpty {
        bodyWaiter = nil
        waiter.succeed(nil)
      }
    case (.end, .draining): next()
    case (.body, _), (.end, _): break
    }
    if bodyEnded, isUpgrade { gate.isClosed = true }
  }

  private func begin(_ head: HTTPRequestHead) {
    isHead = head.method == .HEAD
    isUpgrade = head.headers.contains(name: "Upgrade")
    // An upgrade request ends what the decoder reads, also when it is answered without one.
    keepAlive = head.isKeepAlive && !isUpgrade && !server.isStopping
    awaitsContinue = head.headers.first(name: "Expect")?.lowercased() == "100-continue"
    bodyEnded = false
    isStreaming = false
    bodyParts.removeAll()
    phase = .running
    server.touch()
    server.log.debug("Calling \(head.method.rawValue) \(head.uri)")

    let (path, query) = Self.split(head.uri)
    if head.method == .OPTIONS { return refuse(.empty(.ok)) }
    let prefix = VersionPrefix.split(path)
    guard let match = server.router.match(head.method, prefix.rest) else {
      return refuse(.failure(.notFound, "page not found"))
    }
    if let error = prefix.error {
      // Clients that old expect text.
      if error.tooOld {
        return refuse(.whole(.badRequest, ["Content-Type": "text/plain; charset=utf-8"], Array("\(error)\n".utf8)))
      }
      return refuse(.failure(error))
    }
    let request = Request(
      method: head.method, path: String(prefix.rest), parameters: match.parameters, query: Query(query),
      headers: head.headers,
      version: prefix.version, connection: self)
    switch match.route.body {
    case .streamed: run(match.route, request)
    case .collected:
      if let length = head.headers.first(name: "Content-Length").flatMap({ Int($0) }), length > Router.jsonLimit {
        return refuseTooLarge()
      }
      phase = .collecting(match.route, request)
      sendContinue()
    }
  }

  /// Path and query; of an absolute URI, as clients of proxies send, too.
  private static func split(_ uri: String) -> (path: Substring, query: Substring) {
    var rest = uri[...]
    if rest.hasPrefix("http://") { rest = rest.dropFirst(7).drop { $0 != "/" } }
    guard let mark = rest.firstIndex(of: "?") else { return (rest, "") }
    return (rest[..<mark], rest[rest.index(after: mark)...])
  }

  private func collect(_ bytes: ByteBuffer) {
    guard collected.readableBytes + bytes.readableBytes <= Router.jsonLimit else { return refuseTooLarge() }
    collected.writeImmutableBuffer(bytes)
  }

  private func refuseTooLarge() {
    collected = ByteBuffer()
    keepAlive = false
    refuse(.failure(.payloadTooLarge, "request body larger than \(Router.jsonLimit) bytes"))
  }

  /// An answer before the body was read. A client that waits for `100 Continue` may or may not send it now: nothing can follow.
  private func refuse(_ response: Response) {
    if awaitsContinue { keepAlive = false }
    readArrived()
    phase = .running
    finish(response)
  }

  func sendContinue() {
    guard awaitsContinue, let context else { return }
    awaitsContinue = false
    let head = HTTPResponseHead(version: .http1_1, status: .continue)
    context.writeAndFlush(Self.wrapOutboundOut(.head(head)), promise: nil)
  }

  private func run(_ route: Router.Route, _ request: Request) {
    readArrived()
    phase = .running
    let handler = route.handler
    task = Task { await self.answer(handler, request) }
  }

  /// After an answer whose request was read whole: the next one, from the backlog or the socket.
  func next() {
    task = nil
    if !keepAlive || (inputClosed && backlog.isEmpty) { return close() }
    phase = .idle
    let waiting = backlog
    backlog.removeAll()
    for part in waiting { accept(part) }
    readMore()
  }

  /// Asks the socket for more when somebody waits for it.
  func readMore() {
    let wanted =
      switch phase {
      case .idle, .collecting, .draining: true
      case .running: !bodyEnded && bodyParts.isEmpty && bodyWaiter != nil
      case .closed, .taken: false
      }
    if wanted { context?.read() }
  }
}

// MARK: uploads

extension HTTPConnection: Connection {
  func nextBodyPart() async throws -> ByteBuffer? {
    try await eventLoop.flatSubmit { self.bodyPart() }.get()
  }

  func nextBodyPartBlocking() throws -> ByteBuffer? {
    try eventLoop.flatSubmit { self.bodyPart() }.wait()
  }

  private func bodyPart() -> EventLoopFuture<ByteBuffer?> {
    if let part = bodyParts.popFirst() { return eventLoop.makeSucceededFuture(part) }
    if bodyEnded { return eventLoop.makeSucceededFuture(nil) }
    guard case .running = phase, !inputClosed, bodyWaiter == nil else {
      return eventLoop.makeFailedFuture(HTTPConnectionError.cutShort)
    }
    sendContinue()
    let promise = eventLoop.makePromise(of: ByteBuffer?.self)
    bodyWaiter = promise
    readMore()
    return promise.futureResult
  }

  private func offer(_ bytes: ByteBuffer) {
    if let waiter = bodyWaiter {
      bodyWaiter = nil
      waiter.succeed(bytes)
    } else {
      bodyParts.append(bytes)
    }
  }

  private func failBody(_ error: any Error) {
    guard let waiter = bodyWaiter else { return }
    bodyWaiter = nil
    waiter.fail(error)
  }
}
