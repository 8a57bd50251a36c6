import CLinux
import Kernel

/// A client's connection and the one to the container, and what is on its way between them.
final class ForwardedPair {
  /// What an end is watched for; nil: not at all.
  struct Side {
    var wanted: UInt32?
    var watched: UInt32?
  }
  /// One direction.
  private struct Stream {
    /// Read and not yet written.
    var pending: [UInt8] = []
    /// The sender said that no more comes.
    var ended = false
    /// And that was passed on.
    var closed = false
  }

  let client: SharedDescriptor
  let server: SharedDescriptor
  let since = Sys.monotonicNanoseconds()
  private(set) var isConnecting = true
  private(set) var clientSide = Side(wanted: 0, watched: 0)
  private(set) var serverSide = Side(wanted: EPOLLOUT.rawValue, watched: EPOLLOUT.rawValue)
  private var toServer = Stream()
  private var toClient = Stream()
  /// An end that is closed both ways: it would be told of again and again.
  private var clientGone = false
  private var serverGone = false

  init(client: SharedDescriptor, server: SharedDescriptor) {
    self.client = client
    self.server = server
  }

  /// Carries what there is. false: the connection is over.
  func carry(_ events: UInt32, fromServer: Bool, _ buffer: inout [UInt8]) -> Bool {
    if isConnecting {
      // the client went away, or the container refuses
      guard fromServer, events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) == 0 else { return false }
      isConnecting = false
    }
    if events & (EPOLLERR.rawValue | EPOLLHUP.rawValue) != 0 {
      if fromServer { serverGone = true } else { clientGone = true }
    }
    guard Self.move(client.raw, server.raw, &toServer, &buffer, drains: clientGone),
      Self.move(server.raw, client.raw, &toClient, &buffer, drains: serverGone)
    else { return false }
    if toServer.closed, toClient.closed { return false }
    // nothing more can come from an end that is gone, nor go to it
    if clientGone && toServer.closed || serverGone && toClient.closed { return false }
    clientSide.wanted = clientGone ? nil : Self.interest(reads: toServer, writes: toClient)
    serverSide.wanted = serverGone ? nil : Self.interest(reads: toClient, writes: toServer)
    return true
  }

  /// The epoll knows what is wanted.
  func settled() {
    clientSide.watched = clientSide.wanted
    serverSide.watched = serverSide.wanted
  }

  private static func interest(reads: Stream, writes: Stream) -> UInt32 {
    (!reads.ended && reads.pending.isEmpty ? EPOLLIN.rawValue : 0) | (writes.pending.isEmpty ? 0 : EPOLLOUT.rawValue)
  }

  /// From one end to the other as far as both go. `drains`: the source is gone, and no event will tell of what is left in it. false: one
  /// of them broke.
  private static func move(
    _ source: Int32, _ sink: Int32, _ stream: inout Stream, _ buffer: inout [UInt8], drains: Bool
  ) -> Bool {
    let flags = Int32(MSG_NOSIGNAL) | Int32(MSG_DONTWAIT)
    // so that one connection doesn't keep all others waiting
    var rounds = 0
    while drains || rounds < 8 {
      rounds += 1
      if !stream.pending.isEmpty {
        let sent = stream.pending.withUnsafeBytes { send(sink, $0.baseAddress, $0.count, flags) }
        guard sent >= 0 else { return Errno.current == .wouldBlock }
        stream.pending.removeFirst(sent)
        guard stream.pending.isEmpty else { return true }
      }
      if stream.ended { break }
      let count = buffer.withUnsafeMutableBytes { recv(source, $0.baseAddress, $0.count, Int32(MSG_DONTWAIT)) }
      if count < 0 { return Errno.current == .wouldBlock }
      if count == 0 {
        stream.ended = true
        break
      }
      let sent = buffer.withUnsafeBytes { send(sink, $0.baseAddress, count, flags) }
      if sent < 0, Errno.current != .wouldBlock { return false }
      if sent < count { stream.pending = Array(buffer[max(sent, 0)..<count]) }
    }
    if stream.ended, stream.pending.isEmpty, !stream.closed {
      stream.closed = true
      // ENOTCONN: it is closed already
      _ = CLinux.shutdown(sink, Int32(SHUT_WR))
    }
    return true
  }
}
