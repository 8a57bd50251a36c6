import NIOCore

/// In front of the HTTP decoder: once a request asked for an upgrade, nothing that follows it is HTTP any more, so it's held here.
///
/// The decoder would drop what it has buffered when the client half-closes before the answer (`echo x | client`): the gate keeps the end
/// of input from it too.
final class ReadGate: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer
  typealias InboundOut = ByteBuffer

  var isClosed = false
  /// Told of bytes before the decoder sees them.
  var onBytes: (() -> Void)?
  private(set) var held: [UInt8] = []

  func channelRead(context: ChannelHandlerContext, data: NIOAny) {
    guard isClosed else {
      onBytes?()
      return context.fireChannelRead(data)
    }
    held += Self.unwrapInboundIn(data).readableBytesView
  }

  func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
    if isClosed, case .inputClosed? = event as? ChannelEvent { return }
    context.fireUserInboundEventTriggered(event)
  }
}
