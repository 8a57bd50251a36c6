import Errdefs
import OCI

extension Containers {
  /// Newest first; those that run unless options say otherwise. Takes no container's queue. Throws for a filter that isn't one:
  /// `invalid filter 'x'`.
  public func list(_ options: ListOptions = ListOptions()) throws -> [ContainerSnapshot] {
    let filter = try ListFilter(options, self)
    let snapshots = all().map { present($0.snapshot) }.sorted { ($0.created, $0.id) > ($1.created, $1.id) }
    var result: [ContainerSnapshot] = []
    var seenBefore = filter.before == nil
    for snapshot in snapshots {
      if !seenBefore {
        if snapshot.id == filter.before { seenBefore = true }
        continue
      }
      if let since = filter.since, snapshot.id == since { break }
      if options.limit > 0, result.count >= options.limit { break }
      if filter.includes(snapshot) { result.append(snapshot) }
    }
    return result
  }
}

/// The filters of `GET /containers/json` (daemon/list.go).
struct ListFilter {
  static let names: Set<String> = [
    "ancestor", "before", "exited", "id", "isolation", "label", "name", "status", "health", "since", "volume",
    "network", "is-task",
    "publish", "expose",
  ]

  let filters: Filters
  let all: Bool
  let limited: Bool
  let before: String?
  let since: String?
  private let exitCodes: Set<Int32>
  private let ancestors: [ContainerImage]?
  private let names: [NamePattern]
  private let published: Set<String>
  private let exposed: Set<String>

  init(_ options: ListOptions, _ containers: Containers) throws {
    filters = options.filters.filter { !$0.value.isEmpty }
    for name in filters.keys.sorted() where !Self.names.contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    limited = options.limit > 0
    exitCodes = try Set(
      (filters["exited"] ?? []).map { text in
        guard let code = Int32(text) else {
          throw EngineError.invalidParameter(
            "invalid filter 'exited=\(text)': strconv.Atoi: parsing \"\(text)\": invalid syntax")
        }
        return code
      })
    for status in filters["status"] ?? [] where ContainerState.Status(rawValue: status) == nil {
      throw EngineError.invalidParameter("invalid filter 'status=\(status)'")
    }
    all = options.all || filters["status"] != nil
    for health in filters["health"] ?? [] where !["none", "starting", "healthy", "unhealthy"].contains(health) {
      throw EngineError.invalidParameter("unrecognized filter value for health: \(health)")
    }
    before = try filters["before"]?.first.map { try containers.find($0).id }
    since = try filters["since"]?.first.map { try containers.find($0).id }
    // An ancestor that doesn't exist has no descendants.
    ancestors = filters["ancestor"].map { $0.compactMap { try? containers.images.image($0) } }
    names = (filters["name"] ?? []).map(NamePattern.init)
    published = try Self.ports("publish", filters)
    exposed = try Self.ports("expose", filters)
  }

  private static func ports(_ key: String, _ filters: Filters) throws -> Set<String> {
    var result: Set<String> = []
    for value in filters[key] ?? [] {
      guard !value.contains(":") else {
        throw EngineError.invalidParameter("filter for '\(key)' should not contain ':': \(value)")
      }
      let parts = value.split(separator: "/", maxSplits: 1).map(String.init)
      guard let number = parts.first, let range = NumberList.range(number) else {
        throw EngineError.invalidParameter(
          "error while looking up for \(key) \(value): Invalid containerPort: \(value)")
      }
      for port in range { result.insert("\(port)/\(parts.count > 1 ? parts[1].lowercased() : "tcp")") }
    }
    return result
  }

