import Cgroups
import ContainerRuntime
import Kernel
import OCI

extension StateDirectory {
  /// `state.json`.
  struct Record {
    var id: String
    var ociVersion: String
    var bundle: String
    /// Absolute.
    var rootfs: String
    /// 0: not cloned yet.
    var pid: Int32 = 0
    /// Clock ticks after boot, field 22 of `/proc/PID/stat`: tells the process from a later one of its number.
    var startTime: UInt64 = 0
    var created: Timestamp
    var owner: UInt32
    /// `nil`: without one.
    var cgroupPath: String?
    var cgroupLayout: CgroupLayout?
    /// The scope that the cgroup is, with systemd's driver.
    var systemdUnit: String?
    var namespaces: [RuntimeSpec.NamespaceKind]
    var hasTerminal = false
    /// A file of a compiled filter.
    var seccompFilter: String?
    var seccompFlags: UInt32?
    var seccompListener: SeccompListener?
    var personality: String?
    var memoryPolicy: RuntimeSpec.MemoryPolicy?
    /// Groups of resctrl that the end of the container removes, and the one that its processes are in.
    var resctrl: [String] = []
    var resctrlGroup: String?
    var annotations: [String: String] = [:]
    /// There are hooks for after its start or its end, in config.json.
    var hasLateHooks = false

    /// What hooks are told.
    func state(_ status: RuntimeSpec.State.Status) -> RuntimeSpec.State {
      RuntimeSpec.State(
        ociVersion: ociVersion, id: id, status: status, pid: status == .stopped ? nil : pid, bundle: bundle,
        annotations: annotations)
    }

    var cgroup: Cgroup? {
      guard let cgroupPath, let cgroupLayout else { return nil }
      return try? Cgroup(path: cgroupPath, layout: cgroupLayout)
    }
  }
}

extension StateDirectory.Record {
  init(_ fields: JSONFields) throws(JSONError) {
    let createdText = try fields.required("created", try fields.string("created"))
    guard let created = Timestamp(createdText) else {
      throw JSONError(path: fields.path(of: "created"), "a time is expected")
    }
    self.init(
      id: try fields.required("id", try fields.string("id")),
      ociVersion: try fields.string("ociVersion") ?? OCI.runtimeVersion,
      bundle: try fields.required("bundle", try fields.string("bundle")),
      rootfs: try fields.string("rootfs") ?? "", pid: try fields.integer("pid") ?? 0,
      startTime: UInt64(clamping: try fields.int("startTime") ?? 0), created: created,
      owner: try fields.integer("owner") ?? 0, cgroupPath: try fields.string("cgroupPath"),
      cgroupLayout: try fields.object("cgroupLayout") { fields throws(JSONError) in try CgroupLayout(fields) },
      namespaces: (try fields.strings("namespaces") ?? []).compactMap { RuntimeSpec.NamespaceKind(rawValue: $0) },
      hasTerminal: try fields.bool("terminal") ?? false, seccompFilter: try fields.string("seccompFilter"),
      personality: try fields.string("personality"), annotations: try fields.map("annotations") ?? [:],
      hasLateHooks: try fields.bool("lateHooks") ?? false)
    memoryPolicy = try fields.object("memoryPolicy") { fields throws(JSONError) in
      try RuntimeSpec.MemoryPolicy(fields)
    }
    systemdUnit = try fields.string("systemdUnit")
    seccompFlags = try fields.integer("seccompFlags")
    if let path = try fields.string("listenerPath") {
      seccompListener = SeccompListener(path: path, metadata: try fields.string("listenerMetadata"))
    }
    resctrl = try fields.strings("resctrl") ?? []
    resctrlGroup = try fields.string("resctrlGroup")
  }

  var json: JSON {
    var builder = JSONBuilder()
    builder.set("id", id)
    builder.set("ociVersion", ociVersion)
    builder.set("bundle", bundle)
    builder.set("rootfs", rootfs)
    builder.set("pid", integer: pid)
    builder.set("startTime", integer: startTime)
    builder.set("created", created.text(fractionDigits: nil))
    builder.set("owner", integer: owner)
    builder.set("cgroupPath", cgroupPath)
    builder.set("cgroupLayout", cgroupLayout?.json)
    builder.set("namespaces", namespaces.map(\.rawValue))
    builder.set("terminal", hasTerminal)
    builder.set("seccompFilter", seccompFilter)
    builder.set("personality", personality)
    builder.set("systemdUnit", systemdUnit)
    builder.set("seccompFlags", integer: seccompFlags)
    builder.set("listenerPath", seccompListener?.path)
    builder.set("listenerMetadata", seccompListener?.metadata)
    builder.set("memoryPolicy", memoryPolicy?.json)
    builder.set("resctrl", resctrl.isEmpty ? nil : resctrl)
    builder.set("resctrlGroup", resctrlGroup)
    builder.set("lateHooks", hasLateHooks ? true : nil)
    builder.set("annotations", annotations.isEmpty ? nil : annotations)
    return builder.json
  }
}
