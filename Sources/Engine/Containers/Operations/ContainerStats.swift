public import OCI

/// One sample of a container's counters, in the shape of `GET /containers/{id}/stats`: the members that depend on the cgroup version
/// are ready-made JSON.
public struct ContainerStats: Sendable {
  /// Nanoseconds since 1970; 0 when the container doesn't run, and then the members are empty.
  public var read: Int64
  public var processes: Int64
  /// `cpu_stats`, to be the next sample's `precpu_stats`.
  public var cpu: JSON
  public var memory: JSON
  public var blkio: JSON
  public var pids: JSON
  /// By interface; `nil` without a network of its own.
  public var networks: JSON?
}
