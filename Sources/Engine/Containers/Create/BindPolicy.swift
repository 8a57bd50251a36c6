import CLinux
public import Errdefs
import Kernel

/// What of the host containers may bind: `bind-mount-policy` of the configuration file. For hosts that several people share, where
/// whoever reaches the engine's socket shouldn't reach every file. (It doesn't hold back a privileged container.)
///
/// Paths are compared after all links in them are resolved, the rules' as well as the mounts'.
public struct BindPolicy: Sendable, Equatable {
  /// `allowed-roots`: binds come from below these alone; nil: from anywhere.
  public var allowedRoots: [String]?
  /// `denied-paths`: neither these, nor what is below, nor a directory that holds one.
  public var deniedPaths: [String]
  /// `read-only-roots`: what is below is bound read-only or not at all.
  public var readOnlyRoots: [String]

  public init(allowedRoots: [String]? = nil, deniedPaths: [String] = [], readOnlyRoots: [String] = []) {
    self.allowedRoots = allowedRoots
    self.deniedPaths = deniedPaths
    self.readOnlyRoots = readOnlyRoots
  }

  /// `path`: absolute and without links. Throws which rule forbids it, and what to do instead.
  public func check(_ path: String, isWritable: Bool) throws(EngineError) {
    for rule in deniedPaths {
      let denied = Self.resolved(rule)
      if Path.isInside(path, denied) || Path.isInside(denied, path) {
        throw refuse(path, "denied-paths", "has \"\(rule)\"")
      }
    }
    if let allowedRoots, !allowedRoots.contains(where: { Path.isInside(path, Self.resolved($0)) }) {
      let list = allowedRoots.map { "\"\($0)\"" }.joined(separator: ", ")
      throw refuse(path, "allowed-roots", allowedRoots.isEmpty ? "is empty" : "has \(list) only")
    }
    guard isWritable else { return }
    for rule in readOnlyRoots {
      let root = Self.resolved(rule)
      if Path.isInside(path, root) || Path.isInside(root, path) {
        throw refuse(path, "read-only-roots", "has \"\(rule)\": mount it read-only (:ro)", "or ")
      }
    }
  }

  /// The same for a path as somebody wrote it.
  public func check(path: String, isWritable: Bool) throws(EngineError) {
    try check(Self.resolved(path), isWritable: isWritable)
  }

  private func refuse(_ path: String, _ rule: String, _ reason: String, _ or: String = "") -> EngineError {
    EngineError(
      .forbidden,
      "bind mount of \"\(path)\" is forbidden: \(rule) of the daemon's bind-mount-policy \(reason); "
        + "\(or)use a volume: -v NAME:/path")
  }

  /// The path with its links resolved as far as it exists.
  static func resolved(_ path: String) -> String {
    var existing = Path.clean(path)
    var missing: [Substring] = []
    while existing != "/" {
      if let file = try? Sys.open(existing, O_PATH), let real = try? Sys.readlink("/proc/self/fd/\(file.raw)"),
        real.hasPrefix("/")
      {
        return Path.clean(([real] + missing.reversed().map(String.init)).joined(separator: "/"))
      }
      let slash = existing.lastIndex(of: "/") ?? existing.startIndex
      missing.append(existing[existing.index(after: slash)...])
      existing = slash == existing.startIndex ? "/" : String(existing[..<slash])
    }
    return Path.clean("/" + missing.reversed().joined(separator: "/"))
  }

  /// What a writable bind of that path puts into the container's hands, for a warning; nil: nothing of note. `engine`: the engine's own
  /// paths and what they are.
  static func danger(_ path: String, engine: [(path: String, what: String)]) -> String? {
    if path == "/" { return "the whole host" }
    if Path.isInside("/etc", path) || path == "/etc" { return "the host's configuration" }
    for (own, what) in engine {
      let own = resolved(own)
      if Path.isInside(path, own) || Path.isInside(own, path) { return what }
    }
    return nil
  }
}

extension Containers {
  /// Checks the binds of a plan against the policy. Answers warnings for those that give the container the host or the engine.
  func checkBinds(_ plan: MountPlan) throws -> [String] {
    var warnings: [String] = []
    let engine =
      configuration.sockets.map { ($0, "the engine's socket, which makes it root on the host") } + [
        (configuration.dataRoot, "the engine's own data"), (configuration.execRoot, "the engine's own data"),
      ]
    for item in plan.items where item.point.type == "bind" {
      let path = BindPolicy.resolved(item.point.source)
      try configuration.bindPolicy.check(path, isWritable: item.point.rw)
      guard item.point.rw, let what = BindPolicy.danger(path, engine: engine) else { continue }
      warnings.append(
        "\(item.point.source) is mounted writable at \(item.point.destination): the container can change \(what). "
          + "Mount it read-only (:ro), or use a volume")
    }
    return warnings
  }
}
