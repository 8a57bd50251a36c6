import CLinux
import Containers
import Errdefs
import Images
import NIOHTTP1
import OCI

/// `/containers/…`
struct ContainerRoutes: Sendable {
  let nouns: EngineNouns
  var containers: Containers { nouns.containers }

  func add(to router: inout Router) {
    router.add(.GET, "/containers/json") { try await list($0) }
    router.add(.POST, "/containers/create") { try await create($0) }
    router.add(.POST, "/containers/prune") { request in
      let report = try await containers.prune(try request.filters())
      return .json([
        "ContainersDeleted": report.deleted.isEmpty ? .null : JSON(report.deleted),
        "SpaceReclaimed": JSON(report.spaceReclaimed),
      ])
    }
    router.add(.GET, "/containers/{id}/json") { try await inspect($0) }
    router.add(.GET, "/containers/{id}/top") { request in
      let list = try await containers.top(request.parameter("id"), arguments: request.query["ps_args"])
      return .json(["Processes": .array(list.processes.map { JSON($0) }), "Titles": JSON(list.titles)])
    }
    router.add(.GET, "/containers/{id}/logs") { try await logs($0) }
    router.add(.GET, "/containers/{id}/stats") { try await stats($0) }
    router.add(.POST, "/containers/{id}/attach") { try await attach($0) }
    router.add(.POST, "/containers/{id}/wait") { try wait($0) }
    router.add(.POST, "/containers/{id}/start") { request in
      guard request.body.count <= 7 else {
        throw EngineError.invalidParameter(
          "starting container with non-empty request body was deprecated since API v1.22 and removed in v1.24")
      }
      guard request.query["checkpoint"].isEmpty else {
        throw EngineError.notImplemented("checkpoints are not built yet")
      }
      try await containers.start(request.parameter("id"), detachKeys: request.query["detachKeys"])
      return .empty()
    }
    router.add(.POST, "/containers/{id}/stop") { request in
      let (signal, timeout) = try stopOptions(request)
      try await containers.stop(request.parameter("id"), signal: signal, timeout: timeout)
      return .empty()
    }
    router.add(.POST, "/containers/{id}/restart") { request in
      let (signal, timeout) = try stopOptions(request)
      try await containers.restart(request.parameter("id"), signal: signal, timeout: timeout)
      return .empty()
    }
    router.add(.POST, "/containers/{id}/kill") { request in
      try await containers.kill(request.parameter("id"), signal: request.query["signal"])
      return .empty()
    }
    router.add(.POST, "/containers/{id}/pause") { request in
      try await containers.pause(request.parameter("id"))
      return .empty()
    }
    router.add(.POST, "/containers/{id}/unpause") { request in
      try await containers.unpause(request.parameter("id"))
      return .empty()
    }
    router.add(.POST, "/containers/{id}/rename") { request in
      try await containers.rename(request.parameter("id"), to: request.query["name"])
      return .empty()
    }
    router.add(.POST, "/containers/{id}/resize") { request in
      let (width, height) = try request.terminalSize()
      try await containers.resize(request.parameter("id"), width: width, height: height)
      return .empty(.ok)
    }
    router.add(.POST, "/containers/{id}/update") { request in
      let body = try request.json() ?? [:]
      let fields = try request.decode { () throws(JSONError) in try JSONFields(body, anyCase: true) }
      let warnings = try await containers.update(request.parameter("id"), fields)
      // Berth's own: ports of a container that runs may change
      let (add, remove) = try request.decode { () throws(JSONError) in
        (try fields.fields("PublishAdd").map(PortMap.init), try fields.fields("PublishRemove").map(PortMap.init))
      }
      if add != nil || remove != nil {
        try await containers.publish(
          request.parameter("id"), add: add ?? PortMap(), remove: remove ?? PortMap())
      }
      return .json(["Warnings": warnings.isEmpty ? .null : JSON(warnings)])
    }
    addFiles(to: &router)
    router.add(.DELETE, "/containers/{id}") { request in
      try await containers.remove(
        request.parameter("id"), force: request.query.bool("force"), volumes: request.query.bool("v"),
        link: request.query.bool("link"))
      return .empty()
    }
  }

  private func stopOptions(_ request: Request) throws -> (signal: String?, timeout: Int?) {
    let signal = request.query["signal"]
    return (
      request.version.stopTakesSignal && !signal.isEmpty ? signal : nil, try request.query.int("t")
    )
  }

  // MARK: Looking

  private func list(_ request: Request) async throws -> Response {
    let options = ListOptions(
      all: request.query.bool("all"), limit: try request.query.int("limit") ?? 0, filters: try request.filters())
    let shapes = ContainerShapes(version: request.version, defaultRuntime: nouns.facts.defaultRuntime)
    let now = Clock.now()
    var rows: [JSON] = []
    var names = ImageNames(images: nouns.images)
    for container in try containers.list(options) {
      var size: (written: Int64, total: Int64)?
      if request.query.bool("size") {
        // One that was removed meanwhile isn't in the list, as it wouldn't be a moment later.
        do { size = try await containers.size(container.id) } catch let error as EngineError
          where error.kind == .notFound
        { continue }
      }
      rows.append(shapes.summary(container, image: names.name(of: container), now: now, size: size))
    }
    return .json(.array(rows))
  }

