import CLinux
import Kernel
import OCI
import Testing

/// The systemd cgroup driver against a stand-in for systemd's manager (Tests/Fixtures/systemd1.py), once behind a message bus, whose daemon
/// disconnects whoever sends what isn't D-Bus, and once on a socket of its own.
@Suite("systemd cgroup driver", .serialized)
struct SystemdDriverTests {
  /// The stand-in, with its bus; ended with the value.
  private final class Peer {
    let folder: String
    let isDirect: Bool
    private var running: [RunningCommand] = []
    var slice: String { "berthtest-\(getpid()).slice" }
    var slicePath: String { "/berthtest.slice/berthtest-\(getpid()).slice" }

    /// `nil`: what it needs isn't installed.
    init?(isDirect: Bool) throws {
      let python = "/usr/bin/python3"
      guard let daemon = ProcessEnvironment.find("dbus-daemon"), Sys.exists(python),
        try Command(path: python).run(["-c", "import dbus, gi"]).status == 0
      else {
        print("➜ systemd driver: dbus-daemon, python3-dbus and python3-gi aren't all installed")
        return nil
      }
      var template = Array("/tmp/berth-systemd-XXXXXX\0".utf8CString)
      guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
      folder = String(cString: made)
      self.isDirect = isDirect
      let fixture = try projectRoot() + "/Tests/Fixtures/systemd1.py"
      var peer = Command(path: python)
      if isDirect {
        running.append(try peer.start([fixture, "direct", folder + "/private", folder + "/log"]))
      } else {
        try Sys.replaceFile(
          folder + "/bus.conf",
          with: Array(
            """
            <!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN"
              "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
            <busconfig><type>custom</type><listen>unix:path=\(folder)/bus</listen><auth>EXTERNAL</auth>
            <policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy>
            </busconfig>
            """.utf8), durable: false)
        running.append(
          try Command(path: daemon).start(["--config-file", folder + "/bus.conf", "--nofork", "--nopidfile"]))
        try waitFor { Sys.exists(folder + "/bus") }
        peer.environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=\(folder)/bus"
        running.append(try peer.start([fixture, "bus", folder + "/log"]))
      }
      try waitFor { try calls().contains { $0["member"]?.stringValue == "ready" } }
    }

    deinit {
      running.removeAll()
      for root in ["/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified", "/sys/fs/cgroup"] + controllers {
        try? Sys.rmdir(root + slicePath)
        try? Sys.rmdir(root + "/berthtest.slice")
      }
      try? Sys.removeTree(folder)
    }

    private var controllers: [String] {
      ((try? Sys.entries(of: "/sys/fs/cgroup")) ?? []).map { "/sys/fs/cgroup/" + $0.name }
    }

    /// What was asked of it.
    func calls() throws -> [JSON] {
      guard Sys.exists(folder + "/log") else { return [] }
      return try String(decoding: try Sys.readFile(folder + "/log"), as: UTF8.self).split(separator: "\n").map {
        try JSON.parse(Array($0.utf8))
      }
    }

    func last(_ member: String) throws -> JSON? { try calls().last { $0["member"]?.stringValue == member } }

    /// The runtime's command, which finds the bus, or the socket where systemd's own is, in a mount namespace.
    func run(_ bundle: Bundle, _ words: [String]) throws -> Command.Result {
      let all = bundle.berth.prefix + ["--systemd-cgroup"] + words
      guard isDirect else {
        var command = bundle.berth.command
        command.environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=\(folder)/bus"
        return try command.run(all)
      }
      let unshare = try #require(ProcessEnvironment.find("unshare"))
      let script =
        "mkdir -p /run/systemd && mount -t tmpfs run /run/systemd && ln -s \(folder)/private /run/systemd/private && exec \"$@\""
      return try Command(path: unshare).run(["-m", "sh", "-c", script, "sh", bundle.berth.command.path] + all)
    }

    private func waitFor(_ condition: () throws -> Bool) throws {
      for _ in 0..<1000 {
        if try condition() { return }
        var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
        nanosleep(&pause, nil)
      }
      throw SyscallError("wait for", "the stand-in for systemd", .timedOut)
    }
  }

