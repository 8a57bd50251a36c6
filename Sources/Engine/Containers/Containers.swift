import Errdefs
public import OCI

/// Containers: from a request to a process and back to nothing, with every state, log line and exit code on the way.
///
/// Owns: the containers' records, their life cycle, execs, logs, restart policies, health checks, and the shims. What a container
/// is made of comes from others: images and snapshots give the root, `ContainerNetworking` the network, `Cgroups` and `Seccomp` the
/// confinement, the shim the process.
public final class Containers: Sendable {
  public init() {}

  // MARK: Looking

  /// The container of an id, an unambiguous prefix of one, or a name, with or without its leading slash.
  /// Throws `No such container: x`.
  public func inspect(_ reference: String) throws -> ContainerSnapshot { throw notBuilt() }
  /// Newest first. Throws for a filter that isn't one: `invalid filter 'x'`.
  public func list(_ options: ListOptions = ListOptions()) throws -> [ContainerSnapshot] { throw notBuilt() }
  /// Bytes that the container wrote, and those with its image.
  public func size(_ reference: String) async throws -> (written: Int64, total: Int64) { throw notBuilt() }
  /// `arguments`: ps's own, `-ef` by default.
  public func top(_ reference: String, arguments: String = "") async throws -> ProcessList { throw notBuilt() }
  public func stats(_ reference: String) async throws -> ContainerStats { throw notBuilt() }
  public func logs(_ reference: String, _ options: LogOptions) async throws -> LogStream { throw notBuilt() }

  // MARK: Life

  /// `name` is empty for a generated one.
  public func create(
    name: String, config: ContainerConfig, hostConfig: HostConfig, networking: NetworkingConfig = NetworkingConfig(),
    platform: String = ""
  ) async throws -> CreatedContainer { throw notBuilt() }
  /// Throws `.notModified` when it runs already.
  public func start(_ reference: String, detachKeys: String = "") async throws { throw notBuilt() }
  /// `timeout` in seconds, -1 for ever, `nil` the container's own. Throws `.notModified` when it doesn't run.
  public func stop(_ reference: String, signal: String? = nil, timeout: Int? = nil) async throws { throw notBuilt() }
  public func restart(_ reference: String, signal: String? = nil, timeout: Int? = nil) async throws { throw notBuilt() }
  /// `signal`: `SIGKILL`, `KILL`, `9`; empty is SIGKILL.
  public func kill(_ reference: String, signal: String = "") async throws { throw notBuilt() }
  public func pause(_ reference: String) async throws { throw notBuilt() }
  public func unpause(_ reference: String) async throws { throw notBuilt() }
  public func rename(_ reference: String, to name: String) async throws { throw notBuilt() }
  /// `width` and `height` in characters.
  public func resize(_ reference: String, width: UInt16, height: UInt16) async throws { throw notBuilt() }
  /// Registers at once; throws at once when there is no such container.
  public func wait(_ reference: String, _ condition: WaitCondition) throws -> ContainerWait { throw notBuilt() }
  public func attach(_ reference: String, _ request: AttachRequest) async throws { throw notBuilt() }
  public func remove(_ reference: String, force: Bool = false, volumes: Bool = false, link: Bool = false) async throws {
    throw notBuilt()
  }
  public func prune(_ filters: Filters = [:]) async throws -> ContainerPruneReport { throw notBuilt() }
  /// The body of `POST /containers/{id}/update`: `HostResources`' members and `RestartPolicy`. Answers warnings.
  public func update(_ reference: String, _ body: JSONFields) async throws -> [String] { throw notBuilt() }

  // MARK: Execs

  /// Answers the exec's id.
  public func createExec(_ reference: String, _ config: ExecConfig) async throws -> String { throw notBuilt() }
  /// `attach` is `nil` for a detached one. Returns once the process runs (detached) or its streams are handed over; a failure after
  /// the hand-over is told to the client on its stream, as Docker does.
  public func startExec(_ id: String, consoleSize: ConsoleSize? = nil, attach: AttachRequest?) async throws {
    throw notBuilt()
  }
  /// Throws `No such exec instance: x`.
  public func inspectExec(_ id: String) throws -> ExecSnapshot { throw notBuilt() }
  public func resizeExec(_ id: String, width: UInt16, height: UInt16) async throws { throw notBuilt() }
}

private func notBuilt() -> EngineError { .notImplemented("containers are not built yet") }