  private func inspect(_ request: Request) async throws -> Response {
    let container = try containers.inspect(request.parameter("id"))
    let size = request.query.bool("size") ? try await containers.size(container.id) : nil
    let shapes = ContainerShapes(version: request.version, defaultRuntime: nouns.facts.defaultRuntime)
    return .json(shapes.inspect(container, size: size))
  }

  private func logs(_ request: Request) async throws -> Response {
    let query = request.query
    let (stdout, stderr) = (query.bool("stdout"), query.bool("stderr"))
    guard stdout || stderr else {
      throw EngineError.invalidParameter("Bad parameters: you must choose at least one stream")
    }
    var until = try request.timestamp("until")
    if until == 0 { until = nil }
    var since = try request.timestamp("since")
    if since == 0 { since = nil }
    let options = LogOptions(
      stdout: stdout, stderr: stderr, follow: query.bool("follow"), since: since, until: until,
      // Anything that isn't a number of lines is all of them, as `all`.
      tail: Int(query["tail"]).flatMap { $0 >= 0 ? $0 : nil }, timestamps: query.bool("timestamps"),
      details: query.bool("details"))
    let log = try await containers.logs(request.parameter("id"), options)
    return .stream(["Content-Type": StreamType.name(multiplexed: log.multiplexed, version: request.version)]) {
      stream in
      for try await chunk in log { try await stream.write(chunk) }
    }
  }

  private func stats(_ request: Request) async throws -> Response {
    let container = try containers.inspect(request.parameter("id"))
    let shapes = StatsShapes(version: request.version)
    let stream = request.query.bool("stream", default: true)
    let oneShot = request.version.hasOneShotStats && request.query.bool("one-shot")
    let first = try await containers.stats(container.id)
    guard stream else {
      guard first.read != 0, !oneShot else { return .json(shapes.sample(first, before: nil, container: container)) }
      // Two samples, so that clients can tell the rate.
      try await Task.sleep(for: .seconds(1))
      let second = try await containers.stats(container.id)
      return .json(shapes.sample(second, before: first, container: container))
    }
    return .stream(["Content-Type": "application/json"]) { out in
      var before: ContainerStats?
      var now = first
      while true {
        try await out.write(shapes.sample(now, before: before, container: container))
        try await Task.sleep(for: .seconds(1))
        before = now
        // The stream ends with its container.
        do { now = try await containers.stats(container.id) } catch let error as EngineError
          where error.kind == .notFound
        { return }
      }
    }
  }

  // MARK: Streams

  private func attach(_ request: Request) async throws -> Response {
    let query = request.query
    try await containers.attach(
      request.parameter("id"),
      AttachRequest(
        stdin: query.bool("stdin"), stdout: query.bool("stdout"), stderr: query.bool("stderr"),
        logs: query.bool("logs"),
        stream: query.bool("stream"), detachKeys: query["detachKeys"], connect: request.attachConnector()))
    return .taken
  }

  /// The headers go out as soon as the wait is registered, so that a client may start the container then.
  private func wait(_ request: Request) throws -> Response {
    var condition = WaitCondition.notRunning
    let text = request.version.waitAnswersAtOnce ? request.query["condition"] : ""
    if !text.isEmpty {
      guard let known = WaitCondition(rawValue: text) else {
        throw EngineError.invalidParameter("invalid condition: \(GoQuote.quoted(text))")
      }
      condition = known
    }
    let wait = try containers.wait(request.parameter("id"), condition)
    return .stream(["Content-Type": "application/json"]) { stream in
      let result = try await wait.result()
      var json = JSONBuilder()
      if let error = result.error { json.set("Error", ["Message": JSON(error)]) }
      json.set("StatusCode", integer: result.statusCode)
      try await stream.write(json.json)
    }
  }
}

/// Tells which name still stands for a container's image, looking each name up once a list.
private struct ImageNames {
  let images: Images
  private var known: [String: String?] = [:]

  init(images: Images) { self.images = images }

  mutating func name(of container: ContainerSnapshot) -> String {
    let name = container.config.image
    if name == container.imageID { return name }
    let id: String?
    if let cached = known[name] {
      id = cached
    } else {
      id = (try? images.resolve(name))?.id.description
      known[name] = id
    }
    return id == container.imageID ? name : container.imageID
  }
}

/// The wall clock.
enum Clock {
  /// Nanoseconds since 1970.
  static func now() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) &* 1_000_000_000 &+ Int64(time.tv_nsec)
  }
}

/// Text in double quotes as Go's `%q` writes it.
enum GoQuote {
  static func quoted(_ text: String) -> String {
    var result = "\""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\"": result += "\\\""
      case "\\": result += "\\\\"
      case "\n": result += "\\n"
      case "\t": result += "\\t"
      case "\r": result += "\\r"
      default: result.unicodeScalars.append(scalar)
      }
    }
    return result + "\""
  }
}