  private func bundle(_ peer: Peer, _ name: String = "c1") throws -> Bundle {
    let bundle = try Bundle()
    var spec = try bundle.specification("sleep 100")
    spec.linux.cgroupsPath = "\(peer.slice):berth:\(name)"
    var memory = RuntimeSpec.Resources.Memory()
    memory.limit = 64 << 20
    var cpu = RuntimeSpec.Resources.CPU()
    (cpu.quota, cpu.period, cpu.shares) = (50_000, 100_000, 512)
    spec.linux.resources?.memory = memory
    spec.linux.resources?.cpu = cpu
    spec.linux.resources?.pids = 33
    spec.linux.resources?.devices = [
      .init(allow: false, access: "rwm"), .init(allow: true, type: "c", major: 10, minor: 229, access: "rw"),
      .init(allow: true, type: "c", major: 1, access: "r"),
    ]
    spec.annotations = [
      "org.systemd.property.TimeoutStopUSec": "uint64 10000000",
      "org.systemd.property.CollectMode": "'inactive-or-failed'",
    ]
    try bundle.write(spec)
    return bundle
  }

  @Test("a container is a scope with its limits, and is updated and stopped as one", arguments: [false, true])
  func life(isDirect: Bool) throws {
    guard let peer = try Peer(isDirect: isDirect) else { return }
    let bundle = try bundle(peer)
    let created = try peer.run(bundle, ["run", "-d", "--pid-file", bundle.folder + "/pid", "-b", bundle.path, "c1"])
    try #require(created.status == 0, "\(created)")
    defer { _ = try? peer.run(bundle, ["delete", "-f", "c1"]) }
    let call = try #require(try peer.last("StartTransientUnit"))
    #expect(call["name"]?.stringValue == "berth-c1.scope")
    #expect(call["mode"]?.stringValue == "replace")
    let properties = try #require(call["properties"])
    let isV2 = Sys.exists("/sys/fs/cgroup/cgroup.controllers")
    #expect(properties["Slice"] == ["s", .string(peer.slice)])
    #expect(properties["Delegate"] == ["b", true])
    #expect(properties["DefaultDependencies"] == ["b", false])
    #expect(properties["PIDs"]?[0] == "au")
    #expect(properties["TasksMax"] == ["t", 33])
    #expect(properties["CPUQuotaPerSecUSec"] == ["t", 500_000])
    #expect(properties["CPUQuotaPeriodUSec"] == ["t", 100_000])
    #expect(properties[isV2 ? "MemoryMax" : "MemoryLimit"] == ["t", .int(64 << 20)])
    #expect(isV2 ? properties["CPUWeight"] != nil : properties["CPUShares"] == ["t", 512])
    #expect(properties["TimeoutStopUSec"] == ["t", 10_000_000])
    #expect(properties["CollectMode"] == ["s", "inactive-or-failed"])
    #expect(properties["DevicePolicy"] == ["s", "strict"])
    let devices = try #require(properties["DeviceAllow"]?[1]?.arrayValue)
    #expect(devices.contains([["s", "/dev/char/10:229"], ["s", "rw"]]), "\(devices)")
    #expect(devices.contains([["s", "char-mem"], ["s", "r"]]), "\(devices)")

    // The process is in the scope everywhere, and nobody else is.
    let pid = String(decoding: try Sys.readFile(bundle.folder + "/pid"), as: UTF8.self)
    let path = peer.slicePath + "/berth-c1.scope"
    let groups = String(decoding: try Sys.readFile("/proc/\(pid)/cgroup"), as: UTF8.self).split(separator: "\n")
    for line in groups where !line.contains("freezer") && line.split(separator: ":").count > 2 {
      let controllers = line.split(separator: ":", omittingEmptySubsequences: false)[1]
      guard ["", "name=systemd", "memory", "pids", "cpu"].contains(String(controllers)) else { continue }
      #expect(line.hasSuffix(":" + path), "\(line)")
    }
    let unified = Sys.exists("/sys/fs/cgroup/unified") ? "/sys/fs/cgroup/unified" : "/sys/fs/cgroup"
    #expect(try Sys.readFile(unified + path + "/cgroup.procs") == Array((pid + "\n").utf8))

    let updated = try peer.run(bundle, ["update", "--pids-limit", "44", "--memory", "128m", "c1"])
    #expect(updated.status == 0, "\(updated)")
    let set = try #require(try peer.last("SetUnitProperties"))
    #expect(set["runtime"] == true)
    #expect(set["properties"]?["TasksMax"] == ["t", 44])
    #expect(set["properties"]?[isV2 ? "MemoryMax" : "MemoryLimit"] == ["t", .int(128 << 20)])
    let limit = isV2 ? "\(unified)\(path)/pids.max" : "/sys/fs/cgroup/pids\(path)/pids.max"
    #expect(try Sys.readFile(limit) == Array("44\n".utf8))

    // A second of that name is refused, and the first lives on.
    let twice = try peer.run(bundle, ["run", "-d", "-b", bundle.path, "c2"])
    #expect(twice.status == 1)
    #expect(twice.err.contains("UnitExists"), "\(twice)")
    #expect(try bundle.berth.run(["state", "c1"]).out.contains("running"))

    // What crun says of the same configuration, by sd-bus.
    if !isDirect, let crun = bundle.references.first(where: { $0.name == "crun" }) {
      let reference = try self.bundle(peer, "c3")
      let result = try crun.shell(
        "DBUS_SYSTEM_BUS_ADDRESS=unix:path=\(peer.folder)/bus crun --root \(bundle.folder)/crun --systemd-cgroup run -d -b \(reference.path) c3 >/dev/null 2>&1 </dev/null; echo $?; DBUS_SYSTEM_BUS_ADDRESS=unix:path=\(peer.folder)/bus crun --root \(bundle.folder)/crun delete -f c3"
      )
      #expect(result.line == "0", "\(result)")
      let theirs = try #require(try peer.last("StartTransientUnit"))
      #expect(theirs["name"]?.stringValue == "berth-c3.scope")
      for name in [
        "Slice", "Delegate", "DefaultDependencies", "CPUAccounting", "MemoryAccounting", "TasksAccounting", "TasksMax",
        "CPUQuotaPerSecUSec", "CPUQuotaPeriodUSec", isV2 ? "CPUWeight" : "CPUShares", "DevicePolicy", "TimeoutStopUSec",
        "CollectMode",
      ] { #expect(theirs["properties"]?[name] == properties[name], "\(name)") }
    }

    let deleted = try peer.run(bundle, ["delete", "-f", "c1"])
    #expect(deleted.status == 0, "\(deleted)")
    #expect(try peer.last("StopUnit")?["name"]?.stringValue == "berth-c1.scope")
    #expect(try !peer.calls().contains { $0["member"] == "left" && $0["name"] == "berth-c1.scope" })
    #expect(!Sys.exists(unified + path))
  }

  @Test("a job that fails, a scope's name that is none, and systemd's absence are told")
  func failures() throws {
    guard let peer = try Peer(isDirect: false) else { return }
    let failing = try bundle(peer, "fails")
    let failed = try peer.run(failing, ["run", "-b", failing.path, "c1"])
    #expect(failed.status == 1)
    #expect(failed.err.contains("start berth-fails.scope: the job came to \"failed\""), "\(failed)")
    #expect(try Sys.entries(of: failing.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })

    var spec = try failing.specification("true")
    for (path, says) in [
      (
        "/plain/path",
        "expected cgroupsPath to be of format \"slice:prefix:name\" for systemd cgroups, got \"/plain/path\""
      ),
      ("a--b.slice:p:n", "\"a--b.slice\" is no slice"), ("noslice:p:n", "\"noslice\" is no slice"),
      ("a.slice:p:", "is empty"), ("a.slice:p/q:n", "is no name of a unit"),
    ] {
      spec.linux.cgroupsPath = path
      try failing.write(spec)
      let refused = try peer.run(failing, ["run", "-b", failing.path, "c1"])
      #expect(refused.status == 1)
      #expect(refused.err.contains("linux.cgroupsPath: "), "\(refused)")
      #expect(refused.err.contains(says), "\(refused)")
    }

    spec.linux.cgroupsPath = "a.slice:p:n"
    try failing.write(spec)
    var command = failing.berth.command
    command.environment["DBUS_SYSTEM_BUS_ADDRESS"] = "unix:path=/no/such/bus"
    let alone = try command.run(failing.berth.prefix + ["--systemd-cgroup", "run", "-b", failing.path, "c1"])
    #expect(alone.status == 1)
    #expect(alone.err.contains("systemd can't be reached: connect to \"/no/such/bus\": no such file"), "\(alone)")
    #expect(try Sys.entries(of: failing.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
  }
}
