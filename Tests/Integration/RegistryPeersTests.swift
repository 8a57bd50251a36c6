import CLinux
import Kernel
import OCI
import Testing

/// Images that go between engines: docker 26, podman and skopeo read what we wrote and we what they wrote, with the same ids and digests.
@Suite(
  "images of other engines", .serialized, .enabled(if: Peers.command != nil, .init(rawValue: Peers.absence)),
  .enabled(if: ProcessEnvironment.find("docker-registry") != nil, "no docker-registry on PATH"))
struct RegistryPeersTests {
  private func peer(_ arguments: String..., deadline: UInt64 = 120) throws -> Command.Result {
    let peers = try #require(Peers.command)
    let result = try Command(path: peers.path).run(peers.prefix + arguments, deadline: deadline)
    try #require(result.status == 0, "\(arguments.joined(separator: " ")): \(result)")
    return result
  }

  private func with(_ body: (Daemon, String) throws -> Void) throws {
    try Daemon.with { daemon in
      let host = "127.0.0.1:\(20_000 + (Int(getpid()) + 7) % 20_000)"
      let file = try Sys.open("\(daemon.folder)/registry.yml", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
      try Sys.writeAll(
        file.raw,
        """
        version: 0.1
        log: {level: error, accesslog: {disabled: true}}
        storage: {filesystem: {rootdirectory: \(daemon.folder)/registry}}
        http: {addr: "\(host)"}

        """)
      let registry = try Command(
        path: try #require(ProcessEnvironment.find("docker-registry")), environment: ["OTEL_TRACES_EXPORTER": "none"]
      ).start(["serve", "\(daemon.folder)/registry.yml"])
      defer {
        try? registry.signal(SIGTERM)
        _ = try? registry.wait()
      }
      for _ in 0..<200 where try daemon.berth.run(["search", "\(host)/x"]).err.contains("refused") { usleep(50_000) }
      try body(daemon, host)
    }
  }

  @Test("skopeo and podman, by a registry and by archives") func skopeoAndPodman() throws {
    try with { daemon, host in
      let id = try daemon.ok("inspect", "-f", "{{.Id}}", "busybox").line
      let ours = "\(host)/ours/busybox:1"
      try daemon.ok("tag", "busybox", ours)
      try daemon.ok("push", ours)
      let digest =
        try daemon.ok("inspect", "-f", "{{index .RepoDigests 0}}", ours).line.split(separator: "@").last ?? ""

      // They read what we pushed.
      #expect(
        try peer("skopeo", "inspect", "--tls-verify=false", "-f", "{{.Digest}}", "docker://\(ours)").line == digest)
      let storage = ["--root", "\(daemon.folder)/podman", "--runroot", "\(daemon.folder)/podman-run"]
      func podman(_ arguments: String...) throws -> Command.Result {
        let peers = try #require(Peers.command)
        let result = try Command(path: peers.path).run(
          peers.prefix + ["podman", "--storage-driver", "vfs"] + storage + arguments)
        try #require(result.status == 0, "podman \(arguments): \(result)")
        return result
      }
      _ = try podman("pull", "-q", "--tls-verify=false", ours)
      #expect(try podman("image", "inspect", "-f", "{{.Digest}} sha256:{{.Id}}", ours).line == "\(digest) \(id)")

      // We read what they pushed: skopeo's copy keeps ours as it is; podman writes its own manifest.
      let theirs = "\(host)/theirs/busybox:1"
      _ = try podman("tag", ours, theirs)
      _ = try podman("push", "-q", "--tls-verify=false", theirs)
      let pushed = try peer("skopeo", "inspect", "--tls-verify=false", "-f", "{{.Digest}}", "docker://\(theirs)").line
      try daemon.ok("pull", theirs)
      func shown(_ name: String) throws -> String {
        try daemon.ok("inspect", "-f", "{{.Id}} {{range .RepoDigests}}{{.}} {{end}}", name).line
      }
      #expect(try shown(theirs).hasPrefix("\(id) ") && shown(theirs).contains("\(host)/theirs/busybox@\(pushed) "))
      _ = try peer(
        "skopeo", "copy", "--src-tls-verify=false", "--dest-tls-verify=false", "docker://\(ours)",
        "docker://\(host)/copy/busybox:1")
      try daemon.ok("pull", "\(host)/copy/busybox:1")
      #expect(try shown(ours).contains("\(host)/copy/busybox@\(digest) "))

      // Archives: docker's and OCI's, both ways.
      for (kind, name) in [("docker-archive", "docker.tar"), ("oci-archive", "oci.tar")] {
        let path = "\(daemon.folder)/\(name)"
        _ = try peer("skopeo", "copy", "--src-tls-verify=false", "docker://\(ours)", "\(kind):\(path):copied/\(kind):1")
        let loaded = try daemon.ok("load", "-i", path)
        #expect(loaded.out.contains("Loaded image: copied/\(kind):1"), "\(loaded)")
        // skopeo writes the configuration anew when it makes OCI's of docker's.
        let raw = try JSON.parse(try peer("skopeo", "inspect", "--raw", "\(kind):\(path)").out)
        let expected = try #require(raw["config"]?["digest"]?.stringValue)
        #expect(kind == "oci-archive" || expected == id)
        #expect(try daemon.ok("inspect", "-f", "{{.Id}}", "copied/\(kind):1").line == expected)
      }
      let saved = "\(daemon.folder)/saved.tar"
      try daemon.ok("save", "-o", saved, "busybox:latest")
      for kind in ["docker-archive", "oci-archive"] {
        let config = try peer("skopeo", "inspect", "--raw", "\(kind):\(saved)").out
        #expect(try JSON.parse(config)["config"]?["digest"]?.stringValue == id, "\(kind): \(config)")
      }
      _ = try podman("rmi", "-af")
      _ = try podman("load", "-q", "-i", saved)
      #expect(try podman("images", "-q", "--no-trunc").line == id)
    }
  }

