import CLinux
import Kernel
import OCI
import Testing

/// `cp`, `export`, `diff` and `commit` from outside, with docker's command line and ours, of containers that run and that don't.
@Suite("files of containers", .serialized)
struct CopyTests {
  private static let tree = """
    mkdir -p /src/dir/sub /dst/dir; echo one > /src/file; echo two > /src/dir/sub/two; ln -s file /src/link; ln -s dir /src/dlink
    ln -s /nowhere /src/broken; echo old > /dst/file; ln -s dir /dst/dlink; ln -s file /dst/flink
    """

  /// A container of that tree, running or stopped.
  private func container(_ daemon: Daemon, _ name: String, runs: Bool, _ arguments: [String] = []) throws {
    let words =
      ["run", "-d", "--name", name] + arguments + [
        "busybox", "sh", "-c", "\(Self.tree); touch /ready; \(runs ? "exec sleep 1000" : "exit 0")",
      ]
    let started = try daemon.berth.run(words)
    try #require(started.status == 0, "\(started)")
    if runs {
      try daemon.ok("exec", name, "sh", "-c", "until [ -e /ready ]; do :; done")
    } else {
      try daemon.ok("wait", name)
    }
  }

  /// Relative paths below a folder, directories with `/`, links with their text, files with their content.
  private func listing(_ folder: String) throws -> [String] {
    var lines: [String] = []
    func walk(_ path: String, _ prefix: String) throws {
      for entry in try Sys.entries(of: path).sorted(by: { $0.name < $1.name }) {
        let child = "\(path)/\(entry.name)"
        switch try Sys.status(child, flags: AT_SYMLINK_NOFOLLOW).fileType {
        case .directory:
          lines.append("\(prefix)\(entry.name)/")
          try walk(child, "\(prefix)\(entry.name)/")
        case .symbolicLink: lines.append("\(prefix)\(entry.name) -> \(try Sys.readlink(child))")
        default:
          lines.append("\(prefix)\(entry.name)=\(String(decoding: try Sys.readFile(child), as: UTF8.self).dropLast())")
        }
      }
    }
    try walk(folder, "")
    return lines
  }

  private func clients(_ daemon: Daemon) -> [Command] { [daemon.berth] + (daemon.docker.map { [$0] } ?? []) }

  @Test("out of a container, by docker's rules of names", arguments: [true, false])
  func out(runs: Bool) throws {
    try Daemon.with { daemon in
      try container(daemon, "src", runs: runs)
      // source, destination below an empty folder with `there/` and `taken`, what is there then; or the error
      let table: [(String, String, Result<[String], Failure>)] = [
        ("/src/file", "new", .success(["new=one"])), ("/src/file", "there", .success(["there/file=one"])),
        ("/src/file", "there/", .success(["there/file=one"])), ("/src/file", "taken", .success(["taken=one"])),
        ("/src/file", "no/", .failure("no such directory")), ("/src/file", "no/where", .failure("invalid output path")),
        ("/src/dir", "new", .success(["new/", "new/sub/", "new/sub/two=two"])),
        ("/src/dir", "there", .success(["there/dir/", "there/dir/sub/", "there/dir/sub/two=two"])),
        ("/src/dir/.", "there", .success(["there/sub/", "there/sub/two=two"])),
        ("/src/dir/", "new", .success(["new/", "new/sub/", "new/sub/two=two"])),
        ("/src/dir/.", "new", .success(["new/", "new/sub/", "new/sub/two=two"])),
        ("/src/dir", "taken", .failure("cannot copy directory")),
        ("/src/link", "there", .success(["there/link -> file"])),
        ("-L /src/link", "there", .success(["there/link=one"])), ("-L /src/link", "new", .success(["new=one"])),
        ("-L /src/dlink", "there", .success(["there/dlink/", "there/dlink/sub/", "there/dlink/sub/two=two"])),
        ("/src/dlink/.", "there", .success(["there/sub/", "there/sub/two=two"])),
        ("/src/broken", "there", .success(["there/broken -> /nowhere"])),
        ("/src/none", "new", .failure("Could not find the file /src/none in container src")),
        ("src/file", "new", .success(["new=one"])), ("/src/../src/./file", "new", .success(["new=one"])),
      ]
      for client in clients(daemon) {
        for (source, target, expected) in table {
          let folder = "\(daemon.folder)/out"
          try Sys.mkdirAll("\(folder)/there")
          try Sys.replaceFile("\(folder)/taken", with: Array("old\n".utf8), durable: false)
          let words = source.split(separator: " ").map(String.init)
          let result = try client.run(["cp"] + words.dropLast() + ["src:\(words.last ?? "")", "\(folder)/\(target)"])
          let found = try listing(folder).filter { $0 != "taken=old" && $0 != "there/" }
          let what = "\(client.path) cp \(source) \(target): \(result)"
          switch expected {
          case .success(let lines):
            #expect(result.status == 0 && found == lines, "\(what) \(found)")
          case .failure(let failure):
            #expect(result.status == 1 && result.err.contains(failure.text), "\(what)")
          }
          try Sys.removeTree(folder)
        }
      }
    }
  }

