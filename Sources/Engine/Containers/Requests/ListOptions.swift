/// Filters of a list as the API's `filters` parameter has them, decoded: a name and its values, all of which are alternatives
/// (`label`: all must hold).
public typealias Filters = [String: [String]]

/// Which containers a list holds.
public struct ListOptions: Sendable {
  /// Also those that don't run. A `status` or `exited` filter implies it.
  public var all: Bool
  /// The newest so many, those that don't run included; 0 and less: no limit.
  public var limit: Int
  public var filters: Filters
  public init(all: Bool = false, limit: Int = 0, filters: Filters = [:]) {
    self.all = all
    self.limit = limit
    self.filters = filters
  }
}

/// The processes of a container: `GET /containers/{id}/top`.
public struct ProcessList: Sendable, Equatable {
  public var titles: [String]
  public var processes: [[String]]
  public init(titles: [String], processes: [[String]]) {
    self.titles = titles
    self.processes = processes
  }
}

/// What `POST /containers/prune` took away.
public struct ContainerPruneReport: Sendable, Equatable {
  public var deleted: [String]
  /// Bytes.
  public var spaceReclaimed: Int64
  public init(deleted: [String], spaceReclaimed: Int64) {
    self.deleted = deleted
    self.spaceReclaimed = spaceReclaimed
  }
}

/// The answer of `POST /containers/create`.
public struct CreatedContainer: Sendable, Equatable {
  public var id: String
  public var warnings: [String]
  public init(id: String, warnings: [String]) {
    self.id = id
    self.warnings = warnings
  }
}
