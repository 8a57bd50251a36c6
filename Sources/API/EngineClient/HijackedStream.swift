import CLinux
import Kernel

/// A connection that has left HTTP: bytes of a container's standard streams in both directions.
public final class HijackedStream {
  static let multiplexedType = "application/vnd.docker.multiplexed-stream"
  private let connection: Connection
  /// Empty from daemons before API 1.42.
  public let contentType: String

  init(connection: Connection, contentType: String) {
    self.connection = connection
    self.contentType = contentType
  }

  public var fd: Int32 { connection.fd }
  /// Whether bytes are waiting that poll(2) doesn't know of.
  public var hasUnread: Bool { !connection.unread.isEmpty }

  /// What has come in; blocks when nothing has; nil at the end.
  public func next() throws -> ArraySlice<UInt8>? {
    if connection.unread.isEmpty {
      guard try connection.fill() else { return nil }
    }
    return connection.take(.max)
  }

  /// Writes as much as goes without waiting; answers how much.
  public func writeSome(_ bytes: ArraySlice<UInt8>) throws -> Int {
    do {
      return try bytes.withUnsafeBytes { try Sys.send(fd, $0, flags: Int32(MSG_DONTWAIT)) }
    } catch let error as SyscallError where error.errno == .wouldBlock { return 0 }
  }

  /// Half-close: the container reads the end of its input.
  public func closeWrite() throws { try Sys.shutdown(fd, Int32(SHUT_WR)) }
}