  struct Failure: Error, ExpressibleByStringLiteral {
    let text: String
    init(stringLiteral text: String) { self.text = text }
  }

  @Test("into a container, by docker's rules of names", arguments: [true, false])
  func into(runs: Bool) throws {
    try Daemon.with { daemon in
      let here = "\(daemon.folder)/in"
      try Sys.mkdirAll("\(here)/dir/sub")
      try Sys.replaceFile("\(here)/file", with: Array("one\n".utf8), mode: 0o640, durable: false)
      try Sys.replaceFile("\(here)/dir/sub/two", with: Array("two\n".utf8), durable: false)
      try Sys.symlink("file", "\(here)/link")
      // source, destination, what is at a place then; or the error
      let table: [(String, String, Result<(String, [String]), Failure>)] = [
        ("file", "/dst", .success(("/dst", ["dir/", "dlink -> dir", "file=one", "flink -> file"]))),
        ("file", "/dst/new", .success(("/dst", ["dir/", "dlink -> dir", "file=old", "flink -> file", "new=one"]))),
        ("file", "/dst/file", .success(("/dst", ["dir/", "dlink -> dir", "file=one", "flink -> file"]))),
        ("file", "/dst/flink", .success(("/dst", ["dir/", "dlink -> dir", "file=one", "flink -> file"]))),
        ("file", "/dst/dlink", .success(("/dst/dir", ["file=one"]))),
        ("file", "/dst/dlink/", .success(("/dst/dir", ["file=one"]))),
        ("dir", "/dst/dir", .success(("/dst/dir", ["dir/", "dir/sub/", "dir/sub/two=two"]))),
        ("dir/.", "/dst/dir", .success(("/dst/dir", ["sub/", "sub/two=two"]))),
        ("dir", "/dst/new", .success(("/dst/new", ["sub/", "sub/two=two"]))),
        ("link", "/dst/dir", .success(("/dst/dir", ["link -> file"]))),
        ("-L link", "/dst/dir", .success(("/dst/dir", ["link=one"]))),
        ("dir", "/dst/file", .failure("cannot copy directory")),
        ("file", "/dst/no/", .failure("no such directory")),
        ("file", "/no/where", .failure("Could not find the file /no in container ")),
        ("none", "/dst", .failure("no such file or directory")),
      ]
      for (index, client) in clients(daemon).enumerated() {
        for (row, (source, target, expected)) in table.enumerated() {
          let name = "dst\(index)-\(row)"
          try container(daemon, name, runs: runs)
          let words = source.split(separator: " ").map(String.init)
          let result = try client.run(["cp"] + words.dropLast() + ["\(here)/\(words.last ?? "")", "\(name):\(target)"])
          let what = "\(client.path) cp \(source) \(target): \(result)"
          switch expected {
          case .success(let (place, lines)):
            let back = "\(daemon.folder)/back"
            try daemon.ok("cp", "\(name):\(place)/.", back)
            let found = try listing(back)
            #expect(result.status == 0 && found == lines, "\(what) \(found)")
            try Sys.removeTree(back)
          case .failure(let failure):
            #expect(result.status == 1 && result.err.contains(failure.text), "\(what)")
          }
          try daemon.ok("rm", "-f", name)
        }
      }
    }
  }

  @Test(
    "volumes and binds are seen, read-only ones are kept, -a gives to the container's user", arguments: [true, false])
  func mounts(runs: Bool) throws {
    try Daemon.with { daemon in
      for name in ["rw", "ro"] { try Sys.mkdirAll("\(daemon.folder)/\(name)") }
      try Sys.replaceFile("\(daemon.folder)/rw/seen", with: Array("bind\n".utf8), durable: false)
      try Sys.replaceFile("\(daemon.folder)/file", with: Array("one\n".utf8), durable: false)
      try container(
        daemon, "mounted", runs: runs,
        ["-u", "0:0", "-v", "\(daemon.folder)/rw:/made/for/it", "-v", "\(daemon.folder)/ro:/ro:ro"])
      let tar = try daemon.ok("cp", "mounted:/made", "\(daemon.folder)/got")
      tar.discard()
      #expect(try listing("\(daemon.folder)/got") == ["for/", "for/it/", "for/it/seen=bind"])
      try daemon.ok("cp", "\(daemon.folder)/file", "mounted:/made/for/it/back")
      #expect(try Sys.readFile("\(daemon.folder)/rw/back") == Array("one\n".utf8))
      let refused = try daemon.berth.run(["cp", "\(daemon.folder)/file", "mounted:/ro"])
      #expect(refused.err == "Error response from daemon: mounted volume is marked read-only\n")
      #expect(try listing("\(daemon.folder)/ro").isEmpty)

      let user = try daemon.berth.run(
        ["run", "-d", "--name", "user", "-u", "7:8", "--read-only", "--tmpfs", "/tmp", "busybox", "sleep", "1000"])
      #expect(user.status == 0)
      let whole = try daemon.berth.run(["cp", "\(daemon.folder)/file", "user:/root"])
      #expect(whole.err == "Error response from daemon: container rootfs is marked read-only\n")
      try daemon.ok("create", "--name", "plain", "-u", "7:8", "busybox", "stat", "-c", "%u:%g", "/opt-a", "/opt-b")
      try daemon.ok("cp", "-a", "\(daemon.folder)/file", "plain:/opt-a")
      try daemon.ok("cp", "\(daemon.folder)/file", "plain:/opt-b")
      #expect(try daemon.ok("start", "-a", "plain").out == "7:8\n0:0\n")
    }
  }

