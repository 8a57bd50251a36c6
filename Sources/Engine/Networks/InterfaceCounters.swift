/// Counters of an interface since it was made, as the container sees them.
public struct InterfaceCounters: Sendable, Equatable {
  public var receivedBytes: UInt64
  public var receivedPackets: UInt64
  public var receiveErrors: UInt64
  public var receiveDropped: UInt64
  public var sentBytes: UInt64
  public var sentPackets: UInt64
  public var sendErrors: UInt64
  public var sendDropped: UInt64

  public init(
    receivedBytes: UInt64 = 0, receivedPackets: UInt64 = 0, receiveErrors: UInt64 = 0, receiveDropped: UInt64 = 0,
    sentBytes: UInt64 = 0, sentPackets: UInt64 = 0, sendErrors: UInt64 = 0, sendDropped: UInt64 = 0
  ) {
    self.receivedBytes = receivedBytes
    self.receivedPackets = receivedPackets
    self.receiveErrors = receiveErrors
    self.receiveDropped = receiveDropped
    self.sentBytes = sentBytes
    self.sentPackets = sentPackets
    self.sendErrors = sendErrors
    self.sendDropped = sendDropped
  }
}