  /// dockerd leaves the host's firewall alone here: it has no bridge, and may touch no rules.
  @Test("docker save and load, pull and push") func docker() throws {
    guard let client = ProcessEnvironment.find("docker") else { return }
    let peers = try #require(Peers.command)
    try with { daemon, host in
      let socket = "/tmp/berth-peer-\(getpid()).sock"
      let dockerd = try Command(path: peers.path).start(
        peers.prefix + [
          "dockerd", "--iptables=false", "--ip6tables=false", "--ip-forward=false", "--bridge=none", "--data-root",
          "\(daemon.folder)/docker-data", "--exec-root", "\(daemon.folder)/docker-exec", "--pidfile",
          "\(daemon.folder)/docker.pid", "-H", "unix://\(socket)",
        ])
      defer {
        // The engine's own pid stands in its file: what was started is the way into the peers' tree.
        if let text = try? Sys.readFile("\(daemon.folder)/docker.pid"),
          let pid = pid_t(String(decoding: text, as: UTF8.self).filter(\.isNumber)), pid > 1
        {
          _ = CLinux.kill(pid, SIGTERM)
        }
        _ = try? dockerd.wait(deadline: 20)
        _ = CLinux.unlink(socket)
      }
      let docker = Command(path: client, environment: ["DOCKER_HOST": "unix://\(socket)"])
      for _ in 0..<300 where try docker.run(["version"]).status != 0 { usleep(100_000) }
      func ok(_ arguments: String...) throws -> Command.Result {
        let result = try docker.run(arguments)
        try #require(result.status == 0, "docker \(arguments): \(result)")
        return result
      }
      let id = try daemon.ok("inspect", "-f", "{{.Id}}", "busybox").line
      let saved = "\(daemon.folder)/berth.tar", returned = "\(daemon.folder)/docker.tar"
      try daemon.ok("save", "-o", saved, "busybox:latest")
      #expect(try ok("load", "-i", saved).out == "Loaded image: busybox:latest\n")
      #expect(try ok("inspect", "-f", "{{.Id}}", "busybox").line == id)
      _ = try ok("save", "-o", returned, "busybox:latest")
      try daemon.ok("rmi", "-f", "busybox")
      try daemon.ok("load", "-i", returned)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", "busybox").line == id)

      let name = "\(host)/docker/busybox:1"
      _ = try ok("tag", "busybox", name)
      _ = try ok("push", "-q", name)
      let digest = try ok("inspect", "-f", "{{index .RepoDigests 0}}", name).line
      // Layers that are here as plain tars aren't fetched once more, and then the manifest is ours.
      try daemon.ok("rmi", "-f", "busybox")
      try daemon.ok("pull", name)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}} {{index .RepoDigests 0}}", name).line == "\(id) \(digest)")
      // Pushed on by us it keeps its digest, and docker sees the same image.
      try daemon.ok("tag", name, "\(host)/berth/busybox:2")
      try daemon.ok("push", "\(host)/berth/busybox:2")
      _ = try ok("rmi", "-f", id)
      #expect(
        try ok("pull", "\(host)/berth/busybox:2").out.contains("Digest: \(digest.split(separator: "@").last ?? "")\n"))
      #expect(try ok("inspect", "-f", "{{.Id}}", "\(host)/berth/busybox:2").line == id)
    }
  }
}
