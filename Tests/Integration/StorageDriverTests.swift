import CLinux
import Kernel
import Testing

/// Whether this kernel knows the file system.
private enum MountedLayers {
  static let arePossible =
    ((try? Sys.readFile("/proc/filesystems")).map {
      String(decoding: $0, as: UTF8.self).contains("\terofs\n")
    }) ?? false
}

@Suite("layers that are mounted as they are", .serialized, .enabled(if: MountedLayers.arePossible, "no EROFS here"))
struct StorageDriverTests {
  /// Where the daemon has images mounted.
  private func mounts(_ daemon: Daemon) throws -> [String] {
    String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).split(separator: "\n")
      .filter { $0.contains(" - erofs ") && $0.contains("\(daemon.folder)/run/layers/") }.map(String.init)
  }

  /// Mounts go behind.
  private func expect(_ count: Int, _ daemon: Daemon, sourceLocation: SourceLocation = #_sourceLocation) throws {
    for _ in 0..<100 {
      if try mounts(daemon).count == count { return }
      _ = try Command(path: "/bin/sleep").run(["0.05"])
    }
    Issue.record("\(try mounts(daemon)) instead of \(count) mounts", sourceLocation: sourceLocation)
  }

  private func entries(_ daemon: Daemon, _ folder: String) throws -> [String] {
    try Sys.entries(of: "\(daemon.folder)/data/\(folder)").map(\.name)
  }

  @Test("one mount an image; commit, diff, cp and export; nothing is left of it")
  func life() throws {
    try Daemon.with(flags: ["--storage-driver", "erofs"]) { daemon in
      #expect(try daemon.ok("info", "--format", "{{.Driver}}").line == "erofs")
      for name in ["one", "two", "three"] { try daemon.ok("run", "-d", "--name", name, "busybox", "sleep", "1000") }
      #expect(try mounts(daemon).count == 1, "three containers share it")
      try daemon.ok("exec", "one", "sh", "-c", "echo text > /made; rm /bin/vi; mkdir /etc/new; echo x > /etc/new/file")
      let changes = try daemon.ok("diff", "one").lines
      #expect(
        Set(changes).isSuperset(of: ["A /made", "C /bin", "D /bin/vi", "A /etc/new", "A /etc/new/file"]), "\(changes)")
      try daemon.ok("cp", "one:/made", "\(daemon.folder)/made")
      #expect(try Sys.readFile("\(daemon.folder)/made") == Array("text\n".utf8))
      try daemon.ok("commit", "one", "next")
      // Two layers, one mount of its own.
      #expect(
        try daemon.ok("run", "--rm", "next", "sh", "-c", "cat /made /etc/new/file; ls /bin/vi 2>&1; ls /bin/cat").lines
          == ["text", "x", "ls: /bin/vi: No such file or directory", "/bin/cat"])
      try daemon.ok("export", "-o", "\(daemon.folder)/exported", "one")
      let names = try Command(path: "/bin/tar").run(["-tf", "\(daemon.folder)/exported"]).lines
      #expect(names.contains("made") && names.contains("bin/cat") && !names.contains("bin/vi"))
      try daemon.ok("save", "-o", "\(daemon.folder)/saved", "next")
      try daemon.ok("rm", "-f", "one", "two", "three")
      try daemon.ok("rmi", "-f", "next")
      if try !daemon.ok("images", "-q").lines.isEmpty { try daemon.ok("rmi", "-f", "busybox") }
      try expect(0, daemon)
      #expect(try entries(daemon, "layers").isEmpty && entries(daemon, "images").isEmpty)
      try daemon.ok("load", "-i", "\(daemon.folder)/saved")
      #expect(try daemon.ok("run", "--rm", "next", "cat", "/made").line == "text")
    }
  }

  @Test("a killed daemon finds its mounts, a lost one is made again, one that nobody needs is swept")
  func restarts() throws {
    try Daemon.with(flags: ["--storage-driver", "erofs"]) { daemon in
      try daemon.ok("run", "-d", "--name", "runs", "busybox", "sleep", "1000")
      try daemon.ok("run", "--name", "ended", "busybox", "sh", "-c", "echo kept > /kept")
      let before = try mounts(daemon)
      try daemon.kill()
      try daemon.start()
      #expect(try mounts(daemon) == before)
      #expect(try daemon.ok("exec", "runs", "cat", "/etc/passwd").lines.count > 0)
      #expect(try mounts(daemon).count == 1)
      // As after a reboot of the host: containers have ended and mounts are gone.
      try daemon.ok("kill", "runs")
      try daemon.kill()
      for mount in try mounts(daemon) { try Sys.umount(String(mount.split(separator: " ")[4]), flags: 2) }
      try daemon.start()
      try daemon.ok("start", "runs")
      #expect(try daemon.ok("exec", "runs", "ls", "/bin/busybox").line == "/bin/busybox")
      #expect(try daemon.ok("start", "-a", "ended").status == 0)
      try daemon.ok("rm", "-f", "runs", "ended")
      // A mount that nobody needs any more is swept.
      try daemon.kill()
      try daemon.start()
      try expect(0, daemon)
    }
  }
}
