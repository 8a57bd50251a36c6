import CLinux
import Kernel
import NIOCore
import NIOHTTP1

extension HTTPConnection {
  /// Answers, then moves the socket out of NIO: the decoder gives back what it has read ahead, the descriptor is duplicated, and the channel
  /// is closed, which takes NIO's descriptor from its epoll set and leaves the connection itself alone.
  func takeOver(_ head: HTTPResponseHead) async throws -> TakenConnection {
    let (descriptor, pending) = try await eventLoop.flatSubmit { self.moveOut(head) }.get()
    return TakenConnection(descriptor: descriptor, pending: pending)
  }

  private func moveOut(_ head: HTTPResponseHead) -> EventLoopFuture<(Int32, [UInt8])> {
    guard case .running = phase, bodyEnded, let context,
      let decoder = try? context.pipeline.syncOperations.context(name: HTTPServer.decoderName),
      let encoder = try? context.pipeline.syncOperations.context(name: HTTPServer.encoderName)
    else { return eventLoop.makeFailedFuture(HTTPConnectionError.gone) }
    phase = .taken
    gate.isClosed = true
    var text = "HTTP/1.1 \(head.status.code) \(head.status.reasonPhrase)\r\n"
    for (name, value) in head.headers { text += "\(name): \(value)\r\n" }
    text += "\r\n"
    let bound = NIOLoopBound((context, decoder), eventLoop: eventLoop)
    // Past the encoder, which would frame a body that has no frames.
    return encoder.writeAndFlush(NIOAny(ByteBuffer(string: text))).flatMap {
      bound.value.0.pipeline.syncOperations.removeHandler(context: bound.value.1)
    }.flatMapThrowing {
      let context = bound.value.0
      let copy = try context.pipeline.syncOperations.withUnsafeTransportIfAvailable(of: CInt.self) { socket in
        try Sys.fcntl(socket, F_DUPFD_CLOEXEC, 0)
      }
      guard let copy else { throw HTTPConnectionError.noTransport }
      context.close(promise: nil)
      return (copy, self.leftOver + self.gate.held)
    }.flatMapErrorThrowing { error in
      bound.value.0.close(promise: nil)
      throw error
    }
  }
}
