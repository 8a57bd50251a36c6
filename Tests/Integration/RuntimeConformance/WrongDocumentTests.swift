import Kernel
import OCI
import Testing

/// Configurations that say what can't be: each is refused by the path of the field, before anything is made.
@Suite("wrong configurations", .serialized)
struct WrongDocumentTests {
  /// A place in config.json (`process.rlimits[0].soft`), what is put there (JSON), and the path that the error names when it is another.
  struct Document: Sendable {
    let place: String
    let value: String
    let names: String

    init(_ place: String, _ value: String, names: String? = nil) {
      self.place = place
      self.value = value
      self.names = names ?? place
    }
  }

  static let documents: [Document] = types + process + mounts + linux + resources + seccomp

  /// A wrong type is named by its own path.
  private static let types: [Document] = [
    .init("ociVersion", "7"), .init("ociVersion", #""2.0.0""#), .init("process", "[]"), .init("process", "null"),
    .init("root", #""rootfs""#), .init("root.path", "7"), .init("root.path", #""""#), .init("root.readonly", #""yes""#),
    .init("hostname", "[1]"), .init("mounts", "{}"), .init("mounts[0]", #""proc""#),
    .init("mounts[1].options", #""ro""#),
    .init("mounts[1].options", "[1]"), .init("hooks", "[]"), .init("hooks.poststop", "{}"), .init("annotations", "[]"),
    .init("annotations", #"{"a":1}"#), .init("linux", "7"), .init("linux.namespaces", "{}"),
    .init("linux.resources.memory.limit", #""64m""#), .init("linux.resources.memory.limit", "1.5"),
    .init("linux.seccomp", "[]"), .init("linux.sysctl", #"{"a":1}"#), .init("linux.uidMappings", #""0""#),
  ]

  private static let process: [Document] = [
    .init("process.args", "[]"), .init("process.args", #""sh""#), .init("process.args", "[1]"),
    .init("process.args[0]", #""a\u0000b""#), .init("process.env[0]", #""A=\u0000""#), .init("process.cwd", #""tmp""#),
    .init("process.cwd", #""/\u0000""#), .init("process.user.uid", "-1"), .init("process.user.gid", "4294967296"),
    .init("process.user.umask", "1024"),
    .init("process.user.additionalGids", #"["wheel"]"#, names: "process.user.additionalGids[0]"),
    .init("process.consoleSize", #"{"width":70000,"height":1}"#, names: "process.consoleSize.width"),
    .init("process.rlimits", #"[{"type":"RLIMIT_NOFILE","soft":2,"hard":1}]"#, names: "process.rlimits[0]"),
    .init("process.rlimits", #"[{"soft":1,"hard":1}]"#, names: "process.rlimits[0].type"),
    .init("process.rlimits", #"[{"type":"RLIMIT_X","soft":1,"hard":1}]"#, names: "process.rlimits[0].type"),
    .init("process.rlimits", #"[{"type":"RLIMIT_CORE","soft":-1,"hard":1}]"#, names: "process.rlimits[0].soft"),
    .init("process.capabilities.bounding", #""all""#), .init("process.capabilities.ambient", "[1]"),
    .init("process.oomScoreAdj", "1001"), .init("process.oomScoreAdj", #""low""#),
    .init("process.scheduler", #"{"policy":"SCHED_FISH"}"#, names: "process.scheduler.policy"),
    .init("process.scheduler", #"{"policy":"SCHED_OTHER","nice":20}"#, names: "process.scheduler.nice"),
    .init("process.scheduler", #"{"policy":"SCHED_FIFO","priority":0}"#, names: "process.scheduler.priority"),
    .init("process.scheduler", #"{"policy":"SCHED_OTHER","flags":["X"]}"#, names: "process.scheduler.flags[0]"),
    .init("process.ioPriority", #"{"class":"IOPRIO_CLASS_X"}"#, names: "process.ioPriority.class"),
    .init("process.ioPriority", #"{"class":"IOPRIO_CLASS_BE","priority":8}"#, names: "process.ioPriority.priority"),
    .init("process.execCPUAffinity", #"{"initial":"3-1"}"#, names: "process.execCPUAffinity.initial"),
    .init("process.terminal", "1"), .init("process.noNewPrivileges", #""true""#),
  ]

  private static let mounts: [Document] = [
    .init("mounts[0].destination", #""""#), .init("mounts[0].destination", "7"),
    .init("mounts[0]", "{}", names: "mounts[0].destination"),
    .init("mounts[0].destination", #""/a\u0000""#), .init("mounts[0].type", "null"),
    .init("mounts[0]", #"{"destination":"/data","type":"bind"}"#, names: "mounts[0].source"),
    .init("mounts[0]", #"{"destination":"/data","options":["rbind"]}"#, names: "mounts[0].source"),
    .init("mounts[0].options", #"["nosuid","idmap"]"#, names: "mounts[0].options[1]"),
    .init("mounts[0].uidMappings", #"[{"containerID":0,"hostID":0,"size":1}]"#, names: "mounts[0].gidMappings"),
    .init("mounts[0].gidMappings", #"[{"containerID":0,"hostID":0,"size":0}]"#, names: "mounts[0].gidMappings[0].size"),
    .init(
      "mounts[0].uidMappings", #"[{"containerID":4294967295,"hostID":0,"size":2}]"#,
      names: "mounts[0].uidMappings[0].containerID"),
    .init("mounts[0].options", #"["ro","a\u0000"]"#, names: "mounts[0].options[1]"),
    .init("hooks", #"{"prestart":[{"args":["a"]}]}"#, names: "hooks.prestart[0].path"),
    .init("hooks", #"{"createRuntime":[{"path":"bin/true"}]}"#, names: "hooks.createRuntime[0].path"),
    .init(
      "hooks", #"{"poststart":[{"path":"/bin/true"},{"path":"/bin/true","timeout":0}]}"#,
      names: "hooks.poststart[1].timeout"),
    .init("hooks", #"{"poststop":[{"path":"/bin/true","timeout":-5}]}"#, names: "hooks.poststop[0].timeout"),
    .init("annotations", #"{"":"a"}"#),
  ]

  private static let linux: [Document] = [
    .init("linux.namespaces[0].type", #""fish""#),
    .init("linux.namespaces", #"[{"type":"mount"},{"type":"mount"}]"#, names: "linux.namespaces[1]"),
    .init("linux.namespaces", #"[{"type":"pid"}]"#),
    .init("linux.namespaces[0].path", #""/no/such""#), .init("linux.namespaces[0].path", #""/dev/null""#),
    .init(
      "linux.namespaces", #"[{"type":"mount"},{"type":"uts"},{"type":"network","path":"/proc/self/ns/uts"}]"#,
      names: "linux.namespaces[2].path"),
    .init("linux.namespaces", #"[{"type":"mount"},{"type":"uts"},{"type":"user"}]"#, names: "linux.uidMappings"),
    .init("linux.uidMappings", #"[{"containerID":0,"hostID":0,"size":1}]"#),
    .init("linux.timeOffsets", #"{"monotonic":{"secs":1}}"#), .init("linux.timeOffsets", #"{"fish":{"secs":1}}"#),
    .init("linux.timeOffsets", #"{"boottime":{"nanosecs":1000000000}}"#, names: "linux.timeOffsets"),
    .init("linux.devices", #"[{"type":"x","path":"/dev/x"}]"#, names: "linux.devices[0].type"),
    .init("linux.devices", #"[{"type":"c","path":"dev/x"}]"#, names: "linux.devices[0].path"),
    .init("linux.devices", #"[{"type":"c","path":"/dev/x","major":-1}]"#, names: "linux.devices[0].major"),
    .init("linux.devices", #"[{"type":"b","path":"/dev/x","minor":1048576}]"#, names: "linux.devices[0].minor"),
    .init("linux.cgroupsPath", #""/../a""#), .init("linux.cgroupsPath", #""/""#),
    .init("linux.rootfsPropagation", #""up""#),
    .init("linux.sysctl", #"{"kernel.panic":"1"}"#), .init("linux.sysctl", #"{"":"1"}"#),
    .init("linux.sysctl", #"{"net/../kernel/panic":"1"}"#),
    .init("linux.maskedPaths", #"["/a","b\u0000"]"#, names: "linux.maskedPaths[1]"),
    .init("linux.personality", #"{"domain":"PLAN9"}"#, names: "linux.personality.domain"),
    .init("linux.personality", #"{"domain":"LINUX","flags":["X"]}"#, names: "linux.personality.flags"),
    .init("linux.personality", "{}", names: "linux.personality.domain"),
    .init("linux.memoryPolicy", #"{"mode":"MPOL_X"}"#, names: "linux.memoryPolicy.mode"),
    .init("linux.memoryPolicy", #"{"mode":"MPOL_BIND","nodes":"x"}"#, names: "linux.memoryPolicy.nodes"),
    .init(
      "linux.memoryPolicy", #"{"mode":"MPOL_BIND","nodes":"0","flags":["X"]}"#, names: "linux.memoryPolicy.flags[0]"),
    .init("linux.netDevices", #"{"a/b":{}}"#), .init("linux.netDevices", #"{"eth0":{"name":".."}}"#),
    .init("linux.netDevices", #"{"eth0":{"name":"a"},"eth1":{"name":"a"}}"#),
    .init("hostname", "\"" + String(repeating: "a", count: 65) + "\""),
  ]

  private static let resources: [Document] = [
    .init("linux.resources.devices", #"[{"allow":true,"type":"x"}]"#, names: "linux.resources.devices[0].type"),
    .init("linux.resources.devices", #"[{"allow":true,"access":"rwx"}]"#, names: "linux.resources.devices[0].access"),
    .init("linux.resources.cpu", #"{"cpus":"a"}"#, names: "linux.resources.cpu.cpus"),
    .init("linux.resources.cpu", #"{"mems":"3-1"}"#, names: "linux.resources.cpu.mems"),
    .init("linux.resources.cpu", #"{"idle":2}"#, names: "linux.resources.cpu.idle"),
    .init("linux.resources.cpu", #"{"shares":-1}"#, names: "linux.resources.cpu.shares"),
    .init("linux.resources.memory", #"{"limit":-2}"#, names: "linux.resources.memory.limit"),
    .init("linux.resources.memory", #"{"limit":2097152,"swap":1048576}"#, names: "linux.resources.memory.swap"),
    .init("linux.resources.memory", #"{"swappiness":101}"#, names: "linux.resources.memory.swappiness"),
    .init("linux.resources.pids", #"{"limit":"many"}"#, names: "linux.resources.pids.limit"),
    .init("linux.resources.blockIO", #"{"weight":5}"#, names: "linux.resources.blockIO.weight"),
    .init("linux.resources.blockIO", #"{"leafWeight":1001}"#, names: "linux.resources.blockIO.leafWeight"),
    .init(
      "linux.resources.blockIO", #"{"throttleReadBpsDevice":[{"rate":-1}]}"#,
      names: "linux.resources.blockIO.throttleReadBpsDevice[0].rate"),
    .init(
      "linux.resources.hugepageLimits", #"[{"pageSize":"big","limit":1}]"#,
      names: "linux.resources.hugepageLimits[0].pageSize"),
    .init("linux.resources.hugepageLimits", #"[{"limit":1}]"#, names: "linux.resources.hugepageLimits[0].pageSize"),
    .init("linux.resources.unified", #"{"../memory.max":"1"}"#),
    .init("linux.resources.network", #"{"classID":-1}"#, names: "linux.resources.network.classID"),
    .init(
      "linux.resources.network", #"{"priorities":[{"priority":1}]}"#,
      names: "linux.resources.network.priorities[0].name"),
    // What the kernel refuses.
    .init("linux.resources.cpu", #"{"quota":1}"#, names: "linux.resources.cpu.quota"),
    .init("linux.resources.cpu", #"{"cpus":"4000"}"#, names: "linux.resources.cpu.cpus"),
    .init("linux.resources.cpu", #"{"mems":"63"}"#, names: "linux.resources.cpu.mems"),
    .init(
      "linux.resources.blockIO", #"{"throttleReadBpsDevice":[{"major":999,"minor":0,"rate":1000000}]}"#,
      names: "linux.resources.blockIO"),
    .init(
      "linux.resources.hugepageLimits", #"[{"pageSize":"3MB","limit":3145728}]"#,
      names: "linux.resources.hugepageLimits"),
    .init("linux.resources.rdma", #"{"mlx5":7}"#, names: "linux.resources.rdma.mlx5"),
  ]

  private static let seccomp: [Document] = [
    .init("linux.seccomp", "{}", names: "linux.seccomp.defaultAction"),
    .init("linux.seccomp", #"{"defaultAction":"X"}"#, names: "linux.seccomp.defaultAction"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":65536}"#,
      names: "linux.seccomp.defaultErrnoRet"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","architectures":["VAX"]}"#,
      names: "linux.seccomp.architectures[0]"),
    .init("linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","flags":["X"]}"#, names: "linux.seccomp.flags[0]"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","flags":["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"]}"#,
      names: "linux.seccomp.flags"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":[""],"action":"SCMP_ACT_ERRNO"}]}"#,
      names: "linux.seccomp.syscalls[0].names[0]"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["kill"]}]}"#,
      names: "linux.seccomp.syscalls[0].action"),
    .init(
      "linux.seccomp",
      #"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["write"],"action":"SCMP_ACT_NOTIFY"}],"listenerPath":"/a"}"#,
      names: "linux.seccomp.syscalls[0].action"),
    .init(
      "linux.seccomp", #"{"defaultAction":"SCMP_ACT_ALLOW","listenerMetadata":"a"}"#,
      names: "linux.seccomp.listenerMetadata"),
  ]

  @Test("each is refused by the name of its field, and nothing is left")
  func refused() throws {
    let bundle = try Bundle()
    let spec = try bundle.specification("echo ran")
    let base = try JSON.parse(spec.encoded())
    #expect(Self.documents.count >= 100)
    for document in Self.documents {
      let value = try JSON.parse(Array(document.value.utf8))
      let changed = Self.put(value, into: base, at: Self.components(document.place)[...])
      try Sys.replaceFile(bundle.path + "/config.json", with: changed.encoded(), durable: false)
      let result = try bundle.berth.run(["run", "-b", bundle.path, "c"])
      let what: Comment = "\(document.place) = \(document.value): \(result)"
      #expect(result.status == 1, what)
      // `names: `, or what lies in it: `names.member: `, `names["x"]: `.
      #expect(
        result.err.contains(document.names + ": ") || result.err.contains(document.names + "[\"")
          || result.err.contains(document.names + "."), what)
      #expect(result.out.isEmpty, what)
    }
    #expect(
      try Sys.entries(of: bundle.folder).allSatisfy { $0.name != "berth" }
        || Sys.entries(of: bundle.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
  }

  private static func components(_ place: String) -> [String] {
    place.split(whereSeparator: { $0 == "." || $0 == "[" }).map {
      $0.hasSuffix("]") ? String($0.dropLast()) : String($0)
    }
  }

  /// Lists are of the document's own, and long enough.
  private static func put(_ value: JSON, into document: JSON, at path: ArraySlice<String>) -> JSON {
    guard let first = path.first else { return value }
    if case .array(var list) = document, let index = Int(first), list.indices.contains(index) {
      list[index] = put(value, into: list[index], at: path.dropFirst())
      return .array(list)
    }
    var changed = document
    changed[first] = put(value, into: document[first] ?? .object(JSONObject()), at: path.dropFirst())
    return changed
  }
}
