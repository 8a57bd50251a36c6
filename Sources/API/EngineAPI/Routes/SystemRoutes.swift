import Containers
import Errdefs
import Events
import Images
import NIOHTTP1
import OCI

/// `/_ping`, `/version`, `/info`, `/events`, `/system/df`
struct SystemRoutes: Sendable {
  let nouns: EngineNouns

  func add(to router: inout Router) {
    let headers: HTTPHeaders = [
      // The classic builder's number: there is no BuildKit to talk to yet.
      "Builder-Version": "1", "Cache-Control": "no-cache, no-store, must-revalidate", "Pragma": "no-cache",
      "Swarm": "inactive", "Content-Type": "text/plain; charset=utf-8",
    ]
    router.add(.GET, "/_ping") { _ in .whole(.ok, headers, Array("OK".utf8)) }
    router.add(.HEAD, "/_ping") { _ in .whole(.ok, headers, []) }
    router.add(.GET, "/version") { _ in .json(version()) }
    router.add(.GET, "/info") { .json(try info($0)) }
    router.add(.GET, "/events") { try events($0) }
    router.add(.GET, "/system/df") { try await diskUsage($0) }
    addOwn(to: &router)
  }

  private func version() -> JSON {
    let facts = nouns.facts
    let host = HostFacts.read()
    var json = JSONBuilder()
    json.set("Platform", ["Name": "Berth"])
    json.set(
      "Components",
      [
        [
          "Name": "Engine", "Version": JSON(facts.version),
          "Details": [
            "ApiVersion": JSON(EngineAPI.version), "Arch": JSON(host.architecture), "BuildTime": JSON(facts.buildTime),
            "Experimental": "false", "GitCommit": JSON(facts.gitCommit), "GoVersion": "",
            "KernelVersion": JSON(host.kernel),
            "MinAPIVersion": JSON(EngineAPI.minimumVersion), "Os": "linux",
          ],
        ]
      ])
    json.set("Version", facts.version)
    json.set("ApiVersion", EngineAPI.version)
    json.set("MinAPIVersion", EngineAPI.minimumVersion)
    json.set("GitCommit", facts.gitCommit)
    json.set("GoVersion", "")
    json.set("Os", "linux")
    json.set("Arch", host.architecture)
    json.set("KernelVersion", host.kernel)
    json.set("BuildTime", facts.buildTime)
    return json.json
  }

  // MARK: events

  private func events(_ request: Request) throws -> Response {
    let version = request.version
    let since = try request.timestamp("since")
    let until = try request.timestamp("until")
    if let since, let until, until < since {
      throw EngineError.invalidParameter(
        "`since` time (\(request.query["since"])) cannot be after `until` time (\(request.query["until"]))")
    }
    let filter = EventFilter(try request.filters())
    let type = version.eventsAreJSONLines ? "application/jsonl" : "application/json"
    let accepted = ["application/jsonl", "application/x-ndjson"].first { known in
      request.headers["Accept"].contains {
        $0.split(separator: ",").contains { $0.prefix { $0 != ";" }.filter { $0 != " " } == known }
      }
    }
    // Subscribed before the head goes out: whoever sees it misses nothing.
    let isPast = until.map { $0 < Clock.now() } ?? false
    let past = isPast ? nouns.events.history(since: since, until: until, filter: filter) : []
    let subscription = isPast ? nil : nouns.events.subscribe(since: since, until: until, filter: filter)
    return .stream(["Content-Type": accepted ?? type]) { stream in
      @Sendable func send(_ event: Event) async throws {
        if event.kind == .image, event.action == "create", !version.hasImageCreateEvents { return }
        try await stream.write(event.json(legacy: version.eventsHaveLegacyFields))
      }
      for event in past { try await send(event) }
      guard let subscription else { return }
      try await withThrowingTaskGroup(of: Void.self) { tasks in
        tasks.addTask { for await event in subscription { try await send(event) } }
        if let until {
          tasks.addTask { try await Task.sleep(for: .nanoseconds(max(0, until - Clock.now()))) }
        }
        try await tasks.next()
        tasks.cancelAll()
      }
    }
  }

  // MARK: disk usage

  private func diskUsage(_ request: Request) async throws -> Response {
    var wanted: Set<String> = ["container", "image", "volume", "build-cache"]
    let types = request.query.all("type")
    if request.version.diskUsageTakesType, !types.isEmpty {
      for type in types where !wanted.contains(type) {
        throw EngineError.invalidParameter("unknown object type: \(type)")
      }
      wanted = Set(types)
    }
    let verbose = request.version.diskUsageHasUsageObjects && request.query.bool("verbose")
    let usage = try await DiskUsage.read(nouns, version: request.version, wanted: wanted)
    return .json(usage.json(request.version, verbose: verbose))
  }
}
