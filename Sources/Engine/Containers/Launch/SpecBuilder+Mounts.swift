import OCI

extension SpecBuilder {
  /// The defaults, less those that the user's mounts replace, then the user's in the order of their paths, then the generated files.
  func mounts() -> [RuntimeSpec.Mount] {
    let host = snapshot.hostConfig
    var own = snapshot.mounts.map { point in
      var mount = RuntimeSpec.Mount(
        destination: point.destination, type: Self.types[point.type] ?? "bind",
        source: Self.types[point.type] ?? point.source, options: point.options)
      // The files of a volume keep their ids on the disk whoever mounts it; what the host has is shown as it is, unless asked otherwise.
      if point.type == "volume", point.idMapping == nil, userNamespace != nil { mount.options.append("idmap") }
      if let mapping = point.idMapping {
        mount.options.append("idmap")
        mount.uidMappings = mapping.users.flatMap { Self.mapping($0, within: users) }
        mount.gidMappings = mapping.groups.flatMap { Self.mapping($0, within: groups) }
      }
      return mount
    }
    own += host.tmpfs.map { path, options in
      RuntimeSpec.Mount(
        destination: Path.clean(path), type: "tmpfs", source: "tmpfs", options: Self.tmpfsOptions(options))
    }
    let taken = Set(own.map(\.destination))
    for (destination, source) in files where !taken.contains(destination) {
      own.append(
        RuntimeSpec.Mount(
          destination: destination, type: "bind", source: source,
          options: ["rbind", "rprivate"] + (host.readonlyRootfs ? ["ro"] : [])))
    }
    own.sort {
      ($0.destination.split(separator: "/").count, $0.destination) < (
        $1.destination.split(separator: "/").count, $1.destination
      )
    }

    var result = Self.defaults.filter { mount in
      if taken.contains(mount.destination) { return false }
      if taken.contains("/dev"), mount.destination.hasPrefix("/dev/") { return false }
      return !(mount.destination == "/dev/shm" && host.ipcMode == "none")
    }
    for index in result.indices {
      switch result[index].destination {
      case "/dev/shm" where sharesMemory:
        result[index] = RuntimeSpec.Mount(
          destination: "/dev/shm", type: "bind", source: "/dev/shm",
          options: ["bind", "rprivate", "nosuid", "noexec", "nodev"])
      case "/dev/shm": result[index].options.append("size=\(host.shmSize)")
      case "/sys":
        if host.privileged { result[index].options.removeAll { $0 == "ro" } }
      case "/sys/fs/cgroup":
        if host.privileged || security.writableCgroups { result[index].options.removeAll { $0 == "ro" } }
      default: break
      }
    }
    return result + own
  }

  /// POSIX shared memory and semaphores live in `/dev/shm`: who shares an ipc namespace shares that too.
  private var sharesMemory: Bool {
    let mode = snapshot.hostConfig.ipcMode
    return mode == "host" || mode.hasPrefix("container:")
  }

  /// Those that aren't binds.
  private static let types = ["tmpfs": "tmpfs", "image": "overlay"]

  /// The kernel maps the files' ids to the host's: of what the container is to see, the ids that its user namespace stands for.
  private static func mapping(_ range: IDMapping.Range, within namespace: [RuntimeSpec.IDMapping])
    -> [RuntimeSpec.IDMapping]
  {
    guard !namespace.isEmpty else {
      return [RuntimeSpec.IDMapping(containerID: range.hostID, hostID: range.containerID, size: range.size)]
    }
    return namespace.compactMap { outer in
      let first = max(UInt64(range.containerID), UInt64(outer.containerID))
      let end = min(UInt64(range.containerID) + UInt64(range.size), UInt64(outer.containerID) + UInt64(outer.size))
      guard first < end else { return nil }
      return RuntimeSpec.IDMapping(
        containerID: UInt32(UInt64(range.hostID) + first - UInt64(range.containerID)),
        hostID: UInt32(UInt64(outer.hostID) + first - UInt64(outer.containerID)), size: UInt32(end - first))
    }
  }

  /// Docker's own, with what the user says in place of what it contradicts; the size is the user's word.
  private static func tmpfsOptions(_ text: String) -> [String] {
    var options = ["noexec", "nosuid", "nodev", "rprivate"]
    for word in text.split(separator: ",").map(String.init) {
      switch word {
      case "exec": options.removeAll { $0 == "noexec" }
      case "suid": options.removeAll { $0 == "nosuid" }
      case "dev": options.removeAll { $0 == "nodev" }
      case "rw": options.removeAll { $0 == "ro" }
      default: break
      }
      if !options.contains(word) { options.append(word) }
    }
    return options
  }

  private static let defaults: [RuntimeSpec.Mount] = [
    .init(destination: "/proc", type: "proc", source: "proc", options: ["nosuid", "noexec", "nodev"]),
    .init(
      destination: "/dev", type: "tmpfs", source: "tmpfs",
      options: ["nosuid", "strictatime", "mode=755", "size=65536k"]),
    .init(
      destination: "/dev/pts", type: "devpts", source: "devpts",
      options: ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"]),
    .init(destination: "/sys", type: "sysfs", source: "sysfs", options: ["nosuid", "noexec", "nodev", "ro"]),
    .init(
      destination: "/sys/fs/cgroup", type: "cgroup", source: "cgroup", options: ["ro", "nosuid", "noexec", "nodev"]),
    .init(destination: "/dev/mqueue", type: "mqueue", source: "mqueue", options: ["nosuid", "noexec", "nodev"]),
    .init(
      destination: "/dev/shm", type: "tmpfs", source: "shm", options: ["nosuid", "noexec", "nodev", "mode=1777"]),
  ]
}

extension Containers {
  /// What a container's mounts lie on, as `OverlaySnapshotter` takes it; those below `/dev` and `/sys` lie on other mounts.
  public static let mountPoints = ["/proc/", "/dev/", "/sys/", "/etc/hostname", "/etc/hosts", "/etc/resolv.conf"]
}
