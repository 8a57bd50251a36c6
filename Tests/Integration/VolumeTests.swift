import CLinux
import Kernel
import OCI
import Testing

@Suite("volumes and binds from outside", .serialized)
struct VolumeTests {
  /// The line of mountinfo of one place, as the container reads it.
  private struct Mount: CustomStringConvertible {
    let root: String
    let options: Set<String>
    let tags: [String]
    let type: String
    let superOptions: Set<String>
    let description: String

    init?(_ text: String, at place: String) {
      guard
        let line = text.split(separator: "\n").last(where: { $0.split(separator: " ").dropFirst(4).first == place[...] }
        )
      else { return nil }
      let halves = line.split(separator: " - ", maxSplits: 1)
      let fields = halves[0].split(separator: " ").map(String.init)
      let rest = halves[1].split(separator: " ").map(String.init)
      root = fields[3]
      options = Set(fields[5].split(separator: ",").map(String.init))
      tags = Array(fields.dropFirst(6))
      type = rest[0]
      superOptions = Set((rest.last ?? "").split(separator: ",").map(String.init))
      description = String(line)
    }
  }

  private struct Row {
    let arguments: [String]
    let holds: (Mount) -> Bool
    init(_ arguments: String..., holds: @escaping (Mount) -> Bool) {
      self.arguments = arguments
      self.holds = holds
    }
  }

