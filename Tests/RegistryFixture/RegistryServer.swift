import NIOCore
public import NIOHTTP1
import NIOPosix
public import OCI
import Snapshots
public import Synchronization

/// A registry in this process, on loopback: blobs, manifests, tags and uploads in memory, and the faults that a test asks for.
public final class RegistryServer: Sendable {
  public struct Reply: Sendable {
    public var status: HTTPResponseStatus
    public var headers: HTTPHeaders = [:]
    public var body: [UInt8] = []
    /// Tell the length of all of it, send so many bytes, and cut the connection.
    public var cutAfter: Int?
    /// The same, but then wait for the other side to go.
    public var stallAfter: Int?
    /// The body again and again, without telling a length.
    public var isEndless = false
    /// Answer when this is opened.
    public var gate: Gate?

    public init(
      status: HTTPResponseStatus, headers: HTTPHeaders = [:], body: [UInt8] = [], cutAfter: Int? = nil,
      stallAfter: Int? = nil, isEndless: Bool = false, gate: Gate? = nil
    ) {
      self.status = status
      self.headers = headers
      self.body = body
      self.cutAfter = cutAfter
      self.stallAfter = stallAfter
      self.isEndless = isEndless
      self.gate = gate
    }
  }

  /// Holds answers back until it is opened, once.
  public final class Gate: Sendable {
    private let waiting = Mutex<[@Sendable () -> Void]?>([])

    public init() {}

    public func open() {
      let waiters = waiting.withLock { waiting in
        defer { waiting = nil }
        return waiting ?? []
      }
      for waiter in waiters { waiter() }
    }

    func whenOpen(_ body: @escaping @Sendable () -> Void) {
      let isOpen = waiting.withLock { waiting in
        waiting?.append(body)
        return waiting == nil
      }
      if isOpen { body() }
    }
  }

  public struct Ask: Sendable {
    public var method: HTTPMethod
    /// Without its query.
    public var path: String
    public var query: String
    public var headers: HTTPHeaders
    public var body: [UInt8]

    public var authorization: String? { headers.first(name: "Authorization") }
    /// The first byte that a range asks for.
    public var rangeStart: Int? {
      headers.first(name: "Range").flatMap { $0.hasPrefix("bytes=") ? Int($0.dropFirst(6).prefix { $0 != "-" }) : nil }
    }
  }

  public struct State: Sendable {
    public var blobs: [Digest: [UInt8]] = [:]
    /// By `name/reference`.
    public var manifests: [String: (type: String, bytes: [UInt8])] = [:]
    public var tags: [String: [String]] = [:]
    public var uploads: [String: [UInt8]] = [:]
    public var asks: [Ask] = []
    /// Looks at each request first; nil lets it through.
    public var intercept: (@Sendable (Ask, _ number: Int) -> Reply?)?
    public var next = 0
    /// Connections that wait for the other side to go.
    public var stalled = 0
  }

  public let state = Mutex(State())
  private let channel: any Channel
  public let port: Int
  public var host: String { "127.0.0.1:\(port)" }

  public init(intercept: (@Sendable (Ask, Int) -> Reply?)? = nil) async throws {
    let box = Box()
    channel = try await ServerBootstrap(group: MultiThreadedEventLoopGroup.singleton)
      .serverChannelOption(ChannelOptions.socketOption(.so_reuseaddr), value: 1)
      .childChannelInitializer { channel in
        channel.eventLoop.makeCompletedFuture {
          try channel.pipeline.syncOperations.configureHTTPServerPipeline()
          try channel.pipeline.syncOperations.addHandler(Handler(box))
        }
      }
      .bind(host: "127.0.0.1", port: 0).get()
    port = channel.localAddress?.port ?? 0
    state.withLock { $0.intercept = intercept }
    box.server.withLock { $0 = Weak(self) }
  }

  deinit { channel.close(promise: nil) }

  private struct Weak: @unchecked Sendable {
    weak var server: RegistryServer?
    init(_ server: RegistryServer) { self.server = server }
  }
  private final class Box: Sendable { let server = Mutex<Weak?>(nil) }

  public var asks: [Ask] { state.withLock { $0.asks } }
  public func asks(_ method: HTTPMethod, containing text: String) -> [Ask] {
    asks.filter { $0.method == method && $0.path.contains(text) }
  }

  /// Stores an image of these gzip or plain layers under a tag; answers its manifest's digest.
  @discardableResult
  public func put(
    _ name: String, tag: String, config: [UInt8], layers: [[UInt8]], type: String = MediaType.ociLayer + "+gzip"
  )
    -> Digest
  {
    let manifest = ImageManifest(
      config: add(config, MediaType.ociConfig), layers: layers.map { add($0, type) })
    return put(name, tag: tag, manifest: manifest.json.encoded(), type: MediaType.ociManifest)
  }

