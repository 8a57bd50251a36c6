import CLinux
import Kernel
import OCI
import Testing

/// What hostile containers and archives have done to other engines' `cp`, tried here: nothing of the host's is read, written or run.
@Suite("cp can't be led out", .serialized)
struct CopyEscapeTests {
  private func victim(_ daemon: Daemon) throws -> String {
    let victim = "\(daemon.folder)/victim"
    try Sys.mkdir(victim)
    try Sys.replaceFile("\(victim)/secret", with: Array("host\n".utf8), durable: false)
    try Sys.replaceFile("\(daemon.folder)/file", with: Array("mine\n".utf8), durable: false)
    return victim
  }

  private func untouched(_ victim: String) throws -> Bool {
    try Sys.entries(of: victim).map(\.name) == ["secret"] && Sys.readFile("\(victim)/secret") == Array("host\n".utf8)
  }

  @Test("links to the host's paths, `..` and /proc's magic links lead nowhere", arguments: [true, false])
  func links(runs: Bool) throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      try daemon.ok(
        "run", "-d", "--name", "evil", "busybox", "sh", "-c",
        """
        ln -s \(victim) /dir; ln -s \(victim)/secret /leak; ln -s /proc/1/root /root1; ln -s /proc/self/root /self
        ln -s ../../../../../..\(victim) /up; ln -s /proc/sys/kernel /kernel; ln -s /proc/1/fd /fds; touch /ready
        \(runs ? "exec sleep 1000" : "exit")
        """)
      if runs {
        try daemon.ok("exec", "evil", "sh", "-c", "until [ -e /ready ]; do :; done")
      } else {
        try daemon.ok("wait", "evil")
      }
      let out = "\(daemon.folder)/out"
      for path in [
        "/leak", "/dir/secret", "/up/secret", "/root1\(victim)/secret", "/self\(victim)/secret",
        "/../../../..\(victim)/secret", "/proc/1/root\(victim)/secret", "/proc/self/cwd\(victim)/secret", "/fds/3",
      ] {
        for flags in [["cp"], ["cp", "-L"]] {
          let result = try daemon.berth.run(flags + ["evil:\(path)", out])
          // A link itself may be copied as one; its content never.
          if result.status == 0 {
            #expect(try Sys.status(out, flags: AT_SYMLINK_NOFOLLOW).fileType == .symbolicLink, "\(path)")
          }
          try Sys.removeTree(out)
        }
        _ = try daemon.berth.run(["cp", "\(daemon.folder)/file", "evil:\(path)"])
      }
      for path in ["/dir", "/up", "/root1\(victim)", "/self\(victim)", "/../..\(victim)", "/proc/1/root\(victim)"] {
        _ = try daemon.berth.run(["cp", "\(daemon.folder)/file", "evil:\(path)"])
        #expect(try untouched(victim), "\(path)")
      }
      let pattern = try Sys.readFile("/proc/sys/kernel/core_pattern")
      let refused = try daemon.berth.run(["cp", "\(daemon.folder)/file", "evil:/kernel/core_pattern"])
      #expect(refused.status == 1)
      #expect(try Sys.readFile("/proc/sys/kernel/core_pattern") == pattern)
    }
  }

  @Test("a directory that is swapped for a link while it is copied into and out of (CVE-2018-15664)")
  func race() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      // A program of one system call a turn: renameat2(RENAME_EXCHANGE) would be faster, mv does.
      try daemon.ok(
        "run", "-d", "--name", "racer", "busybox", "sh", "-c",
        "mkdir /a; ln -s \(victim) /l; touch /ready; while :; do mv /a /b; mv /l /a; mv /a /l; mv /b /a; done")
      try daemon.ok("exec", "racer", "sh", "-c", "until [ -e /ready ]; do :; done")
      let out = "\(daemon.folder)/out"
      var copied = 0
      for _ in 0..<60 {
        let into = try daemon.berth.run(["cp", "\(daemon.folder)/file", "racer:/a"])
        if into.status == 0 { copied += 1 }
        _ = try daemon.berth.run(["cp", "racer:/a/secret", out])
        #expect(!Sys.exists(out), "the host's file came out")
        _ = try daemon.berth.run(["cp", "-L", "racer:/a/.", out])
        #expect(!Sys.exists(out + "/secret"), "the host's file came out")
        try Sys.removeTree(out)
      }
      #expect(copied > 0)
      #expect(try untouched(victim))
    }
  }

  @Test("members that point outside, and links in archives (CVE-2026-17106)", arguments: [true, false])
  func archives(runs: Bool) throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      try daemon.ok("create", "--name", "target", "busybox", "sleep", "1000")
      if runs { try daemon.ok("start", "target") }
      try Sys.mkdir("\(daemon.folder)/dst")
      try daemon.ok("cp", "\(daemon.folder)/dst", "target:/dst")
      let hostile: [(String, [UInt8])] = [
        ("..", Tar.file("../../../../..\(victim)/new", "x")), ("absolute", Tar.file("\(victim)/new", "x")),
        ("link", Tar.link("l", to: victim) + Tar.file("l/new", "x")),
        ("container's", Tar.link("l", to: "/etc") + Tar.file("l/new", "x")),
        ("relative", Tar.link("l", to: "../../../../../..\(victim)") + Tar.file("l/new", "x")),
        ("hard", Tar.link("h", to: "..\(victim)/secret", type: "1")),
        ("hard through a link", Tar.link("l", to: victim) + Tar.link("h", to: "l/secret", type: "1")),
        ("over a link", Tar.link("f", to: "\(victim)/secret") + Tar.file("f", "x")),
      ]
      for (what, members) in hostile {
        let tar = "\(daemon.folder)/hostile.tar"
        try Sys.replaceFile(tar, with: members + [UInt8](repeating: 0, count: 1024), durable: false)
        let input = try Sys.open(tar)
        let running = try daemon.berth.start(["cp", "-", "target:/dst"], stdin: input.raw)
        let result = try running.wait()
        #expect(try untouched(victim), "\(what): \(result)")
        let outside = try daemon.berth.run(["cp", "target:/etc/new", "\(daemon.folder)/etc-new"])
        #expect(outside.status == 1, "\(what): a link led out of the directory")
      }
      // What the container gives may be hostile to the machine it is copied to, too.
      try daemon.ok("run", "--name", "giver", "busybox", "sh", "-c", "mkdir /g; ln -s \(victim) /g/l; echo x > /g/f")
      try Sys.mkdir("\(daemon.folder)/got")
      try Sys.symlink(victim, "\(daemon.folder)/got/f")
      _ = try daemon.berth.run(["cp", "giver:/g/.", "\(daemon.folder)/got"])
      #expect(try untouched(victim))
    }
  }

  @Test("nothing of the container's is run to unpack, and a pipe or device holds nothing up (CVE-2019-14271)")
  func programs() throws {
    try Daemon.with { daemon in
      let victim = try victim(daemon)
      let script = "#!/bin/sh\ntouch /ran\n"
      try daemon.ok(
        "run", "-d", "--name", "booby", "busybox", "sh", "-c",
        """
        for d in /bin /usr/bin /sbin; do mkdir -p $d; for p in xz unpigz gzip zstd tar; do rm -f $d/$p; printf '\(script)' > $d/$p; \
        /bin/busybox chmod 755 $d/$p; done; done
        mkdir -p /lib/x86_64-linux-gnu; for l in files dns; do echo bad > /lib/x86_64-linux-gnu/libnss_$l.so.2; done
        rm -f /etc/passwd; mkfifo /etc/passwd /pipe; mknod /zero c 1 5; touch /ready; exec sleep 1000
        """)
      try daemon.ok("exec", "booby", "/bin/busybox", "sh", "-c", "until [ -e /ready ]; do :; done")
      let shell = Command(path: "/bin/sh", environment: ["BERTH_HOST": daemon.host])
      let packed = try shell.run(["-c", "tar cz -C \(daemon.folder) file | \(Daemon.bin)/berth cp - booby:/tmp"])
      #expect(packed.status == 0, "\(packed)")
      for path in ["/pipe", "/zero", "/etc/passwd", "/tmp"] {
        let copied = try daemon.berth.run(["cp", "booby:\(path)", "-"], deadline: 10)
        #expect(copied.status == 0, "\(path): \(copied.err)")
      }
      // A pipe or a device in the file's place is replaced, not written into.
      for path in ["/pipe", "/zero"] {
        let result = try daemon.berth.run(["cp", "\(daemon.folder)/file", "booby:\(path)"], deadline: 10)
        #expect(result.status == 0 || result.err.contains("got a device"), "\(path): \(result.err)")
      }
      let ran = try daemon.berth.run(["exec", "booby", "/bin/busybox", "ls", "/ran"])
      #expect(ran.status != 0)
      #expect(try untouched(victim))
    }
  }
}
