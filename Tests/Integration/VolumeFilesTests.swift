import CLinux
import Kernel
import OCI
import Testing

/// Volumes, binds and image mounts of containers that don't run, through `cp`; and what an image mount shows.
@Suite("files of mounts", .serialized)
struct VolumeFilesTests {
  @Test("cp of a stopped container goes through its volumes, parts of volumes, what options mount, binds and images")
  func stopped() throws {
    try Daemon.with { daemon in
      let host = daemon.folder + "/host"
      try Sys.mkdirAll(host)
      try Sys.replaceFile(daemon.folder + "/file", with: Array("word\n".utf8), durable: false)
      try daemon.ok(
        "run", "--rm", "-v", "vol:/v", "busybox", "sh", "-c", "mkdir -p /v/part; echo top > /v/f; echo in > /v/part/f")
      try daemon.ok("volume", "create", "-o", "type=none", "-o", "o=bind", "-o", "device=\(host)", "bound")
      var mounts = [
        "--mount", "type=volume,src=vol,dst=/whole", "--mount", "type=volume,src=vol,dst=/part,volume-subpath=part",
        "-v", "bound:/bound", "-v", "\(host):/host", "--mount", "type=image,src=busybox,dst=/image",
        "--mount", "type=image,src=busybox,dst=/etc-of,image-subpath=etc", "-v", "vol:/fixed:ro",
      ]
      var places = ["/whole", "/part", "/bound", "/host", "/image", "/etc-of"]
      if Sys.exists("/dev/loop-control") {
        try daemon.ok("volume", "create", "-o", "size=20m", "sized")
        mounts += ["-v", "sized:/sized"]
        places.append("/sized")
      }
      let created = try daemon.berth.run(
        ["create", "--name", "still"] + mounts + ["busybox", "sh", "-c", "cat /*/copied"])
      try #require(created.status == 0, "\(created)")
      func read(_ path: String) throws -> String { try daemon.ok("cp", "-q", "still:\(path)", "-").out }
      #expect(try read("/whole/f").contains("top\n") && read("/part/f").contains("in\n"))
      #expect(try read("/etc-of/passwd").contains("root:x:0:0") && read("/image/etc/passwd").contains("root:x:0:0"))
      for place in places { try daemon.ok("cp", "-q", daemon.folder + "/file", "still:\(place)/copied") }
      let refused = try daemon.berth.run(["cp", "-q", daemon.folder + "/file", "still:/fixed/copied"])
      #expect(refused.err.contains("mounted volume is marked read-only"), "\(refused)")
      #expect(try Sys.readFile("\(daemon.folder)/data/volumes/vol/_data/part/copied") == Array("word\n".utf8))
      #expect(try Sys.readFile("\(host)/copied") == Array("word\n".utf8))
      // The container finds all of it; /fixed and /whole are one volume.
      #expect(try daemon.ok("start", "-a", "still").lines == Array(repeating: "word", count: places.count + 1))
      try daemon.ok("rm", "still")
      for _ in 0..<100 where try mounted(daemon) > 0 { _ = try Command(path: "/bin/sleep").run(["0.05"]) }
      #expect(try mounted(daemon) == 0)
    }
  }

  private func mounted(_ daemon: Daemon) throws -> Int {
    String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self).split(separator: "\n").count {
      $0.contains("\(daemon.folder)/data/volumes/")
    }
  }

  @Test("a link that is swapped in a bind's source leads cp of a stopped container nowhere")
  func swapped() throws {
    let base = "/tmp/berth-test-swap-\(getpid())"
    defer { try? Sys.removeTree(base) }
    for name in ["open", "secret"] { try Sys.mkdirAll("\(base)/\(name)") }
    try Sys.replaceFile("\(base)/secret/key", with: Array("key\n".utf8), durable: false)
    try Sys.symlink("open", base + "/link")
    let policy: JSON = ["bind-mount-policy": ["denied-paths": [.string(base + "/secret")]]]
    try Sys.replaceFile(base + "/daemon.json", with: policy.encoded(), durable: false)
    try Daemon.with(flags: ["--config-file", base + "/daemon.json"]) { daemon in
      try daemon.ok("create", "--name", "still", "-v", "\(base)/link:/d", "busybox", "true")
      try Sys.unlink(base + "/link")
      try Sys.symlink("secret", base + "/link")
      let refused = try daemon.berth.run(["cp", "still:/d/key", "-"])
      #expect(refused.status == 1 && refused.err.contains("denied-paths"), "\(refused)")
    }
  }

  @Test("a part of an image is what its layers merge to there")
  func parts() throws {
    try Daemon.with { daemon in
      func layer(_ from: String, _ to: String, _ script: String) throws {
        try daemon.ok("run", "--name", "maker", from, "sh", "-c", script)
        try daemon.ok("commit", "maker", to)
        try daemon.ok("rm", "maker")
      }
      try layer(
        "busybox", "one",
        "mkdir -p /a/b /a/gone /a/new; echo 1 > /a/b/low; echo 1 > /a/b/both; echo 1 > /a/gone/f; echo 1 > /a/new/old; "
          + "ln -s /a/b /link; chown 7:8 /a/b; chmod 750 /a/b")
      try layer(
        "one", "two",
        "echo 2 > /a/b/both; echo 2 > /a/b/high; rm -r /a/gone /a/new; mkdir /a/new; echo 2 > /a/new/n; rm /a/b/low")
      func see(_ part: String, _ script: String, _ more: String = "") throws -> [String] {
        try daemon.ok(
          "run", "--rm", "--mount", "type=image,src=two,dst=/d,image-subpath=\(part)\(more)", "busybox", "sh", "-c",
          script
        ).lines
      }
      #expect(try see("a/b", "ls /d; cat /d/both; stat -c '%u:%g %a' /d") == ["both", "high", "2", "7:8 750"])
      #expect(try see("link", "ls /d") == ["both", "high"])
      #expect(try see("a", "ls /d") == ["b", "new"])
      #expect(try see("a/new", "ls /d") == ["n"])
      #expect(try see("a/b/both", "echo 3 > /d; cat /d") == ["3"], "written to a copy")
      #expect(try see("a/b/both", "cat /d; echo 4 2>/dev/null > /d || echo no", ",readonly").suffix(2) == ["2", "no"])
      #expect(try see("a/b", "echo 5 > /d/mine; cat /d/mine") == ["5"])
      #expect(try see("a/b", "ls /d") == ["both", "high"], "what was written went with its container")
    }
  }
}