  public func add(_ blob: [UInt8], _ type: String) -> ContentDescriptor {
    let digest = Digest(hashing: blob)
    state.withLock { $0.blobs[digest] = blob }
    return ContentDescriptor(mediaType: type, digest: digest, size: Int64(blob.count))
  }

  @discardableResult
  public func put(_ name: String, tag: String, manifest: [UInt8], type: String) -> Digest {
    let digest = Digest(hashing: manifest)
    state.withLock { state in
      state.manifests["\(name)/\(tag)"] = (type, manifest)
      state.manifests["\(name)/\(digest)"] = (type, manifest)
      if !(state.tags[name] ?? []).contains(tag) { state.tags[name, default: []].append(tag) }
    }
    return digest
  }

  fileprivate func answer(_ ask: Ask) -> Reply {
    let (intercept, number) = state.withLock { state in
      state.asks.append(ask)
      return (state.intercept, state.asks.count)
    }
    if let reply = intercept?(ask, number) { return reply }
    let parts = ask.path.split(separator: "/").map(String.init)
    guard parts.first == "v2" else { return Reply(status: .notFound) }
    if parts.count == 1 { return Reply(status: .ok) }
    if parts == ["v2", "_catalog"] {
      let names = state.withLock { $0.tags.keys.sorted() }
      return json(["repositories": JSON(names)])
    }
    if let mark = parts.lastIndex(of: "manifests"), mark == parts.count - 2 {
      return manifest(ask, parts[1..<mark].joined(separator: "/"), parts[mark + 1])
    }
    if let mark = parts.lastIndex(of: "tags") {
      let name = parts[1..<mark].joined(separator: "/")
      return json(["name": JSON(name), "tags": JSON(state.withLock { $0.tags[name] ?? [] })])
    }
    guard let mark = parts.lastIndex(of: "blobs"), mark < parts.count - 1 else { return Reply(status: .notFound) }
    let name = parts[1..<mark].joined(separator: "/")
    if parts[mark + 1] == "uploads" { return upload(ask, name, mark + 2 < parts.count ? parts[mark + 2] : nil) }
    return blob(ask, parts[mark + 1])
  }

  private func json(_ value: JSON) -> Reply {
    Reply(status: .ok, headers: ["Content-Type": "application/json"], body: value.encoded())
  }

  public static func failure(_ status: HTTPResponseStatus, _ code: String, _ message: String) -> Reply {
    let error: JSON = ["errors": [["code": JSON(code), "message": JSON(message)]]]
    return Reply(status: status, headers: ["Content-Type": "application/json"], body: error.encoded())
  }

  private func manifest(_ ask: Ask, _ name: String, _ reference: String) -> Reply {
    if ask.method == .PUT {
      let type = ask.headers.first(name: "Content-Type") ?? ""
      let digest = put(name, tag: reference, manifest: ask.body, type: type)
      return Reply(status: .created, headers: ["Docker-Content-Digest": digest.description])
    }
    guard let found = state.withLock({ $0.manifests["\(name)/\(reference)"] }) else {
      return Self.failure(.notFound, "MANIFEST_UNKNOWN", "manifest unknown")
    }
    let headers: HTTPHeaders = [
      "Content-Type": found.type, "Docker-Content-Digest": Digest(hashing: found.bytes).description,
    ]
    return Reply(status: .ok, headers: headers, body: found.bytes)
  }

  public func blob(_ ask: Ask, _ text: String, cutAfter: Int? = nil) -> Reply {
    guard let digest = Digest(text), let bytes = state.withLock({ $0.blobs[digest] }) else {
      return Self.failure(.notFound, "BLOB_UNKNOWN", "blob unknown to registry")
    }
    guard let start = ask.rangeStart, start < bytes.count else {
      return Reply(status: .ok, body: bytes, cutAfter: cutAfter)
    }
    return Reply(
      status: .partialContent, headers: ["Content-Range": "bytes \(start)-\(bytes.count - 1)/\(bytes.count)"],
      body: Array(bytes[start...]), cutAfter: cutAfter)
  }

