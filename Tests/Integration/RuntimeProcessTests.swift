import CLinux
import Kernel
import OCI
import Testing

/// What a container's process and its hooks get, and what tells of them: files, descriptors, terminals, answers of list, ps, events.
/// Each on berth-runtime, and on crun and runc as the references where they are installed.
@Suite("processes, hooks and answers of the runtime", .serialized)
struct RuntimeProcessTests {
  let bundle: Bundle
  var runtimes: [Bundle.Runtime] { [bundle.berth] + bundle.references }

  init() throws { bundle = try Bundle() }

  private func isOurs(_ runtime: Bundle.Runtime) -> Bool { runtime.name == "berth-runtime" }

  private func remove(_ runtime: Bundle.Runtime) { _ = try? runtime.run(["delete", "-f", "c"]) }

  private func text(_ path: String) throws -> String { String(decoding: try Sys.readFile(path), as: UTF8.self) }

  @Test("hooks run in their order and namespaces, with the state on their standard input")
  func hooks() throws {
    let log = bundle.folder + "/hooks"
    try Sys.mkdirAll(bundle.path + "/rootfs/hooks")
    func hook(_ point: String, inside: Bool = false) -> RuntimeSpec.Hook {
      let file = inside ? "/hooks/log" : log
      return RuntimeSpec.Hook(
        path: "/bin/sh",
        args: [
          "sh", "-c",
          "s=$(cat); echo \"\(point) $(readlink /proc/self/ns/mnt) $(readlink /proc/self/ns/uts) $EXTRA $1 $s\" >>\(file)",
          "sh", "word",
        ], env: ["EXTRA=given", "PATH=/bin:/usr/bin"])
    }
    var hooks = RuntimeSpec.Hooks()
    hooks.prestart = [hook("prestart")]
    hooks.createRuntime = [hook("createRuntime-1"), hook("createRuntime-2")]
    hooks.createContainer = [hook("createContainer")]
    hooks.startContainer = [hook("startContainer", inside: true)]
    hooks.poststart = [hook("poststart")]
    hooks.poststop = [hook("poststop")]
    var spec = try bundle.specification("readlink /proc/self/ns/mnt >/hooks/ns; exec sleep 1000")
    spec.hooks = hooks
    spec.annotations = ["org.example.key": "value"]
    spec.root?.readonly = false
    try bundle.write(spec)
    let host = (try Sys.readlink("/proc/self/ns/mnt"), try Sys.readlink("/proc/self/ns/uts"))
    for runtime in runtimes {
      for file in [log, bundle.path + "/rootfs/hooks/log"] { try? Sys.unlink(file) }
      let created = try runtime.run(["create", "-b", bundle.path, "--pid-file", bundle.folder + "/pid", "c"])
      #expect(created.status == 0, "\(runtime): \(created)")
      #expect(!Sys.exists(bundle.path + "/rootfs/hooks/log"), "\(runtime): startContainer is start's")
      if isOurs(runtime) { #expect(try Sys.status(bundle.folder + "/berth/c/start.sock").st_mode & 0o777 == 0o600) }
      let started = try runtime.run(["start", "c"])
      #expect(started.status == 0, "\(runtime): \(started)")
      let pid = Int64(try text(bundle.folder + "/pid"))
      _ = try runtime.run(["kill", "c", "KILL"])
      for _ in 0..<200 { if try runtime.run(["delete", "c"]).status == 0 { break } else { usleep(10_000) } }
      let lines = try text(log).split(separator: "\n").map(String.init)
      let inside = try text(bundle.path + "/rootfs/hooks/log").split(separator: "\n").map(String.init)
      let names = lines.map { String($0.prefix { $0 != " " }) }
      #expect(
        names == ["prestart", "createRuntime-1", "createRuntime-2", "createContainer", "poststart", "poststop"],
        "\(runtime): \(names)")
      let status = [
        "prestart": "creating", "createRuntime-1": "creating", "createRuntime-2": "creating",
        "createContainer": "creating",
        "startContainer": "created", "poststart": "running", "poststop": "stopped",
      ]
      for line in lines + inside {
        let words = line.split(separator: " ", maxSplits: 5).map(String.init)
        try #require(words.count == 6, "\(runtime): \(line)")
        #expect(words[3] == "given" && words[4] == "word", "\(runtime): \(line)")
        let state = try JSON.parse(words[5])
        #expect(
          state["id"]?.stringValue == "c" && state["ociVersion"]?.stringValue?.hasPrefix("1.") == true,
          "\(runtime): \(line)")
        // crun and runc have words of their own for some, crun "/" for the bundle of those inside.
        if isOurs(runtime) {
          #expect(state["status"]?.stringValue == status[words[0]], "\(runtime): \(line)")
          #expect(state["bundle"]?.stringValue == bundle.path, "\(runtime): \(line)")
        }
        #expect(state["annotations"]?["org.example.key"]?.stringValue == "value", "\(runtime): \(line)")
        switch words[0] {
        case "createContainer", "startContainer":
          #expect(words[1] != host.0 && words[2] != host.1, "\(runtime): \(line)")
        default:
          #expect(state["pid"]?.intValue == pid || words[0] == "poststop", "\(runtime): \(line)")
          // The peers have a mount namespace of their own.
          #expect((words[1] == host.0 || !isOurs(runtime)) && words[2] == host.1, "\(runtime): \(line)")
        }
      }
      #expect(inside.count == 1, "\(runtime): \(inside)")
    }
  }

  @Test("a hook that fails ends the container, with its name in the error, and poststop's ends nothing")
  func failingHooks() throws {
    let fails = RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", "cat >/dev/null; echo because >&2; exit 3"])
    let late = RuntimeSpec.Hook(path: "/bin/sleep", args: ["sleep", "60"], timeout: 1)
    let marker = RuntimeSpec.Hook(
      path: "/bin/sh", args: ["sh", "-c", "cat >/dev/null; echo >\(bundle.folder)/poststop"])
    let points: [(String, WritableKeyPath<RuntimeSpec.Hooks, [RuntimeSpec.Hook]>)] = [
      ("prestart", \.prestart), ("createRuntime", \.createRuntime), ("createContainer", \.createContainer),
      ("startContainer", \.startContainer), ("poststart", \.poststart), ("poststop", \.poststop),
    ]
    for runtime in runtimes {
      for (name, point) in points {
        for hook in name == "prestart" ? [fails, late] : [fails] {
          var hooks = RuntimeSpec.Hooks()
          hooks[keyPath: point] = [hook]
          if name != "poststop" { hooks.poststop = [marker] }
          var spec = try bundle.specification("sleep 0.2; echo ran")
          spec.hooks = hooks
          try bundle.write(spec)
          let result = try runtime.run(["run", "-b", bundle.path, "c"])
          if name == "poststop" {
            #expect(result.status == 0 && result.out == "ran\n", "\(runtime) \(name): \(result)")
          } else {
            // crun lets the container go on.
            #expect(
              result.status != 0 || runtime.name == "crun" && name == "poststart", "\(runtime) \(name): \(result)")
            if isOurs(runtime) {
              #expect(result.err.contains("\(name) hook #0"), "\(result)")
              #expect(result.err.contains(hook == late ? "timeout" : "because"), "\(result)")
              #expect(try runtime.run(["list", "-q"]).out == "", "\(name): it is still there")
            }
          }
          remove(runtime)
        }
      }
    }
  }

  @Test("--preserve-fds hands on that many, and no others")
  func descriptors() throws {
    var spec = try bundle.specification("cat <&3; cat <&4 2>/dev/null; ls /proc/self/fd | tr '\\n' ' '")
    spec.process?.cwd = "/"
    try bundle.write(spec)
    try Sys.replaceFile(bundle.folder + "/three", with: Array("three ".utf8), durable: false)
    let streams = "3<\(bundle.folder)/three 4<\(bundle.folder)/three 9<\(bundle.folder)"
    for runtime in runtimes where isOurs(runtime) || Peers.command == nil {
      for (count, answer) in [(0, "0 1 2 3 "), (1, "three 0 1 2 3 4 "), (2, "three three 0 1 2 3 4 5 ")] {
        let result = try Command(path: "/bin/sh").run(
          ["-c", "exec \"$@\" \(streams) 2>/dev/null", "sh", runtime.command.path] + runtime.prefix
            + ["run", "--preserve-fds", "\(count)", "-b", bundle.path, "c"])
        #expect(result.out == answer, "\(runtime) \(count): \(result)")
        remove(runtime)
      }
      let result = try runtime.run(["run", "--preserve-fds", "many", "-b", bundle.path, "c"])
      #expect(result.status != 0)
      remove(runtime)
    }
  }

  @Test("--console-socket gets the terminal's master, of create and of exec")
  func consoleSocket() throws {
    var spec = try bundle.specification("tty; stty size; read line; echo \"<$line>\"")
    spec.process?.terminal = true
    spec.process?.consoleSize = (width: 77, height: 33)
    try bundle.write(spec)
    for runtime in runtimes {
      let path = bundle.folder + "/console.sock"
      try? Sys.unlink(path)
      let listener = try Sys.socket(AF_UNIX, Sys.sockStream)
      try Sys.bind(listener.raw, path: path)
      try Sys.listen(listener.raw, backlog: 2)
      defer { remove(runtime) }
      let created = try runtime.run(["create", "--console-socket", path, "-b", bundle.path, "c"])
      try #require(created.status == 0, "\(runtime): \(created)")
      let master = try receive(listener.raw)
      #expect(isatty(master.raw) == 1)
      #expect(try runtime.run(["start", "c"]).status == 0)
      try Sys.writeAll(master.raw, "typed\n")
      let said = try read(master.raw, until: "<typed>")
      #expect(said.contains("/dev/pts/0") && said.contains("33 77"), "\(runtime): \(said)")
    }
    // Detached, without one: refused.
    for runtime in runtimes {
      let result = try runtime.run(["create", "-b", bundle.path, "c"])
      #expect(result.status != 0, "\(runtime): \(result)")
      remove(runtime)
    }
  }

  private func receive(_ listener: Int32) throws -> Descriptor {
    try #require(try Sys.poll(listener, Int16(POLLIN), timeout: 10_000) != 0)
    let connection = try Sys.accept(listener)
    var byte = [UInt8](repeating: 0, count: 64)
    var fds = [Int32](repeating: -1, count: 16)
    var count: Int32 = 0
    var flags: Int32 = 0
    _ = try Sys.poll(connection.raw, Int16(POLLIN), timeout: 10_000)
    _ = cl_recv_fds(connection.raw, &byte, byte.count, &fds, &count, 0, &flags)
    try #require(count == 1)
    return Descriptor(owning: fds[0])
  }

  private func read(_ master: Int32, until end: String) throws -> String {
    var text = ""
    var buffer = [UInt8](repeating: 0, count: 4096)
    while !text.contains(end) {
      guard try Sys.poll(master, Int16(POLLIN), timeout: 10_000) != 0 else { break }
      let count = CLinux.read(master, &buffer, buffer.count)
      if count <= 0 { break }
      text += String(decoding: buffer.prefix(count), as: UTF8.self)
    }
    return text
  }

  @Test("list, ps, events and update answer as their readers expect")
  func answers() throws {
    try bundle.write(try bundle.specification("sleep 1000 & exec sleep 1000"))
    for runtime in runtimes {
      defer { remove(runtime) }
      try #require(
        try runtime.run(["run", "-d", "--pid-file", bundle.folder + "/pid", "-b", bundle.path, "c"]).status == 0)
      let pid = Int64(try text(bundle.folder + "/pid")) ?? 0
      #expect(try runtime.run(["list", "-q"]).line == "c")
      let table = try runtime.run(["list"]).lines.map { $0.split(separator: " ").map(String.init) }
      #expect(
        table.count == 2 && table[0].prefix(3).map { $0.uppercased() } == ["ID", "PID", "STATUS"]
          || runtime.name == "crun", "\(runtime): \(table)")
      #expect(table.last?.prefix(3).map { $0 } == ["c", "\(pid)", "running"], "\(runtime): \(table)")
      let list = try JSON.parse(try runtime.run(["list", "--format", "json"]).out)
      let entry = list.arrayValue?.first
      #expect(entry?["id"]?.stringValue == "c" && entry?["status"]?.stringValue == "running", "\(runtime): \(list)")
      #expect(entry?["pid"]?.intValue == pid && entry?["bundle"]?.stringValue == bundle.path, "\(runtime): \(list)")
      let pids = try JSON.parse(try runtime.run(["ps", "--format", "json", "c"]).out).arrayValue?.compactMap(\.intValue)
      #expect(pids?.contains(pid) == true && pids?.count ?? 0 >= 1, "\(runtime): \(pids ?? [])")
      #expect(try runtime.run(["list", "--format", "nonsense"]).status != 0 || runtime.name == "crun")

      #expect(
        try runtime.run(["update", "--memory", "67108864", "--pids-limit", "33", "--cpu-share", "512", "c"]).status == 0
      )
      guard runtime.name != "crun" else { continue }
      let events = try runtime.run(["events", "--stats", "c"])
      let stats = try JSON.parse(events.out)
      #expect(stats["type"]?.stringValue == "stats" && stats["id"]?.stringValue == "c", "\(runtime): \(events)")
      #expect(stats["data"]?["pids"]?["current"]?.intValue ?? 0 >= 1, "\(runtime): \(events)")
      #expect(stats["data"]?["pids"]?["limit"]?.intValue == 33, "\(runtime): \(events)")
      #expect(stats["data"]?["memory"]?["usage"]?["limit"]?.intValue == 67_108_864, "\(runtime): \(events)")
      #expect(stats["data"]?["cpu"]?["usage"]?["total"]?.intValue ?? 0 > 0, "\(runtime): \(events)")
    }
  }

  @Test("mounts propagate as they are told")
  func propagation() throws {
    // A peer group of the test's own, in which mounts of the host appear.
    let source = bundle.folder + "/shared"
    try Sys.mkdirAll(source + "/late")
    try Sys.mount(source, source, flags: UInt(MS_BIND))
    defer { try? Sys.umount(source, flags: 2) }
    try Sys.mount(nil, source, flags: UInt(MS_SHARED))
    for (option, arrives) in [("rprivate", false), ("rslave", true), ("rshared", true)] {
      var spec = try bundle.specification(
        "until [ -e /data/go ]; do sleep 0.02; done; grep -c ' /data/late ' /proc/self/mountinfo")
      spec.mounts.append(
        RuntimeSpec.Mount(destination: "/data", type: "bind", source: source, options: ["rbind", option]))
      try bundle.write(spec)
      let running = try bundle.berth.command.start(bundle.berth.prefix + ["run", "-b", bundle.path, "c"])
      for _ in 0..<500 {
        if try bundle.berth.run(["state", "c"]).out.contains("running") { break }
        usleep(10_000)
      }
      try Sys.mount("tmpfs", source + "/late", type: "tmpfs")
      try Sys.replaceFile(source + "/go", with: [], durable: false)
      let result = try running.wait(deadline: 20)
      #expect(result.line == (arrives ? "1" : "0"), "\(option): \(result)")
      try Sys.umount(source + "/late")
      try Sys.unlink(source + "/go")
    }
    for (propagation, tags) in [("private", ""), ("shared", "shared:"), ("slave", ""), ("unbindable", "unbindable")] {
      var spec = try bundle.specification("awk '$5 == \"/\"{print $7, $8}' /proc/self/mountinfo")
      spec.linux.rootfsPropagation = propagation
      try bundle.write(spec)
      let result = try bundle.berth.run(["run", "-b", bundle.path, "c"])
      #expect(
        result.status == 0 && (tags.isEmpty ? !result.out.contains(":") : result.out.contains(tags)),
        "\(propagation): \(result)")
    }
    var spec = try bundle.specification("true")
    spec.linux.rootfsPropagation = "sideways"
    try bundle.write(spec)
    let refused = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(refused.status == 1 && refused.err.contains("rootfsPropagation"), "\(refused)")
  }
}
