/// An image's configuration document: what its containers start with, the digests of its layers, and its history
/// (image-spec, config.md, with the members that Docker adds). Its SHA-256 is the image's id.
///
/// Decoding is as tolerant as Go's: `null` is absence, unknown members are left alone. The document's own bytes are kept in
/// the content store, so nothing is lost by that.
public struct ImageConfig: Sendable, Equatable {
  /// RFC 3339 as the document has it.
  public var created: String?
  public var author: String?
  /// Docker's `comment`, from `commit` and `import`.
  public var comment: String?
  /// GOARCH: `amd64`, `arm64`.
  public var architecture: String
  public var variant: String?
  /// GOOS: `linux`.
  public var os: String
  public var osVersion: String?
  public var osFeatures: [String]?
  /// What a container starts with unless its creator says otherwise.
  public var config: Defaults
  /// The digests of the layers' uncompressed tars, bottom first.
  public var diffIDs: [Digest]
  public var history: [History]

  public init(architecture: String, os: String, config: Defaults = Defaults(), diffIDs: [Digest] = []) {
    self.architecture = architecture
    self.os = os
    self.config = config
    self.diffIDs = diffIDs
    self.history = []
  }

  /// The moment of creation; `nil` when absent or unreadable.
  public var createdAt: Timestamp? { created.flatMap { Timestamp($0) } }

  public struct Defaults: Sendable, Equatable {
    /// `name|uid[:group|gid]`
    public var user: String?
    /// `8080/tcp`, sorted.
    public var exposedPorts: [String]?
    /// `NAME=value`
    public var env: [String]?
    public var entrypoint: [String]?
    public var cmd: [String]?
    /// Mount points, sorted.
    public var volumes: [String]?
    public var workingDir: String?
    public var labels: [String: String]?
    /// `SIGTERM` or `15`
    public var stopSignal: String?
    /// Seconds.
    public var stopTimeout: Int64?
    public var healthcheck: Healthcheck?
    public var onBuild: [String]?
    public var shell: [String]?
    public var argsEscaped: Bool?

    public init() {}
  }

  /// Docker's `Healthcheck`. Durations are nanoseconds, 0 for the default.
  public struct Healthcheck: Sendable, Equatable {
    /// `["NONE"]`, `["CMD", …]`, `["CMD-SHELL", command]`; empty: inherit.
    public var test: [String]?
    public var interval: Int64
    public var timeout: Int64
    public var startPeriod: Int64
    public var startInterval: Int64
    public var retries: Int64

    public init(
      test: [String]? = nil, interval: Int64 = 0, timeout: Int64 = 0, startPeriod: Int64 = 0, startInterval: Int64 = 0,
      retries: Int64 = 0
    ) {
      self.test = test
      self.interval = interval
      self.timeout = timeout
      self.startPeriod = startPeriod
      self.startInterval = startInterval
      self.retries = retries
    }
  }

  public struct History: Sendable, Equatable {
    public var created: String?
    public var createdBy: String?
    public var author: String?
    public var comment: String?
    /// The step made no layer.
    public var emptyLayer: Bool

    public init(
      created: String? = nil, createdBy: String? = nil, author: String? = nil, comment: String? = nil,
      emptyLayer: Bool = false
    ) {
      self.created = created
      self.createdBy = createdBy
      self.author = author
      self.comment = comment
      self.emptyLayer = emptyLayer
    }
  }
}
