import CLinux
import Kernel
import OCI
import Testing

/// Mounts whose files show other owners than they have (mount_setattr(2), MOUNT_ATTR_IDMAP).
@Suite("id-mapped mounts", .serialized)
struct IDMappedTests {
  /// A folder of that owner with one file of its and one of nobody's that is mapped.
  private func folder(_ path: String, owner: UInt32) throws {
    try Sys.mkdirAll(path)
    for (name, id) in [("file", owner), ("other", 77)] {
      try Sys.replaceFile("\(path)/\(name)", with: [], durable: false)
      try Sys.chown("\(path)/\(name)", id, id)
    }
    try Sys.chown(path, owner, owner)
  }

  private func owner(_ path: String) throws -> [UInt32] {
    let status = try Sys.status(path)
    return [status.st_uid, status.st_gid]
  }

  private static let look = "stat -c '%u:%g' /data /data/file /data/other; touch /data/new; stat -c '%u:%g' /data/new"

  @Test("berth-runtime: a bind with mappings of its own, the container without a user namespace")
  func runtime() throws {
    let bundle = try Bundle()
    try folder(bundle.folder + "/source", owner: 1000)
    var spec = try bundle.specification(Self.look)
    spec.root?.readonly = false
    spec.mounts.append(
      RuntimeSpec.Mount(
        destination: "/data", type: "bind", source: bundle.folder + "/source", options: ["rbind"],
        uidMappings: [.init(containerID: 1000, hostID: 0, size: 1)],
        gidMappings: [.init(containerID: 1000, hostID: 0, size: 1)]))
    try bundle.write(spec)
    let result = try bundle.berth.run(["run", "-b", bundle.path, "idmap-\(getpid())"])
    #expect(result.lines == ["0:0", "0:0", "65534:65534", "0:0"], "\(result)")
    #expect(try owner(bundle.folder + "/source/new") == [1000, 1000])
  }

  @Test("berth-runtime: idmap and ridmap without mappings mean the container's user namespace")
  func userNamespace() throws {
    let bundle = try Bundle()
    try folder(bundle.folder + "/source", owner: 0)
    var spec = try bundle.specification(Self.look + "; stat -c %u /data/below")
    spec.root?.readonly = false
    spec.linux.namespaces.append(RuntimeSpec.Namespace(.user))
    spec.linux.uidMappings = [.init(containerID: 0, hostID: 200_000, size: 70)]
    spec.linux.gidMappings = [.init(containerID: 0, hostID: 200_000, size: 70)]
    try Sys.chown(bundle.path + "/rootfs", 200_000, 200_000)
    try Sys.mkdir(bundle.folder + "/source/below")
    for (option, below) in [("idmap", "65534"), ("ridmap", "0")] {
      var spec = spec
      spec.mounts.append(
        RuntimeSpec.Mount(
          destination: "/data", type: "bind", source: bundle.folder + "/source", options: ["rbind", option]))
      try bundle.write(spec)
      let script = """
        mount --make-rprivate / && mount -t tmpfs below \(bundle.folder)/source/below &&
        exec \(bundle.program) --root \(bundle.folder)/berth run -b \(bundle.path) idmap-\(option)-\(getpid())
        """
      let result = try Command(path: "/usr/bin/unshare").run(["-m", "sh", "-c", script])
      #expect(result.lines == ["0:0", "0:0", "65534:65534", "0:0", below], "\(option): \(result)")
      #expect(try owner(bundle.folder + "/source/new") == [0, 0])
      try Sys.unlink(bundle.folder + "/source/new")
    }
  }

