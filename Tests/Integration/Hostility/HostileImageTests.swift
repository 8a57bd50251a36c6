import CLinux
import Kernel
import OCI
import Testing

/// What hostile images and containers have done to docker, podman and containerd, tried on the engine: one test a CVE. What `cp` was led
/// to is in CopyEscapeTests; image volumes and binds in VolumeTests; manifests, digests and archives in ImagesTests and ArchiveTests.
@Suite("hostile images", .serialized)
struct HostileImageTests {
  /// An image of busybox and these members, with what `changes` say in Dockerfile's words.
  private func image(_ daemon: Daemon, _ name: String, _ members: [UInt8], _ changes: String...) throws {
    let busybox = try #require(ProcessEnvironment.find("busybox"))
    var tar = members + Tar.directory("bin") + Tar.file("bin/busybox", try Sys.readFile(busybox), mode: "0000755")
    for applet in [
      "sh", "cat", "ls", "id", "sleep", "echo", "readlink", "stat", "touch", "true", "awk", "grep", "mount", "unshare",
      "env", "wc",
    ] {
      tar += Tar.link("bin/\(applet)", to: "busybox")
    }
    let path = "\(daemon.folder)/\(name).tar"
    try Sys.replaceFile(path, with: tar + [UInt8](repeating: 0, count: 1024), durable: false)
    let result = try daemon.berth.run(["import"] + changes.flatMap { ["-c", $0] } + [path, name])
    try #require(result.status == 0, "\(result)")
    try Sys.unlink(path)
  }

  /// Changes with every write, and with whatever undoes one.
  private static func mark(_ path: String) throws -> [Int] {
    let status = try Sys.status(path)
    return [Int(status.st_ino), Int(status.st_size), status.st_ctim.tv_sec, status.st_ctim.tv_nsec]
  }

  private func victim(_ daemon: Daemon) throws -> String {
    let victim = "\(daemon.folder)/victim"
    try Sys.mkdirAll(victim)
    try Sys.replaceFile("\(victim)/secret", with: Array("host\n".utf8), durable: false)
    return victim
  }

  private func isUntouched(_ victim: String) throws -> Bool {
    try Sys.entries(of: victim).map(\.name) == ["secret"] && Sys.readFile("\(victim)/secret") == Array("host\n".utf8)
  }