  private func upload(_ ask: Ask, _ name: String, _ id: String?) -> Reply {
    state.withLock { state in
      let query = Dictionary(
        ask.query.split(separator: "&").map { pair -> (String, String) in
          let parts = pair.split(separator: "=", maxSplits: 1).map(String.init)
          return (parts[0], parts.count > 1 ? parts[1].replacing("%3A", with: ":") : "")
        }, uniquingKeysWith: { $1 })
      guard let id else {
        if let mount = query["mount"].flatMap({ Digest($0) }), state.blobs[mount] != nil {
          return Reply(status: .created, headers: ["Location": "/v2/\(name)/blobs/\(mount)"])
        }
        state.next += 1
        state.uploads["\(state.next)"] = []
        return Reply(status: .accepted, headers: ["Location": "/v2/\(name)/blobs/uploads/\(state.next)?_state=x"])
      }
      guard state.uploads[id] != nil else { return Self.failure(.notFound, "BLOB_UPLOAD_UNKNOWN", "unknown upload") }
      let place = "/v2/\(name)/blobs/uploads/\(id)?_state=y"
      switch ask.method {
      case .PATCH:
        state.uploads[id, default: []] += ask.body
        return Reply(status: .accepted, headers: ["Location": place])
      case .GET:
        let count = state.uploads[id]?.count ?? 0
        return Reply(status: .noContent, headers: ["Location": place, "Range": "0-\(max(0, count - 1))"])
      default:
        let bytes = (state.uploads[id] ?? []) + ask.body
        let digest = Digest(hashing: bytes)
        guard query["digest"] == digest.description else {
          return Self.failure(.badRequest, "DIGEST_INVALID", "provided digest did not match uploaded content")
        }
        state.blobs[digest] = bytes
        return Reply(status: .created)
      }
    }
  }

  private final class Handler: ChannelInboundHandler, @unchecked Sendable {
    typealias InboundIn = HTTPServerRequestPart
    typealias OutboundOut = HTTPServerResponsePart
    private let box: Box
    private var head: HTTPRequestHead?
    private var body: [UInt8] = []
    private var isStalled = false

    init(_ box: Box) { self.box = box }

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
      switch Self.unwrapInboundIn(data) {
      case .head(let head): (self.head, body) = (head, [])
      case .body(let part): body += part.readableBytesView
      case .end:
        guard let head, let server = box.server.withLock({ $0?.server }) else {
          context.close(promise: nil)
          return
        }
        let parts = head.uri.split(separator: "?", maxSplits: 1).map(String.init)
        let reply = server.answer(
          Ask(
            method: head.method, path: parts[0], query: parts.count > 1 ? parts[1] : "", headers: head.headers,
            body: body))
        guard let gate = reply.gate else { return write(reply, to: head, context) }
        let loop = context.eventLoop
        let bound = NIOLoopBound((self, context), eventLoop: loop)
        gate.whenOpen {
          loop.execute { bound.value.0.write(reply, to: head, bound.value.1) }
        }
      }
    }

    func channelInactive(context: ChannelHandlerContext) { if isStalled { count(-1) } }

    private func count(_ number: Int) {
      box.server.withLock { $0?.server }?.state.withLock { $0.stalled += number }
    }

    private func write(_ reply: Reply, to head: HTTPRequestHead, _ context: ChannelHandlerContext) {
      var headers = reply.headers
      if !reply.isEndless, !headers.contains(name: "Content-Length") {
        headers.add(name: "Content-Length", value: "\(reply.body.count)")
      }
      let response = HTTPResponseHead(version: .http1_1, status: reply.status, headers: headers)
      context.write(Self.wrapOutboundOut(.head(response)), promise: nil)
      if reply.isEndless { return again(ByteBuffer(bytes: reply.body), context) }
      let body = (reply.cutAfter ?? reply.stallAfter).map { Array(reply.body.prefix($0)) } ?? reply.body
      if head.method != .HEAD, !body.isEmpty {
        context.write(Self.wrapOutboundOut(.body(.byteBuffer(ByteBuffer(bytes: body)))), promise: nil)
      }
      guard reply.cutAfter == nil, reply.stallAfter == nil else {
        context.flush()
        if reply.cutAfter != nil { return context.close(promise: nil) }
        isStalled = true
        count(1)
        return
      }
      context.writeAndFlush(Self.wrapOutboundOut(.end(nil)), promise: nil)
    }

    /// Until the other side has gone.
    private func again(_ body: ByteBuffer, _ context: ChannelHandlerContext) {
      let context = NIOLoopBound(context, eventLoop: context.eventLoop)
      let handler = NIOLoopBound(self, eventLoop: context.value.eventLoop)
      context.value.writeAndFlush(Self.wrapOutboundOut(.body(.byteBuffer(body)))).whenSuccess {
        handler.value.again(body, context.value)
      }
    }
  }
}