  @Test("berth-runtime: what can't be mapped is refused, and features says what can")
  func refusals() throws {
    let bundle = try Bundle()
    func refused(_ mount: RuntimeSpec.Mount, _ text: String) throws {
      var spec = try bundle.specification("true")
      spec.mounts.append(mount)
      try bundle.write(spec)
      let result = try bundle.berth.run(["run", "-b", bundle.path, "idmap-refused-\(getpid())"])
      #expect(result.status == 1 && result.err.contains(text), "\(result)")
    }
    let mapping = [RuntimeSpec.IDMapping(containerID: 0, hostID: 1000, size: 1)]
    try refused(
      .init(destination: "/data", type: "bind", source: bundle.folder, options: ["bind", "idmap"]),
      "neither the mount nor the container has a mapping")
    try refused(
      .init(
        destination: "/data", type: "tmpfs", source: "tmpfs", options: [], uidMappings: mapping, gidMappings: mapping),
      "only binds can be id-mapped")
    try refused(
      .init(destination: "/data", type: "bind", source: bundle.folder, options: ["bind"], uidMappings: mapping),
      "uidMappings and gidMappings")
    try refused(
      .init(
        destination: "/data", type: "bind", source: "/proc", options: ["bind"], uidMappings: mapping,
        gidMappings: mapping), "can't map the ids of that file system")
    let features = try JSON.parse(try bundle.berth.run(["features"]).out)
    #expect(features["linux"]?["mountExtensions"]?["idmap"]?["enabled"] == true)
    let options = features["mountOptions"]?.arrayValue?.compactMap(\.stringValue) ?? []
    #expect(options.contains("idmap") && options.contains("ridmap"))
  }

  @Test("--mount …,idmap=uids=FILE-SEEN-SIZE of a bind and of a volume")
  func engine() throws {
    try Daemon.with { daemon in
      let source = "\(daemon.folder)/shared"
      try folder(source, owner: 1000)
      let bind = try daemon.ok(
        "run", "--rm", "--mount", "type=bind,src=\(source),dst=/data,idmap=uids=1000-0-1;gids=1000-0-1", "busybox",
        "sh",
        "-c", Self.look)
      #expect(bind.lines == ["0:0", "0:0", "65534:65534", "0:0"], "\(bind)")
      #expect(try owner(source + "/new") == [1000, 1000])
      // Two ranges; the groups are as the users when they aren't said; read-only.
      let ranges = try daemon.berth.run([
        "run", "--rm", "-u", "5", "--mount", "type=bind,src=\(source),dst=/data,ro,idmap=uids=1000-5-1#77-6-1",
        "busybox",
        "sh", "-c", "stat -c '%u:%g' /data/file /data/other; touch /data/again 2>&1",
      ])
      #expect(ranges.lines == ["5:5", "6:6", "touch: /data/again: Read-only file system"], "\(ranges)")
      // A volume's files keep root's name on the disk while the container's user 1000 owns them.
      let volume = try daemon.ok(
        "run", "--rm", "-u", "1000:1000", "--mount", "type=volume,src=vol,dst=/data,idmap=uids=0-1000-1", "busybox",
        "sh",
        "-c", "echo mine >/data/mine; stat -c '%u:%g' /data/mine")
      #expect(volume.line == "1000:1000")
      #expect(
        try daemon.ok("run", "--rm", "-v", "vol:/data", "busybox", "stat", "-c", "%u:%g", "/data/mine").line == "0:0")
      // What inspect shows is what was asked.
      try daemon.ok(
        "create", "--name", "shown", "--mount", "type=bind,src=\(source),dst=/data,idmap=uids=1000-0-1", "busybox")
      let mapping = try daemon.inspect("shown")["HostConfig"]?["Mounts"]?[0]?["BindOptions"]?["IDMapping"]
      #expect(mapping?["UIDMappings"]?[0] == ["ContainerID": 0, "HostID": 1000, "Size": 1])
      for (option, text) in [
        ("idmap", "neither the mount nor the container has a mapping"), ("idmap=uids=0-0-2#1-5-1", "overlaps"),
        ("idmap=uids=0-0-0", "isn't a range of ids"), ("idmap=uids=4294967290-0-20", "isn't a range of ids"),
      ] {
        let result = try daemon.berth.run([
          "run", "--rm", "--mount", "type=bind,src=\(source),dst=/data,\(option)", "busybox", "true",
        ])
        #expect(result.status == 125 && result.err.contains(text), "\(option): \(result)")
      }
    }
  }
}