  @Test("between containers, through pipes, and no leak of descriptors")
  func streams() throws {
    try Daemon.with { daemon in
      try container(daemon, "one", runs: true)
      try container(daemon, "two", runs: false)
      let pid = try #require(daemon.process).pid
      var before = 0
      for round in 0..<5 {
        // Not before what is made ahead has been replaced.
        if round == 1 { before = try Sys.entries(of: "/proc/\(pid)/fd").count }
        try daemon.ok("cp", "one:/src/dir/.", "two:/dst/from-one")
        try daemon.ok("cp", "two:/src/file", "one:/dst/dir")
        let none = try daemon.berth.run(["cp", "one:/nothing", "\(daemon.folder)/x"])
        #expect(none.status == 1)
      }
      try daemon.ok("cp", "two:/dst/from-one", "\(daemon.folder)/got")
      #expect(try listing("\(daemon.folder)/got") == ["sub/", "sub/two=two"])
      let shell = Command(path: "/bin/sh", environment: ["BERTH_HOST": daemon.host])
      let piped = try shell.run([
        "-c",
        "\(Daemon.bin)/berth cp one:/src - | \(Daemon.bin)/berth cp - two:/dst && \(Daemon.bin)/berth cp two:/dst/src/file -",
      ])
      #expect(piped.status == 0 && piped.out.contains("one\n"), "\(piped.err)")
      let missing = try daemon.berth.run(["cp", "-", "one:/src/file"], input: "")
      #expect(missing.err == "destination \"one:/src/file\" must be a directory\n")
      let after = try Sys.entries(of: "/proc/\(pid)/fd").count
      #expect(after <= before + 2, "\(before) descriptors before, \(after) after")
      let mounts = String(decoding: try Sys.readFile("/proc/\(pid)/mountinfo"), as: UTF8.self)
      #expect(!mounts.contains("\(daemon.folder)/data/snapshots"))
    }
  }

  @Test("diff, commit and export tell what was written")
  func changes() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "--name", "changed", "busybox", "sh", "-c",
        "mkdir -p /new/dir; echo x > /new/dir/f; ln /new/dir/f /new/hard; rm /etc/passwd; echo y >> /etc/group; rm -rf /home; mkdir /home; touch /home/own"
      )
      let lines = try daemon.ok("diff", "changed").lines
      for line in [
        "A /new", "A /new/dir", "A /new/dir/f", "A /new/hard", "D /etc/passwd", "C /etc/group", "C /etc", "A /home/own",
      ] { #expect(lines.contains(line), "\(line) in \(lines)") }
      #expect(
        !lines.contains { $0.hasSuffix("/etc/hosts") || $0.hasSuffix("/proc") || $0.hasSuffix(" /dev") }, "\(lines)")
      let id = try daemon.ok(
        "commit", "-a", "me", "-m", "why", "-c", "ENV A=b", "-c", "ENTRYPOINT [\"cat\"]", "-c", "CMD [\"/new/hard\"]",
        "changed", "made:1"
      ).line
      #expect(id.hasPrefix("sha256:"))
      #expect(try daemon.ok("run", "--rm", "made:1").out == "x\n")
      let image = try daemon.inspect("made:1")
      #expect(image["Author"]?.stringValue == "me" && image["Comment"]?.stringValue == "why")
      let listed = try daemon.ok(
        "run", "--rm", "--entrypoint", "sh", "made:1", "-c",
        "ls /home; [ -e /etc/passwd ] || echo gone; [ /new/hard -ef /new/dir/f ] && echo linked; tail -n 1 /etc/group")
      #expect(listed.out == "own\ngone\nlinked\ny\n")
      try daemon.ok("create", "--name", "unchanged", "made:1")
      #expect(try daemon.ok("diff", "unchanged").out.isEmpty)
      try daemon.ok("export", "-o", "\(daemon.folder)/root.tar", "changed")
      try daemon.ok("import", "-c", "CMD [\"cat\", \"/new/dir/f\"]", "\(daemon.folder)/root.tar", "imported:1")
      #expect(try daemon.ok("run", "--rm", "imported:1").out == "x\n")
      // Of one that runs, and paused meanwhile, as its events tell.
      try daemon.ok("run", "-d", "--name", "runs", "busybox", "sh", "-c", "echo here > /f; sleep 1000")
      try daemon.ok("exec", "runs", "sh", "-c", "until [ -e /f ]; do :; done")
      try daemon.ok("commit", "runs", "live:1")
      #expect(try daemon.ok("run", "--rm", "live:1", "cat", "/f").out == "here\n")
      #expect(try daemon.inspect("runs")["State"]?["Status"]?.stringValue == "running")
    }
  }
}
