import AsyncHTTPClient
import NIOCore
import NIOHTTP1
import NIOPosix
import NIOSSL

/// Which failures pass by themselves, and how long to wait for that.
enum Retry {
  /// Overloaded, or something on the way to it is away.
  static func isPassing(_ status: HTTPResponseStatus) -> Bool {
    switch status.code {
    case 408, 425, 429, 500, 502, 503, 504: true
    default: false
    }
  }

  /// A connection that was there and broke, not one that can't be made: nobody waits for a host that isn't.
  static func isPassing(_ error: any Error) -> Bool {
    if let error = error as? HTTPClientError {
      return [.readTimeout, .remoteConnectionClosed, .writeTimeout, .getConnectionFromPoolTimeout].contains(error)
    }
    if let error = error as? IOError { return [104, 32, 103, 110].contains(error.errnoCode) }
    if let error = error as? ChannelError {
      return error == .ioOnClosedChannel || error == .inputClosed || error == .eof
    }
    if let error = error as? NIOSSLError, case .uncleanShutdown = error { return true }
    return error is HTTPParserError || error is CutShort
  }

  /// 0.25, 0.5, 1, 2, 4 seconds, or what `Retry-After` asks for, up to 30.
  static func pause(attempt: Int, after header: String?) -> Duration {
    if let header, let seconds = Int(header), seconds >= 0 { return .seconds(min(seconds, 30)) }
    return .milliseconds(250 << min(attempt, 4))
  }
}

/// A body ended before its length.
struct CutShort: Error, CustomStringConvertible {
  var received: Int64
  var expected: Int64
  var description: String { "unexpected EOF after \(received) of \(expected) bytes" }
}
