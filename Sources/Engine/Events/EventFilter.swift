/// Which events are wanted: the `filters` of `GET /events`, with Docker's rules of matching (daemon/events/filter.go).
///
/// Values of one name are alternatives, names are all asked for; of `label`, all must hold.
public struct EventFilter: Sendable {
  let filters: [String: [String]]

  public init(_ filters: [String: [String]] = [:]) { self.filters = filters.filter { !$0.value.isEmpty } }

  public func includes(_ event: Event) -> Bool {
    if filters.isEmpty { return true }
    return matchesAction(event) && exact("type", event.kind.rawValue) && exact("scope", "local") && matchesNames(event)
      && matchesImage(event) && matchesLabels(event.attributes)
  }

  private func matchesAction(_ event: Event) -> Bool {
    let families: Set<String> = ["health_status", "exec_create", "exec_start"]
    let values = filters["event"] ?? []
    return values.contains(where: families.contains) ? fuzzy("event", event.action) : exact("event", event.action)
  }

  private func matchesNames(_ event: Event) -> Bool {
    for kind in Event.Kind.allCases where kind != .image && filters[kind.rawValue] != nil {
      guard fuzzy(kind.rawValue, event.actorID) || fuzzy(kind.rawValue, event.attributes["name"] ?? "") else {
        return false
      }
    }
    return true
  }

  private func matchesImage(_ event: Event) -> Bool {
    guard filters["image"] != nil else { return true }
    let name = event.attributes[event.kind == .image ? "name" : "image"] ?? ""
    return exact("image", event.actorID) || exact("image", name) || exact("image", Self.withoutTag(event.actorID))
      || exact("image", Self.withoutTag(name))
  }

  private func matchesLabels(_ attributes: [String: String]) -> Bool {
    (filters["label"] ?? []).allSatisfy { label in
      guard let equals = label.firstIndex(of: "=") else { return attributes[label] != nil }
      return attributes[String(label[..<equals])] == String(label[label.index(after: equals)...])
    }
  }

  private func exact(_ name: String, _ text: String) -> Bool {
    guard let values = filters[name] else { return true }
    return values.contains(text)
  }

  /// Equal, or beginning with it.
  private func fuzzy(_ name: String, _ text: String) -> Bool {
    guard let values = filters[name] else { return true }
    return values.contains { text.hasPrefix($0) }
  }

  /// `docker.io/library/busybox:1` and `busybox@sha256:…` are `busybox`.
  private static func withoutTag(_ reference: String) -> String {
    var name = Substring(reference)
    if let at = name.firstIndex(of: "@") { name = name[..<at] }
    if let colon = name.lastIndex(of: ":"), !name[colon...].contains("/") { name = name[..<colon] }
    for prefix in ["docker.io/library/", "docker.io/"] where name.hasPrefix(prefix) {
      return String(name.dropFirst(prefix.count))
    }
    return String(name)
  }
}