  func includes(_ snapshot: ContainerSnapshot) -> Bool {
    let state = snapshot.state
    guard state.running || all || limited || !exitCodes.isEmpty else { return false }
    if !names.isEmpty, !names.contains(where: { $0.matches(snapshot.name) }) { return false }
    if let ids = filters["id"], !ids.contains(where: { snapshot.id.hasPrefix($0) }) { return false }
    if filters["is-task"]?.contains("true") == true { return false }
    guard LabelFilter.matches(filters, snapshot.config.labels) else { return false }
    if !exitCodes.isEmpty, state.running || !exitCodes.contains(state.exitCode) || state.startedAt == 0 { return false }
    if let states = filters["status"], !states.contains(state.status.rawValue) { return false }
    if let health = filters["health"], !health.contains(state.health?.status ?? "none") { return false }
    if let ancestors, !ancestors.contains(where: { Self.descends(snapshot, from: $0) }) { return false }
    if let volumes = filters["volume"] {
      let held = snapshot.mounts.flatMap { [$0.name, $0.destination, $0.source] }.filter { !$0.isEmpty }
      guard volumes.contains(where: held.contains) else { return false }
    }
    if let networks = filters["network"] {
      let mode = snapshot.hostConfig.networkMode == "default" ? "bridge" : snapshot.hostConfig.networkMode
      let names = snapshot.endpoints.flatMap { [$0.network, $0.networkID] } + [mode]
      guard
        networks.contains(where: { wanted in
          names.contains { $0 == wanted || (wanted.count >= 12 && $0.hasPrefix(wanted)) }
        })
      else { return false }
    }
    if !published.isEmpty {
      let ports = snapshot.ports.ports.filter { !($0.bindings ?? []).isEmpty }
      let known = ports.map(\.port) + (snapshot.hostConfig.portBindings?.ports.map(\.port) ?? [])
      guard known.contains(where: published.contains) else { return false }
    }
    if !exposed.isEmpty, !snapshot.config.exposedPorts.contains(where: exposed.contains) { return false }
    return true
  }

  private static func descends(_ snapshot: ContainerSnapshot, from image: ContainerImage) -> Bool {
    if snapshot.imageID == image.id { return true }
    let layers = image.layers.map(\.description)
    return !layers.isEmpty && layers.count < snapshot.layers.count && snapshot.layers.starts(with: layers)
  }
}

/// A name filter: a regular expression, found anywhere, with or without the slash.
struct NamePattern {
  private let text: String
  private let expression: Regex<AnyRegexOutput>?

  init(_ text: String) {
    self.text = text
    // A plain word needs no expression: a part of the name.
    let plain = text.utf8.allSatisfy { byte in
      (0x30...0x39).contains(byte) || (0x41...0x5a).contains(byte) || (0x61...0x7a).contains(byte) || byte == 0x5f
        || byte == 0x2d
    }
    expression = plain ? nil : try? Regex(text)
  }

  func matches(_ name: String) -> Bool {
    let slashed = "/" + name
    if text == name || text == slashed { return true }
    guard let expression else { return name.contains(text) }
    return name.firstMatch(of: expression) != nil || slashed.firstMatch(of: expression) != nil
  }
}

/// `label` (all must hold) and `label!` (none may).
enum LabelFilter {
  static func matches(_ filters: Filters, _ labels: [String: String]) -> Bool {
    (filters["label"] ?? []).allSatisfy { holds($0, labels) }
      && !(filters["label!"] ?? []).contains { holds($0, labels) }
  }

  private static func holds(_ filter: String, _ labels: [String: String]) -> Bool {
    guard let equals = filter.firstIndex(of: "=") else { return labels[filter] != nil }
    return labels[String(filter[..<equals])] == String(filter[filter.index(after: equals)...])
  }
}

extension NumberList {
  /// `80`, `80-90`.
  static func range(_ text: String) -> ClosedRange<UInt16>? {
    let ends = text.split(separator: "-", omittingEmptySubsequences: false).map { UInt16($0) }
    guard (1...2).contains(ends.count), let first = ends[0], let last = ends[ends.count - 1], first <= last else {
      return nil
    }
    return first...last
  }
}