  @Test("CVE-2024-21626: WORKDIR and ENTRYPOINT of an image are descriptors of the engine's")
  func descriptors() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      let tool = "\(victim)/tool"
      try Sys.replaceFile(tool, with: Array("#!/bin/echo executed\n".utf8), mode: 0o755, durable: false)
      try Sys.chmod(tool, 0o755)
      try daemon.ok("run", "-d", "--name", "target", "busybox", "sleep", "1000")
      let up = String(repeating: "../", count: 24)
      for number in 3...20 {
        let directory = "/proc/self/fd/\(number)"
        let outside = "\(directory)/\(up)\(tool.dropFirst())"
        for words in [
          ["run", "--rm", "--network", "none", "-w", directory, "busybox", "ls"],
          [
            "run", "--rm", "--network", "none", "-w", "\(directory)/\(up)\(victim.dropFirst())", "busybox", "cat",
            "secret",
          ],
          ["run", "--rm", "--network", "none", "--entrypoint", outside, "busybox"],
          ["exec", "-w", directory, "target", "ls"], ["exec", "target", outside],
        ] {
          let result = try daemon.berth.run(words)
          #expect(
            !result.out.contains("executed") && !result.out.contains("host") && !result.out.contains("secret")
              && (result.status != 0 || result.out.contains("bin")), "\(words): \(result)")
        }
      }
      try Sys.unlink(tool)
      #expect(try isUntouched(victim))
    }
  }

  @Test("CVE-2019-5736: the shim's program is executed and overwritten from inside")
  func shimIsOverwritten() throws {
    try Daemon.with { daemon in
      let programs = ["berth", "berthd", "berth-shim", "berth-runtime"].map { "\(Daemon.bin)/\($0)" }
      let before = try programs.map { try Self.mark($0) }
      try image(
        daemon, "evil",
        Tar.file("tool", Array("#!/proc/self/exe\n".utf8), mode: "0000755") + Tar.link("self", to: "/proc/self/exe"))
      let attack = """
        touch /ready; while :; do for d in /proc/[0-9]*; do case $(readlink $d/exe) in */busybox|"") continue;; esac
        exec 9<$d/exe || continue; n=0; while [ $n -lt 50 ]; do n=$((n+1)); echo evil 2>/dev/null >/proc/self/fd/9 && echo written >>/seen; done; exec 9<&-; done; done
        """
      try daemon.ok("run", "-d", "--name", "attacker", "--network", "none", "evil", "/bin/sh", "-c", attack)
      try daemon.ok("exec", "attacker", "/bin/sh", "-c", "until [ -e /ready ]; do :; done")
      for program in ["/tool", "/self"] {
        // As the shim's program it may wait for an opening that never comes: it is cut off.
        for _ in 0..<3 { _ = try daemon.berth.run(["exec", "attacker", program, "x"], deadline: 3) }
        _ = try daemon.berth.run(["run", "--rm", "--network", "none", "evil", program, "x"], deadline: 3)
      }
      #expect(try daemon.berth.run(["exec", "attacker", "/bin/ls", "/seen"]).status != 0)
      // As the first process, by its own link: init's program is the shim's.
      let inside = try daemon.berth.run([
        "run", "--rm", "--init", "--network", "none", "busybox", "sh", "-c", "echo x >/proc/1/exe",
      ])
      #expect(inside.status != 0)
      #expect(try programs.map { try Self.mark($0) } == before)
    }
  }

  @Test(
    "GHSA-vp62-88p7-qqf5, GHSA-rg2x-37c3-w2rh, CVE-2021-30465: an image's links under everything that the engine mounts"
  )
  func links() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      let up = String(repeating: "../", count: 24) + victim.dropFirst()
      for (name, target) in [("absolute", victim), ("relative", up)] {
        for link in ["etc", "dev", "data", "run", "var", "work"] {
          try image(daemon, "\(name)-\(link)", Tar.link(link, to: target))
          let result = try daemon.berth.run([
            "run", "--rm", "-v", "vol:/data", "-v", "\(victim)/secret:/etc/deep/file:ro", "--tmpfs", "/run/x",
            "--mount",
            "type=volume,dst=/var/lib/x", "-w", "/work/new", "--shm-size", "1m", "\(name)-\(link)", "/bin/sh", "-c",
            "cat /etc/hosts >/dev/null && echo started",
          ])
          #expect(try isUntouched(victim), "\(name) \(link): \(result)")
          #expect(result.out == "started\n", "links are followed inside: \(name) \(link): \(result)")
        }
        for link in ["proc", "sys"] {
          try image(daemon, "\(name)-\(link)", Tar.link(link, to: target))
          let result = try daemon.berth.run(["run", "--rm", "--network", "none", "\(name)-\(link)", "/bin/true"])
          #expect(result.status != 0, "\(name) \(link): \(result)")
          #expect(try isUntouched(victim))
        }
        for link in ["hosts", "hostname", "resolv.conf", "passwd", "group"] {
          try image(daemon, "\(name)-\(link)", Tar.directory("etc") + Tar.link("etc/\(link)", to: target + "/secret"))
          let result = try daemon.berth.run(["run", "--rm", "\(name)-\(link)", "/bin/cat", "/etc/hosts"])
          #expect(result.out.contains("localhost") && !result.out.contains("host\n\n"), "\(name) \(link): \(result)")
          #expect(try isUntouched(victim))
        }
      }
    }
  }

  @Test(
    "CVE-2022-23648: an image's volume is a link to the host, and what is there would be copied into the new volume")
  func imageVolume() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      let up = String(repeating: "../", count: 24) + victim.dropFirst()
      for (name, target) in [("absolute", victim), ("relative", up)] {
        try image(daemon, name, Tar.link("vol", to: target), "VOLUME /vol")
        let result = try daemon.berth.run(["run", "--rm", name, "/bin/ls", "/vol/"])
        #expect(!result.out.contains("secret"), "\(result)")
        try image(daemon, name + "-path", [], "VOLUME /../../..\(victim)")
        let path = try daemon.berth.run(["run", "--rm", name + "-path", "/bin/ls", victim])
        #expect(!path.out.contains("secret"), "\(path)")
      }
      #expect(try isUntouched(victim))
    }
  }

  @Test("CVE-2025-31133, CVE-2025-52565: an image's null device and console")
  func devices() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      try image(
        daemon, "evil",
        Tar.directory("dev") + Tar.directory("dev/pts") + Tar.link("dev/null", to: "/proc/sys/kernel/core_pattern")
          + Tar.link("dev/console", to: "\(victim)/secret") + Tar.link("dev/pts/0", to: "\(victim)/secret"))
      let result = try daemon.berth.run([
        "run", "--rm", "-t", "evil", "/bin/sh", "-c", "stat -c %t:%T /proc/keys /dev/null; stat -c %F /dev/console",
      ])
      #expect(result.out.contains("1:3\r\n1:3\r\n"), "\(result)")
      #expect(result.out.contains("character special file"), "\(result)")
      #expect(try isUntouched(victim))
    }
  }

  @Test("CVE-2022-0492, CVE-2022-0185: release agents and namespaces of one's own, with Docker's defaults")
  func kernelDoors() throws {
    try Daemon.with { daemon in
      let result = try daemon.ok(
        "run", "--rm", "busybox", "sh", "-c",
        """
        for f in /sys/fs/cgroup/release_agent /sys/fs/cgroup/*/release_agent; do echo /evil 2>/dev/null >$f && echo "wrote $f"; done
        for d in /sys/fs/cgroup /sys/fs/cgroup/*; do mkdir $d/evil 2>/dev/null && echo "made $d"; done
        for t in rdma memory pids; do mount -t cgroup -o $t none /mnt 2>/dev/null && echo mounted; done
        for f in U Um Un Uc UrmC i m n u p; do unshare -$f true 2>/dev/null && echo "unshared $f"; done
        mount -o remount,rw /sys 2>/dev/null && echo remounted
        echo end
        """)
      #expect(result.out == "end\n")
    }
  }

  @Test("CVE-2022-36109, CVE-2023-25173: the primary group is among the groups, lest a file that denies it opens")
  func groups() throws {
    try Daemon.with { daemon in
      try image(
        daemon, "users",
        Tar.directory("etc") + Tar.file("etc/passwd", "ann:x:1000:1001::/:/bin/sh\n")
          + Tar.file("etc/group", "ann:x:1001:\nwheel:x:10:ann\n"), "USER ann")
      for (flags, ids) in [
        ([], "1001 10"), (["-u", "ann"], "1001 10"), (["-u", "1000"], "1001 10"), (["-u", "7:8"], "8"),
        (["-u", "1000:5"], "5"), (["--group-add", "9"], "1001 10 9"),
      ] as [([String], String)] {
        let result = try daemon.berth.run(
          ["run", "--rm", "--network", "none"] + flags + [
            "users", "/bin/awk", "/^Groups/{$1=\"\";print substr($0,2)}", "/proc/self/status",
          ])
        #expect(result.line.split(separator: " ").sorted() == ids.split(separator: " ").sorted(), "\(flags): \(result)")
      }
      // Numbers stay numbers, whatever the image calls its users (CVE-2026-46680).
      try image(
        daemon, "named",
        Tar.directory("etc")
          + Tar.file("etc/passwd", "1000:x:0:0::/:/bin/sh\nroot:x:0:0::/:/bin/sh\nminus:x:4294967295:0::/:/bin/sh\n"),
        "USER 1000")
      #expect(try daemon.ok("run", "--rm", "--network", "none", "named", "/bin/id", "-u").line == "1000")
      let minus = try daemon.berth.run(["run", "--rm", "--network", "none", "-u", "minus", "named", "/bin/id", "-u"])
      #expect(minus.status != 0 && minus.out.isEmpty, "\(minus)")
    }
  }

  @Test("CVE-2026-53488: labels of an image change nothing of how it is run")
  func labels() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      try image(
        daemon, "labelled", [], "LABEL run.oci.hooks.stdout=\(victim)/new", "LABEL run.oci.keep_original_groups=1",
        "LABEL org.systemd.property.ExecStop=/bin/false", "LABEL run.oci.handler=krun",
        "LABEL io.kubernetes.cri-o.userns-mode=auto")
      let result = try daemon.ok("run", "--rm", "labelled", "/bin/id", "-u")
      #expect(result.line == "0")
      #expect(try isUntouched(victim))
    }
  }

  @Test("CVE-2020-15257: a container in the host's network namespace finds no abstract socket of ours")
  func abstractSockets() throws {
    try Daemon.with { daemon in
      let before = Set(
        try Sys.readFile("/proc/net/unix").split(separator: 10).compactMap {
          $0.split(separator: 32).last.map { String(decoding: $0, as: UTF8.self) }
        })
      try daemon.ok("run", "-d", "--name", "other", "--network", "none", "busybox", "sleep", "1000")
      let inside = try daemon.ok("run", "--rm", "--network", "host", "busybox", "cat", "/proc/net/unix")
      let names = inside.lines.compactMap { $0.split(separator: " ").last.map(String.init) }.filter {
        $0.hasPrefix("@")
      }
      #expect(names.allSatisfy { before.contains($0) || !$0.contains("berth") }, "\(names)")
    }
  }

  @Test("CVE-2021-41089, CVE-2021-41091, CVE-2021-41103: nobody but root looks into the data root and the exec root")
  func permissions() throws {
    try Daemon.with { daemon in
      try daemon.ok("run", "-d", "--name", "cc", "-v", "vol:/v", "busybox", "sleep", "1000")
      func mode(_ path: String) throws -> UInt32 { try Sys.status("\(daemon.folder)/\(path)").st_mode & 0o777 }
      func expect(_ path: String, without bits: UInt32) throws {
        let mode = try mode(path)
        #expect(mode & bits == 0, "\(path): \(String(mode, radix: 8))")
      }
      // Passing through is needed where a container's user namespace has other ids; listing and writing isn't.
      for path in ["data", "data/containers", "data/snapshots", "data/volumes", "run/containers"] {
        try expect(path, without: 0o066)
      }
      let id = try daemon.inspect("cc")["Id"]?.stringValue ?? ""
      for path in ["data/berth.db", "data/containers/\(id)", "run/containers/\(id)"]
      where Sys.exists("\(daemon.folder)/\(path)") {
        try expect(path, without: 0o066)
      }
      for entry in try Sys.entries(of: "\(daemon.folder)/run/containers/\(id)") where entry.name.hasSuffix(".sock") {
        try expect("run/containers/\(id)/\(entry.name)", without: 0o077)
      }
    }
  }

  @Test("GHSA-jq35-85cj-fj4p, GHSA-6fw5-f8r9-fgfm: what tells of the machine's power, heat and interrupts is masked")
  func sideChannels() throws {
    try Daemon.with { daemon in
      let result = try daemon.ok(
        "run", "--rm", "--network", "none", "busybox", "sh", "-c",
        "wc -c </proc/interrupts; ls /sys/devices/virtual/powercap /sys/devices/system/cpu/cpu*/thermal_throttle /sys/firmware 2>/dev/null | grep -v : | wc -l"
      )
      #expect(result.out == "0\n0\n", "\(result)")
    }
  }
}