  @Test("every spelling of -v, --mount and --tmpfs mounts what it says")
  func spellings() throws {
    try Daemon.with { daemon in
      let host = daemon.folder + "/host"
      try Sys.mkdirAll(host + "/sub")
      try daemon.ok("volume", "create", "vol")
      try daemon.ok("run", "--rm", "-v", "vol:/d", "busybox", "mkdir", "-p", "/d/sub/deep")
      func volume(_ mount: Mount) -> Bool { mount.root.hasSuffix("/volumes/vol/_data") }
      func anonymous(_ mount: Mount) -> Bool {
        let parts = mount.root.split(separator: "/")
        return parts.count > 1 && parts[parts.count - 2].count == 64 && parts.last == "_data"
      }
      func bind(_ mount: Mount) -> Bool { mount.root.hasSuffix("/host") }
      func writable(_ mount: Mount) -> Bool { mount.options.contains("rw") }
      func readOnly(_ mount: Mount) -> Bool { mount.options.contains("ro") }
      let rows: [Row] = [
        Row("-v", "vol:/d") { volume($0) && writable($0) && $0.tags.isEmpty },
        Row("-v", "vol:/d:rw") { volume($0) && writable($0) },
        Row("-v", "vol:/d:ro") { volume($0) && readOnly($0) },
        Row("-v", "vol:/d:z") { volume($0) }, Row("-v", "vol:/d:ro,Z") { volume($0) && readOnly($0) },
        Row("-v", "vol:/d:nocopy") { volume($0) }, Row("-v", "vol:/d:cached") { volume($0) },
        Row("-v", "vol:/d/../d/") { volume($0) }, Row("-v", "/d") { anonymous($0) && writable($0) },
        Row("-v", "\(host):/d") { bind($0) && writable($0) && $0.tags.isEmpty },
        Row("-v", "\(host):/d:ro") { bind($0) && readOnly($0) },
        Row("-v", "\(host):/d:ro,rslave,delegated") { bind($0) && readOnly($0) },
        Row("-v", "\(host)/made/below:/d") { $0.root.hasSuffix("/host/made/below") },
        Row("--mount", "type=volume,src=vol,dst=/d") { volume($0) && writable($0) },
        Row("--mount", "source=vol,target=/d,readonly") { volume($0) && readOnly($0) },
        Row("--mount", "type=volume,destination=/d") { anonymous($0) },
        Row("--mount", "type=volume,src=vol,dst=/d,volume-nocopy,consistency=cached") { volume($0) },
        Row("--mount", "type=volume,src=vol,dst=/d,volume-subpath=sub/deep") {
          $0.root.hasSuffix("/volumes/vol/_data/sub/deep")
        },
        Row("--mount", "type=bind,src=\(host),dst=/d") { bind($0) && writable($0) },
        Row("--mount", "type=bind,src=\(host),dst=/d,ro") { bind($0) && readOnly($0) },
        Row("--mount", "type=bind,src=\(host),dst=/d,bind-nonrecursive") { bind($0) },
        Row("--mount", "type=bind,src=\(host),dst=/d,ro,bind-recursive=writable") { bind($0) && readOnly($0) },
        Row("--mount", "type=bind,src=\(host),dst=/d,ro,bind-recursive=readonly,bind-propagation=rprivate") {
          bind($0) && readOnly($0)
        },
        Row("--mount", "type=bind,src=\(host)/new,dst=/d,bind-create-src") { $0.root.hasSuffix("/host/new") },
        Row("--mount", "type=tmpfs,dst=/d,tmpfs-size=1m,tmpfs-mode=1770") {
          $0.type == "tmpfs" && $0.superOptions.isSuperset(of: ["size=1024k", "mode=1770"])
            && $0.options.isSuperset(of: ["nosuid", "nodev", "noexec"])
        },
        Row("--mount", "type=tmpfs,dst=/d,readonly") { $0.type == "tmpfs" && readOnly($0) },
        Row("--tmpfs", "/d:size=2m,exec") {
          $0.type == "tmpfs" && $0.superOptions.contains("size=2048k") && !$0.options.contains("noexec")
        },
        Row("--mount", "type=image,source=busybox,target=/d") { $0.type == "overlay" && writable($0) },
        Row("--mount", "type=image,source=busybox,target=/d,readonly") { $0.type == "overlay" && readOnly($0) },
        Row("--mount", "type=image,source=busybox,target=/d,image-subpath=etc") {
          $0.type == "overlay" && writable($0)
        },
        Row("--mount", "type=image,source=busybox,target=/d,image-subpath=etc/passwd,readonly") {
          $0.root.hasSuffix("/file") && readOnly($0)
        },
      ]
      for client in [daemon.berth] + (daemon.docker.map { [$0] } ?? []) {
        // Docker's command line has it since version 29.
        for row in rows where client.path == daemon.berth.path || !row.arguments[1].contains("bind-create-src") {
          let result = try client.run(
            ["run", "--rm"] + row.arguments + ["busybox", "cat", "/proc/self/mountinfo"])
          #expect(result.status == 0, "\(client.path) \(row.arguments): \(result)")
          let mount = Mount(result.out, at: "/d")
          #expect(
            mount.map(row.holds) == true,
            "\(client.path) \(row.arguments): \(mount.map { "\($0)" } ?? "no mount at /d")")
        }
      }
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["vol"], "--rm takes anonymous volumes along")
      let refused: [([String], String)] = [
        (["-v", "vol:/d:rw,ro"], "invalid mode: rw,ro"), (["-v", "vol:d"], "mount path must be absolute"),
        (["-v", "vol:/"], "destination can't be '/'"), (["-v", "/d:ro:x:y"], "invalid volume specification"),
        (["-v", "a b:/d"], "includes invalid characters for a local volume name"),
        (["-v", "x:/d"], "volume name is too short"),
        (["-v", "vol:/d", "-v", "\(host):/d"], "Duplicate mount point: /d"),
        (
          ["--mount", "type=bind,src=\(host)/absent,dst=/d"],
          "invalid mount config for type \"bind\": bind source path does not exist: \(host)/absent"
        ),
        (
          ["--mount", "type=volume,dst=/d,readonly"],
          "must not set ReadOnly mode when using anonymous volumes"
        ),
        (
          ["--mount", "type=volume,src=vol,dst=/d,volume-subpath=../x"],
          "subpath must be a relative path within the volume"
        ),
        (["--mount", "type=volume,src=vol,dst=/d,volume-subpath=absent"], "cannot access path"),
        (["--mount", "type=image,src=busybox,dst=/d,image-subpath=absent"], "cannot access path"),
        (["--mount", "type=image,src=busybox,dst=/d,image-subpath=../x"], "must be a relative path within the image"),
        (["--pull", "never", "--mount", "type=image,src=nosuchimage,dst=/d"], "No such image: nosuchimage"),
      ]
      for (arguments, text) in refused {
        let result = try daemon.berth.run(["run", "--rm"] + arguments + ["busybox", "true"])
        #expect(result.status > 124 && result.err.contains(text), "\(arguments): \(result)")
      }
      #expect(try daemon.ok("ps", "-aq").out.isEmpty)
    }
  }

  @Test("an image's content comes into an empty volume, with owners and modes, once")
  func copyUp() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "--name", "base", "busybox", "sh", "-c",
        "mkdir -p /data/in && echo one > /data/in/file && ln /data/in/file /data/hard && ln -s in/file /data/link && "
          + "chown -R 12:34 /data && chmod 2750 /data && chmod 0640 /data/in/file")
      try daemon.ok("commit", "-c", "VOLUME /data", "base", "withdata")
      try daemon.ok("rm", "base")
      let look = "stat -c '%u:%g %a' /data /data/in/file; cat /data/link; stat -c %h /data/hard"
      let expected = ["12:34 2750", "12:34 640", "one", "2"]
      #expect(try daemon.ok("run", "--rm", "-v", "named:/data", "withdata", "sh", "-c", look).lines == expected)
      #expect(try daemon.ok("run", "--rm", "withdata", "sh", "-c", look).lines == expected, "a VOLUME of the image")
      try daemon.ok("run", "--rm", "-v", "named:/data", "withdata", "sh", "-c", "echo two > /data/in/file")
      #expect(try daemon.ok("run", "--rm", "-v", "named:/data", "withdata", "cat", "/data/link").line == "two")
      #expect(try daemon.ok("run", "--rm", "-v", "bare:/data:nocopy", "withdata", "ls", "/data").out.isEmpty)
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["bare", "named"])
    }
  }

  @Test("anonymous volumes go with rm -v and --rm, named ones stay, and what is in use is protected")
  func lifetimes() throws {
    try Daemon.with { daemon in
      try daemon.ok("create", "--name", "keeper", "-v", "/anon", "-v", "named:/data", "busybox", "true")
      let mounts = try daemon.inspect("keeper")["Mounts"]?.arrayValue ?? []
      #expect(mounts.map { $0["Destination"]?.stringValue ?? "" } == ["/anon", "/data"])
      let anonymous = mounts[0]["Name"]?.stringValue ?? ""
      #expect(anonymous.count == 64)
      #expect(mounts[1]["Name"]?.stringValue == "named" && mounts[1]["Driver"]?.stringValue == "local")
      let id = try daemon.inspect("keeper")["Id"]?.stringValue ?? ""
      try daemon.ok("create", "--name", "second", "--volumes-from", "keeper:ro", "busybox", "true")
      let second = try daemon.inspect("second")["Id"]?.stringValue ?? ""
      for _ in 0..<2 {
        let busy = try daemon.berth.run(["volume", "rm", "named"])
        #expect(busy.status == 1)
        #expect(
          busy.err.contains("remove named: volume is in use - [\([id, second].sorted().joined(separator: ", "))]"))
        #expect(try daemon.ok("volume", "prune", "-af").line == "Total reclaimed space: 0B")
        // References come from the containers' rows: no crash makes them wrong.
        try daemon.kill()
        try daemon.start()
      }
      let inherited = try daemon.inspect("second")["Mounts"]?.arrayValue ?? []
      #expect(inherited.allSatisfy { $0["RW"]?.boolValue == false } && inherited.count == 2)
      try daemon.ok("rm", "-v", "keeper")
      #expect(try daemon.ok("volume", "ls", "-q").lines == [anonymous, "named"].sorted(), "another one holds it")
      try daemon.ok("rm", "-v", "second")
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["named"])
      try daemon.ok("create", "--name", "third", "-v", "/anon", "busybox", "true")
      try daemon.ok("rm", "third")
      #expect(try daemon.ok("volume", "ls", "-q", "--filter", "dangling=true").lines.count == 2)
      #expect(try daemon.ok("volume", "prune", "-f").out.contains("Deleted Volumes:"))
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["named"], "prune leaves named ones")
      try daemon.ok("volume", "prune", "-af")
      #expect(try daemon.ok("volume", "ls", "-q").out.isEmpty)
      #expect(try daemon.berth.run(["volume", "rm", "named"]).err.contains("get named: no such volume"))
      try daemon.ok("volume", "rm", "-f", "named")
      #expect(try daemon.ok("volume", "undelete", "named").line == "named")
      #expect(try daemon.ok("volume", "inspect", "-f", "{{.Name}} {{.Scope}}", "named").line == "named local")
    }
  }

  @Test("the local driver mounts tmpfs and binds while somebody runs, and unmounts after a crash too")
  func driverOptions() throws {
    try Daemon.with { daemon in
      let host = daemon.folder + "/host"
      try Sys.mkdirAll(host)
      try daemon.ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "-o", "o=size=1m,uid=7", "ram")
      try daemon.ok("volume", "create", "-o", "type=none", "-o", "o=bind,ro", "-o", "device=\(host)", "bound")
      #expect(
        try daemon.berth.run(["volume", "create", "-o", "type=tmpfs", "bad"]).err.contains(
          "missing required option: \"device\""))
      #expect(try daemon.berth.run(["volume", "create", "-o", "x=y", "bad"]).err.contains("invalid option: \"x\""))
      try daemon.ok(
        "volume", "create", "-o", "type=nfs", "-o", "o=addr=127.0.0.1,soft,timeo=1,retrans=1,port=1", "-o",
        "device=:/nowhere", "remote")
      let unreachable = try daemon.berth.run(["run", "--rm", "-v", "remote:/d", "busybox", "true"])
      #expect(unreachable.status == 125, "\(unreachable)")
      #expect(
        unreachable.err.contains(
          "error while mounting volume '\(daemon.folder)/data/volumes/remote/_data': failed to mount local volume: mount :/nowhere:"
        ),
        "\(unreachable)")
      try daemon.ok("run", "-d", "--name", "first", "-v", "ram:/ram", "-v", "bound:/bound", "busybox", "sleep", "1000")
      try daemon.ok("exec", "first", "sh", "-c", "echo shared > /ram/file")
      #expect(
        try daemon.ok("run", "--rm", "-v", "ram:/r", "busybox", "sh", "-c", "cat /r/file; stat -c %u /r").lines == [
          "shared", "7",
        ])
      #expect(try daemon.berth.run(["exec", "first", "touch", "/bound/x"]).err.contains("Read-only file system"))
      func mounted() throws -> Int {
        String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).split(separator: "\n").count {
          $0.contains("\(daemon.folder)/data/volumes/")
        }
      }
      #expect(try mounted() == 2)
      try daemon.kill()
      try daemon.start()
      #expect(try daemon.ok("exec", "first", "cat", "/ram/file").line == "shared")
      #expect(try mounted() == 2)
      try daemon.ok("rm", "-f", "first")
      for _ in 0..<100 where try mounted() > 0 { _ = try Command(path: "/bin/sleep").run(["0.05"]) }
      #expect(try mounted() == 0)
    }
  }

  @Test("a swapped link can't redirect a bind, and the policy says which rule forbids what")
  func binds() throws {
    let file = "/tmp/berth-test-policy-\(getpid()).json"
    let base = "/tmp/berth-test-binds-\(getpid())"
    defer {
      _ = CLinux.unlink(file)
      try? Sys.removeTree(base)
    }
    for name in ["open", "secret", "static"] { try Sys.mkdirAll("\(base)/\(name)") }
    let json: JSON = [
      "bind-mount-policy": [
        "allowed-roots": [.string(base)], "denied-paths": [.string(base + "/secret")],
        "read-only-roots": [.string(base + "/static")],
      ]
    ]
    try Sys.replaceFile(file, with: json.encoded(), durable: false)
    try Daemon.with(flags: ["--config-file", file]) { daemon in
      try daemon.ok("run", "--rm", "-v", "\(base)/open:/d", "busybox", "touch", "/d/x")
      try Sys.symlink("secret", base + "/link")
      for (source, mode, rule) in [
        ("\(base)/secret", "", "denied-paths"), ("\(base)/link", "", "denied-paths"), (base, "", "denied-paths"),
        ("/etc", "", "allowed-roots"), ("\(base)/static", "", "read-only-roots"),
      ] {
        let refused = try daemon.berth.run(["run", "--rm", "-v", "\(source):/d\(mode)", "busybox", "true"])
        #expect(
          refused.status == 125 && refused.err.contains(rule) && refused.err.contains("use a volume"), "\(refused)")
      }
      try daemon.ok("run", "--rm", "-v", "\(base)/static:/d:ro", "busybox", "true")
      // A link that is right at the creation and wrong at the start.
      try Sys.symlink("open", base + "/swap")
      try daemon.ok("create", "--name", "swapped", "-v", "\(base)/swap:/d", "busybox", "ls", "/d")
      try Sys.unlink(base + "/swap")
      try Sys.symlink("secret", base + "/swap")
      #expect(try daemon.berth.run(["start", "-a", "swapped"]).err.contains("denied-paths"))
      let device = try daemon.berth.run([
        "run", "--rm", "--mount",
        "type=volume,src=sly,dst=/d,volume-opt=type=none,volume-opt=o=bind,volume-opt=device=/etc",
        "busybox", "true",
      ])
      #expect(device.err.contains("allowed-roots"), "a volume's device is a bind all the same: \(device)")
    }
  }

  @Test("a writable bind of the host's configuration or the engine's own files gets a warning")
  func warnings() throws {
    try Daemon.with { daemon in
      for (bind, isWarned) in [
        ("/etc:/d", true), ("/:/d", true), ("\(daemon.folder)/run/berth.sock:/d", true),
        ("\(daemon.folder)/data:/d", true),
        ("/etc:/d:ro", false), ("/usr:/d", false),
      ] {
        let created = try daemon.berth.run(["create", "-v", bind, "busybox", "true"])
        #expect(created.status == 0 && created.err.contains("WARNING") == isWarned, "\(bind): \(created)")
      }
      #expect(
        try daemon.berth.run(["create", "--pull", "never", "volume", "data"]).err.contains("berth volume create data"))
    }
  }

  @Test("rename while in use, clone, snapshot, restore, export and import keep the content whole")
  func changes() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "writer", "-v", "old:/d", "busybox", "sh", "-c",
        "mkdir -p /d/a; echo 1 > /d/a/f; ln /d/a/f /d/g; chown 5:6 /d/g; sleep 1000")
      for _ in 0..<100 where try daemon.berth.run(["exec", "writer", "stat", "/d/g"]).status != 0 {}
      try daemon.ok("volume", "rename", "old", "new")
      #expect(try daemon.ok("exec", "writer", "cat", "/d/g").line == "1")
      #expect(try daemon.inspect("writer")["Mounts"]?[0]?["Name"]?.stringValue == "new")
      try daemon.ok("volume", "snapshot", "--quiesce", "new", "before")
      try daemon.ok("exec", "writer", "sh", "-c", "echo 2 > /d/a/f")
      #expect(try daemon.ok("volume", "clone", "--quiesce", "new", "copy").line == "copy")
      #expect(
        try daemon.berth.run(["volume", "restore", "new", "before"]).err.contains("in use by running containers"))
      #expect(try daemon.ok("volume", "restore", "new", "before", "past").line == "past")
      let archive = daemon.folder + "/v.tar.zst"
      try daemon.ok("volume", "export", "--compress", "zstd", "-o", archive, "new")
      #expect(try daemon.ok("volume", "import", archive, "imported").line == "imported")
      for (volume, content) in [("copy", "2"), ("past", "1"), ("imported", "2")] {
        let seen = try daemon.ok(
          "run", "--rm", "-v", "\(volume):/d", "busybox", "sh", "-c", "cat /d/g; stat -c '%u:%g %h' /d/a/f")
        #expect(seen.lines == [content, "5:6 2"], "\(volume)")
      }
      try daemon.ok("kill", "writer")
      try daemon.ok("wait", "writer")
      try daemon.ok("volume", "restore", "new", "before")
      try daemon.kill()
      try daemon.start()
      try daemon.ok("start", "writer")
      #expect(try daemon.ok("volume", "snapshots", "new").line.hasPrefix("before\t"))
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["copy", "imported", "new", "past"])
      try daemon.ok("volume", "update", "--protect", "copy")
      #expect(try daemon.berth.run(["volume", "rm", "copy"]).err.contains("volume is protected"))
      try daemon.ok("volume", "prune", "-af")
      #expect(try daemon.ok("volume", "ls", "-q").lines == ["copy", "new"])
    }
  }

  @Test("a volume with a size shows it, meets it, and grows while it is in use")
  func sizes() throws {
    try Daemon.with { daemon in
      try daemon.ok("volume", "create", "-o", "size=32m", "small")
      try daemon.ok("run", "-d", "--name", "user", "-v", "small:/d", "busybox", "sleep", "1000")
      func kilobytes() throws -> Int {
        Int(try daemon.ok("exec", "user", "sh", "-c", "df -k /d | tail -1 | awk '{print $2}'").line) ?? 0
      }
      let before = try kilobytes()
      #expect((20_000...32_768).contains(before))
      #expect(try daemon.ok("exec", "user", "ls", "-A", "/d").out.isEmpty)
      let full = try daemon.berth.run(["exec", "user", "dd", "if=/dev/zero", "of=/d/f", "bs=1M", "count=40"])
      #expect(full.err.contains("No space left on device"))
      // CAP_SYS_RESOURCE, which growing an ext4 needs.
      if try Sys.capget().effective & (1 << 24) != 0 {
        try daemon.ok("volume", "update", "--size", "64m", "small")
        #expect(try kilobytes() > before + 24_000)
      } else {
        print("skipped: growing a volume needs CAP_SYS_RESOURCE, which this host doesn't give")
      }
      try daemon.ok("rm", "-f", "user")
      try daemon.ok("volume", "rm", "small")
    }
  }

  @Test("two containers on one volume, one read-only: what one writes the other sees, and one's removal keeps it")
  func shared() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "writer", "-v", "both:/d", "busybox", "sleep", "1000")
      try daemon.ok("run", "-d", "--name", "reader", "-v", "both:/d:ro", "busybox", "sleep", "1000")
      try daemon.ok("exec", "writer", "sh", "-c", "echo one > /d/file")
      #expect(try daemon.ok("exec", "reader", "cat", "/d/file").line == "one")
      #expect(try daemon.berth.run(["exec", "reader", "touch", "/d/x"]).err.contains("Read-only file system"))
      // What comes from another container keeps its mode, unless it is told to be read-only.
      let script = "touch /d/x 2>/dev/null && echo writable || echo read-only; cat /d/file"
      for (from, told) in [
        ("writer", "writable"), ("writer:rw", "writable"), ("writer:ro", "read-only"), ("reader", "read-only"),
        ("reader:rw", "read-only"),
      ] {
        let seen = try daemon.ok("run", "--rm", "--volumes-from", from, "busybox", "sh", "-c", script)
        #expect(seen.lines == [told, "one"], "--volumes-from \(from)")
      }
      try daemon.ok("rm", "-fv", "writer")
      #expect(try daemon.ok("exec", "reader", "cat", "/d/file").line == "one")
      try daemon.ok("kill", "reader")
      try daemon.ok("wait", "reader")
      try daemon.kill()
      try daemon.start()
      try daemon.ok("volume", "prune", "-af")
      #expect(try daemon.ok("volume", "ls", "-q").line == "both", "a stopped container refers to it")
      try daemon.ok("rm", "reader")
      #expect(try daemon.ok("run", "--rm", "-v", "both:/d", "busybox", "cat", "/d/file").line == "one")
    }
  }

  @Test("five hundred volumes are listed from memory")
  func many() throws {
    try Daemon.with(busybox: false) { daemon in
      for first in stride(from: 0, to: 500, by: 100) {
        let commands = try (first..<first + 100).map { try daemon.berth.start(["volume", "create", "v\($0)"]) }
        for command in commands { #expect(try command.wait().status == 0) }
      }
      #expect(try daemon.ok("volume", "ls", "-q").lines.count == 500)
      // Nothing of the disk is read for a list: it is the same with the directories gone.
      try daemon.stop()
      try daemon.start()
      try Sys.rename("\(daemon.folder)/data/volumes", to: "\(daemon.folder)/data/away")
      #expect(try daemon.ok("volume", "ls", "-q", "--filter", "name=v1").lines.count == 111)
      let begin = Sys.monotonicNanoseconds()
      #expect(try daemon.ok("volume", "ls", "-q").lines.count == 500)
      print("500 volumes listed in \((Sys.monotonicNanoseconds() - begin) / 1_000_000) ms, the client's start included")
      try Sys.rename("\(daemon.folder)/data/away", to: "\(daemon.folder)/data/volumes")
    }
  }
}
