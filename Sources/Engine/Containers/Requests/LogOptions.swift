/// Which lines of a log are wanted.
public struct LogOptions: Sendable {
  public var stdout: Bool
  public var stderr: Bool
  public var follow: Bool
  /// Nanoseconds since 1970, inclusive; `nil`: no bound.
  public var since: Int64?
  public var until: Int64?
  /// Lines from the end; `nil`: all.
  public var tail: Int?
  /// Each line begins with its time, RFC 3339 with nine digits of fraction.
  public var timestamps: Bool
  /// Each line begins with the labels and variables that `--log-opt` chose.
  public var details: Bool

  public init(
    stdout: Bool, stderr: Bool, follow: Bool = false, since: Int64? = nil, until: Int64? = nil, tail: Int? = nil,
    timestamps: Bool = false, details: Bool = false
  ) {
    self.stdout = stdout
    self.stderr = stderr
    self.follow = follow
    self.since = since
    self.until = until
    self.tail = tail
    self.timestamps = timestamps
    self.details = details
  }
}

/// A log as it goes to the client: chunks of bytes, framed (`[stream, 0, 0, 0, length BE32]`) unless the container has a terminal.
/// The reader sets the pace.
public struct LogStream: AsyncSequence, Sendable {
  public typealias Element = [UInt8]
  /// `application/vnd.docker.multiplexed-stream` when true, else `…raw-stream`.
  public let multiplexed: Bool
  let makeNext: @Sendable () -> @Sendable () async throws -> [UInt8]?

  public struct AsyncIterator: AsyncIteratorProtocol {
    let body: @Sendable () async throws -> [UInt8]?
    public mutating func next() async throws -> [UInt8]? { try await body() }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(body: makeNext()) }
}
