extension RuntimeSpec {
  /// The state of a container (runtime.md, "State"): what `state` answers and what hooks read.
  public struct State: Sendable, Equatable {
    public enum Status: String, Sendable { case creating, created, running, stopped }

    public var ociVersion: String
    public var id: String
    public var status: Status
    /// As the reader sees it; `nil` once the process has ended.
    public var pid: Int32?
    public var bundle: String
    public var annotations: [String: String]

    public init(
      ociVersion: String = OCI.runtimeVersion, id: String, status: Status, pid: Int32? = nil, bundle: String,
      annotations: [String: String] = [:]
    ) {
      self.ociVersion = ociVersion
      self.id = id
      self.status = status
      self.pid = pid
      self.bundle = bundle
      self.annotations = annotations
    }

    public var json: JSON {
      var builder = JSONBuilder()
      builder.set("ociVersion", ociVersion)
      builder.set("id", id)
      builder.set("status", status.rawValue)
      builder.set("pid", integer: pid)
      builder.set("bundle", bundle)
      if !annotations.isEmpty { builder.set("annotations", annotations) }
      return builder.json
    }
  }
}
