import Errdefs
import Synchronization

extension Volumes {
  /// By name. Filters: `dangling`, `driver`, `label`, `name`. Takes no volume's queue. Throws `invalid filter 'x'`.
  public func list(_ filters: [String: [String]] = [:]) throws -> [Volume] {
    for name in filters.keys.sorted() where !["dangling", "driver", "label", "name"].contains(name) {
      throw EngineError.invalidParameter("invalid filter '\(name)'")
    }
    let dangling = try Self.flag(filters, "dangling")
    let entries = table.withLock { Array($0.byID.values) }
    return entries.filter { entry in
      if let dangling, dangling != entry.users.isEmpty { return false }
      if let drivers = filters["driver"], !drivers.isEmpty, !drivers.contains("local") { return false }
      if let names = filters["name"], !names.isEmpty,
        !names.contains(where: { VolumeFilter.matches($0, entry.volume.name) })
      {
        return false
      }
      return VolumeFilter.matches(filters, entry.volume.labels)
    }.map(\.volume).sorted { $0.name < $1.name }
  }

  /// How many containers hold it.
  public func references(_ id: String) -> Int { table.withLock { $0.byID[id]?.users.count ?? 0 } }

  /// Ids of the containers that hold it.
  public func users(_ reference: String) throws -> [String] { try find(reference).users.sorted() }
}

enum VolumeFilter {
  /// `label` (all must hold) and `label!` (none may).
  static func matches(_ filters: [String: [String]], _ labels: [String: String]) -> Bool {
    (filters["label"] ?? []).allSatisfy { holds($0, labels) }
      && !(filters["label!"] ?? []).contains { holds($0, labels) }
  }

  private static func holds(_ filter: String, _ labels: [String: String]) -> Bool {
    guard let equals = filter.firstIndex(of: "=") else { return labels[filter] != nil }
    return labels[String(filter[..<equals])] == String(filter[filter.index(after: equals)...])
  }

  /// A regular expression found anywhere, or the text itself (api/types/filters `Match`).
  static func matches(_ pattern: String, _ name: String) -> Bool {
    if name.contains(pattern) { return true }
    guard let expression = try? Regex(pattern) else { return false }
    return name.firstMatch(of: expression) != nil
  }
}
