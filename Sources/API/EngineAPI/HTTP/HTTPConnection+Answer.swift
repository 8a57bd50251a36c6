import Errdefs
import Logging
import NIOCore
import NIOHTTP1
import OCI

extension HTTPConnection: ResponseStream {
  /// The whole of a request's task: handler, answer, end.
  func answer(_ handler: Router.Handler, _ request: Request) async {
    let response: Response
    do {
      response = try await handler(request)
    } catch {
      response = .failure(error)
      log(error, of: request)
    }
    switch response {
    case .whole: eventLoop.execute { self.finish(response) }
    case .stream(let headers, let body):
      do {
        try await eventLoop.flatSubmit { self.startStream(headers) }.get()
        if request.method != .HEAD { try await body(self) }
        eventLoop.execute { self.end() }
      } catch {
        if !(error is CancellationError || error is ChannelError) { log(error, of: request) }
        // The status is gone: a cut connection is the only way to say that this isn't all.
        eventLoop.execute { self.close() }
      }
    case .taken:
      // A handler that has not taken the connection after all leaves nobody to answer.
      eventLoop.execute { if case .running = self.phase { self.close() } }
    }
  }

  private func log(_ error: any Error, of request: Request) {
    if let error = error as? EngineError {
      guard error.kind == .system || error.cause != nil else { return }
      server.log.error(
        "Handler for \(request.method.rawValue) \(request.path) returned error: \(error)\(error.cause.map { " (\($0))" } ?? "")"
      )
    } else if !(error is CancellationError || error is JSONError) {
      server.log.error("Handler for \(request.method.rawValue) \(request.path) returned error: \(error)")
    }
  }

  /// Sends an answer that is known whole, and goes on to the next request.
  func finish(_ response: Response) {
    guard case .running = phase, let context, case .whole(let status, let headers, let body) = response else { return }
    var head = responseHead(status, headers)
    if status != .noContent, status != .notModified {
      head.headers.replaceOrAdd(name: "Content-Length", value: String(body.count))
    }
    if !keepAlive { head.headers.replaceOrAdd(name: "Connection", value: "close") }
    context.write(Self.wrapOutboundOut(.head(head)), promise: nil)
    if !isHead, !body.isEmpty {
      context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
    }
    end()
  }

  private func startStream(_ headers: HTTPHeaders) -> EventLoopFuture<Void> {
    guard case .running = phase, let context else { return eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
    // Not after the head: whoever streams an answer to an upload reads it.
    if !bodyEnded { sendContinue() }
    isStreaming = true
    var head = responseHead(.ok, headers)
    if !keepAlive { head.headers.replaceOrAdd(name: "Connection", value: "close") }
    return context.writeAndFlush(Self.wrapOutboundOut(.head(head)))
  }

  func write(_ bytes: ByteBuffer) async throws {
    try await eventLoop.flatSubmit { self.writeBody(bytes) }.get()
  }

  func writeBlocking(_ bytes: ByteBuffer) throws {
    try eventLoop.flatSubmit { self.writeBody(bytes) }.wait()
  }

  private func writeBody(_ bytes: ByteBuffer) -> EventLoopFuture<Void> {
    guard case .running = phase, let context else { return eventLoop.makeFailedFuture(ChannelError.ioOnClosedChannel) }
    return context.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(bytes))))
  }

  private func end() {
    guard case .running = phase, let context else { return }
    guard keepAlive || !bodyEnded else {
      phase = .closed
      let bound = NIOLoopBound(context, eventLoop: eventLoop)
      context.writeAndFlush(Self.wrapOutboundOut(.end(nil))).whenComplete { _ in bound.value.close(promise: nil) }
      return
    }
    context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    bodyParts.removeAll()
    guard bodyEnded else {
      // As Go's server: a short rest is read over, a long one isn't worth it.
      phase = .draining(256 << 10)
      return readMore()
    }
    next()
  }

  private func responseHead(_ status: HTTPResponseStatus, _ headers: HTTPHeaders) -> HTTPResponseHead {
    var all = server.commonHeaders
    all.add(name: "Date", value: HTTPDate.now())
    all.add(contentsOf: headers)
    return HTTPResponseHead(version: .http1_1, status: status, headers: all)
  }
}
