import CLinux
import Kernel
import Testing

/// Sizes by project quota: on an ext4 of the test's own that keeps to them, where the kernel can.
@Suite("volumes with a size on a file system with project quotas")
struct VolumeQuotaTests {
  @Test("the limit is seen and met, counts what the volume holds, grows at once, and survives restore and the daemon")
  func quota() throws {
    let base = "/tmp/berth-test-quota-\(getpid())"
    let data = base + "/data"
    try Sys.mkdirAll(data)
    defer {
      // Containers' files are on it until the daemon is gone.
      try? Sys.umount(data, flags: 2)
      try? Sys.removeTree(base)
    }
    do {
      let image = try Sys.open(base + "/image", O_RDWR | O_CREAT | O_EXCL, mode: 0o600)
      try Sys.ftruncate(image.raw, 512 << 20)
    }
    func run(_ program: String, _ arguments: String...) throws -> Command.Result {
      try Command(path: program, environment: ["PATH": "/usr/sbin:/usr/bin:/sbin:/bin"]).run(arguments)
    }
    let made = try run("/usr/sbin/mkfs.ext4", "-q", "-F", "-O", "quota,project", base + "/image")
    try #require(made.status == 0, "\(made)")
    guard try run("/usr/bin/mount", "-o", "loop,prjquota", base + "/image", data).status == 0 else {
      try Test.cancel("this kernel has no project quotas on ext4")
    }
    try Daemon.with(flags: ["--data-root", data]) { daemon in
      try daemon.ok("volume", "create", "-o", "size=32m", "small")
      #expect(!Sys.exists(data + "/volumes/small/fs.img"))
      try daemon.ok("run", "-d", "--name", "user", "-v", "small:/d", "busybox", "sleep", "1000")
      func kilobytes() throws -> Int {
        Int(try daemon.ok("exec", "user", "sh", "-c", "df -k /d | tail -1 | awk '{print $2}'").line) ?? 0
      }
      #expect(try kilobytes() == 32768)
      let full = try daemon.berth.run(["exec", "user", "dd", "if=/dev/zero", "of=/d/f", "bs=1M", "count=40"])
      #expect(full.err.contains("Disk quota exceeded") || full.err.contains("No space left"), "\(full)")
      func size(_ name: String) throws -> String {
        try daemon.ok("system", "df", "-v").lines.first { $0.hasPrefix("\(name) ") } ?? ""
      }
      let met = try size("small")
      #expect(met.contains("33.5"), "\(met)")
      try daemon.ok("volume", "update", "--size", "64m", "small")
      #expect(try kilobytes() == 65536)
      try daemon.ok(
        "exec", "user", "sh", "-c", "dd if=/dev/urandom of=/d/g bs=1M count=16 2>/dev/null; md5sum /d/g >/d/sum")
      try daemon.ok("volume", "snapshot", "small", "then")
      try daemon.ok("rm", "-f", "user")
      // More than half is in use: for a moment there are two contents.
      try daemon.ok("volume", "restore", "small", "then")
      try daemon.ok("volume", "clone", "small", "other")
      try daemon.kill()
      try daemon.start()
      for name in ["small", "other"] {
        let seen = try daemon.berth.run([
          "run", "--rm", "-v", "\(name):/d", "busybox", "sh", "-c",
          "md5sum -c /d/sum && df -k /d | tail -1 | awk '{print $2}' && dd if=/dev/zero of=/d/h bs=1M count=40",
        ])
        #expect(seen.lines == ["/d/g: OK", "65536"] && seen.status == 1, "\(name): \(seen)")
      }
      // What the image has comes into it as into any other, within the limit.
      try daemon.ok("run", "--name", "base", "busybox", "sh", "-c", "mkdir /c; dd if=/dev/zero of=/c/f bs=1M count=4")
      try daemon.ok("commit", "base", "content")
      try daemon.ok("volume", "create", "-o", "size=16m", "filled")
      try daemon.ok("run", "--rm", "-v", "filled:/c", "content", "test", "-s", "/c/f")
      let filled = try size("filled")
      #expect(filled.contains("4.19"), "\(filled)")
      try daemon.ok("rm", "base")
      try daemon.ok("volume", "rm", "small", "other", "filled")
      try daemon.ok("volume", "undelete", "small")
      #expect(
        try daemon.ok("run", "--rm", "-v", "small:/d", "busybox", "sh", "-c", "df -k /d | tail -1 | awk '{print $2}'")
          .line
          == "65536")
    }
  }
}
