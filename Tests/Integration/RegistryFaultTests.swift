import CLinux
import Kernel
import NIOHTTP1
import OCI
import RegistryFixture
import Snapshots
import Synchronization
import Testing

/// Registries that misbehave, seen by a client of the daemon: each fault is told with the name of what it befell, and leaves nothing.
@Suite("registries that misbehave", .serialized) struct RegistryFaultTests {
  typealias Reply = RegistryServer.Reply
  typealias Ask = RegistryServer.Ask

  /// Blobs, layers and what is half done. What was given up goes behind the answer.
  private func leftovers(_ daemon: Daemon) throws -> [String] {
    var result: [String] = []
    for directory in ["content/sha256", "content/ingest", "layers"] {
      let path = "\(daemon.folder)/data/\(directory)"
      guard Sys.exists(path) else { continue }
      let descriptor = try Sys.open(path, O_RDONLY | O_DIRECTORY)
      result += try Sys.entries(descriptor.raw).map { "\(directory)/\($0.name)" }
    }
    return result.sorted()
  }

  private func settled(_ daemon: Daemon) throws -> [String] {
    for _ in 0..<300 where try !leftovers(daemon).isEmpty { usleep(20_000) }
    return try leftovers(daemon)
  }

  private func refused(_ daemon: Daemon, _ name: String, sourceLocation: SourceLocation = #_sourceLocation) throws
    -> String
  {
    let result = try daemon.berth.run(["pull", name])
    #expect(result.status == 1, "\(result)", sourceLocation: sourceLocation)
    #expect(try settled(daemon) == [], sourceLocation: sourceLocation)
    #expect(try daemon.ok("images", "-qa").out == "", sourceLocation: sourceLocation)
    return result.err
  }

  @Test("wrong bytes, lies about sizes, digests that differ, endless and huge answers, media types that nobody knows")
  func lies() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([60_000])
    let digest = server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    func serve(_ intercept: (@Sendable (Ask) -> Reply?)?) {
      server.state.withLock { state in
        if let intercept { state.intercept = { ask, _ in intercept(ask) } } else { state.intercept = nil }
      }
    }
    let flags = ["--max-download-attempts", "2"]
    try Daemon.with(flags: flags, busybox: false) { daemon in
      let name = "\(server.host)/app:1"
      // One bit of a layer.
      var flipped = sample.packed[0]
      flipped[30_000] ^= 1
      serve { [flipped] in $0.path.hasSuffix("\(blob)") ? Reply(status: .ok, body: flipped) : nil }
      #expect(try refused(daemon, name).contains("filesystem layer verification failed for digest \(blob)"))
      // More and fewer bytes than the manifest says.
      let longer = sample.packed[0] + [0]
      serve { $0.path.hasSuffix("\(blob)") ? Reply(status: .ok, body: longer) : nil }
      #expect(try refused(daemon, name).contains("blob \(blob) has \(longer.count) bytes, its manifest says"))
      let shorter = Array(sample.packed[0].dropLast())
      serve { $0.path.hasSuffix("\(blob)") ? Reply(status: .ok, body: shorter) : nil }
      #expect(try refused(daemon, name).contains("blob \(blob) has \(shorter.count) bytes, its manifest says"))
      // A blob without a length that never ends.
      serve { $0.path.hasSuffix("\(blob)") ? Reply(status: .ok, body: sample.packed[0], isEndless: true) : nil }
      #expect(try refused(daemon, name).contains("blob \(blob) has more bytes than the \(sample.packed[0].count)"))
      // A manifest that never ends, and one of 100 MB.
      let spaces = [UInt8](repeating: 0x20, count: 1 << 20)
      serve { $0.path.hasSuffix("/manifests/1") ? Reply(status: .ok, body: spaces, isEndless: true) : nil }
      #expect(try refused(daemon, name).contains("manifest \(name) has more than 4194304 bytes"))
      serve { ask in
        guard ask.path.hasSuffix("/manifests/1") else { return nil }
        return Reply(status: .ok, headers: ["Content-Length": "104857600"], body: spaces, stallAfter: 1 << 20)
      }
      #expect(try refused(daemon, name).contains("manifest \(name) has more than 4194304 bytes"))
      // A digest in the header, and one that was asked for, that the manifest doesn't have.
      let other = Digest(hashing: [1])
      serve { [unowned server] ask in
        guard ask.path.hasSuffix("/manifests/1") else { return nil }
        let bytes = server.state.withLock { $0.manifests["app/1"]?.bytes ?? [] }
        return Reply(
          status: .ok, headers: ["Docker-Content-Digest": "\(other)", "Content-Type": MediaType.ociManifest],
          body: bytes)
      }
      #expect(try refused(daemon, name).contains("manifest verification failed for digest \(other)"))
      serve { ask in
        ask.path.hasSuffix("/manifests/\(digest)") ? Reply(status: .ok, body: Array("{}".utf8)) : nil
      }
      #expect(
        try refused(daemon, "\(server.host)/app@\(digest)").contains(
          "manifest verification failed for digest \(digest)"))
      // What isn't a manifest, an image or a layer.
      serve { $0.path.hasSuffix("/manifests/1") ? Reply(status: .ok, body: Array("<html>".utf8)) : nil }
      #expect(try refused(daemon, name).contains("manifest \(name) isn't JSON"))
      serve(nil)
      server.put("app", tag: "layer", config: sample.config, layers: sample.packed, type: "text/plain")
      #expect(
        try refused(daemon, "\(server.host)/app:layer").contains("unsupported media type text/plain of layer \(blob)"))
      var chart = ImageManifest(
        config: server.add(sample.config, "application/vnd.cncf.helm.config.v1+json"), layers: [])
      chart.mediaType = MediaType.ociManifest
      server.put("app", tag: "chart", manifest: chart.json.encoded(), type: MediaType.ociManifest)
      let helm = try refused(daemon, "\(server.host)/app:chart")
      #expect(helm.contains("/app:chart isn't an image") && helm.contains("helm.config"), "\(helm)")
      // A configuration of other layers.
      let sibling = try Sample([60_000], seed: 9)
      server.put("app", tag: "mixed", config: sibling.config, layers: sample.packed)
      #expect(
        try refused(daemon, "\(server.host)/app:mixed").contains("layers from manifest don't match image configuration")
      )
      // And after all of it the image itself comes.
      try daemon.ok("pull", name)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", name).line == "\(sample.id)")
      // The daemon holds none of what it refused.
      let status = String(decoding: try Sys.readFile("/proc/\(daemon.process?.pid ?? 0)/status"), as: UTF8.self)
      let peak = status.split(separator: "\n").first { $0.hasPrefix("VmHWM") }.flatMap { line in
        Int(line.filter(\.isNumber))
      }
      #expect((peak ?? 0) < 400_000, "kilobytes")
    }
  }

  @Test("connections that are cut, 429, and a registry that stays away")
  func trouble() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([3_000_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    let count = Mutex(0)
    server.state.withLock { state in
      state.intercept = { [unowned server] ask, _ in
        // Every second request is one too many.
        let number = count.withLock { count in
          count += 1
          return count
        }
        if number % 2 == 1 { return Reply(status: .tooManyRequests, headers: ["Retry-After": "0"]) }
        guard ask.path.hasSuffix("\(blob)"), (ask.rangeStart ?? 0) < 2_000_000 else { return nil }
        return server.blob(ask, blob.description, cutAfter: 1_000_000)
      }
    }
    try Daemon.with(busybox: false) { daemon in
      try daemon.ok("pull", "\(server.host)/app:1")
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", "\(server.host)/app:1").line == "\(sample.id)")
      let ranges = server.asks(.GET, containing: "\(blob)").map { $0.rangeStart ?? 0 }.filter { $0 > 0 }
      #expect(ranges.count >= 1 && ranges == ranges.sorted(), "resumed at \(ranges)")
      try daemon.ok("rmi", "\(server.host)/app:1")

      server.state.withLock {
        $0.intercept = { _, _ in Reply(status: .tooManyRequests, headers: ["Retry-After": "0"]) }
      }
      #expect(try refused(daemon, "\(server.host)/app:1").contains("toomanyrequests: too many requests"))
      server.state.withLock {
        $0.intercept = { _, _ in Reply(status: .internalServerError, headers: ["Retry-After": "0"]) }
      }
      #expect(
        try refused(daemon, "\(server.host)/app:1")
          .contains("pull \(server.host)/app:1: received unexpected HTTP status: 500 Internal Server Error"))
      // Nobody listens on port 1.
      #expect(try refused(daemon, "127.0.0.1:1/app:1").contains("dial tcp 127.0.0.1:1: connect: connection refused"))
    }
  }

  @Test("redirects go without credentials, and not in circles")
  func redirects() async throws {
    let storage = try await RegistryServer()
    let sample = try Sample([1000])
    let basic = "Basic " + Base64.encode(Array("me:secret".utf8))
    let isCircle = Mutex(false)
    let server = try await RegistryServer { ask, _ in
      if isCircle.withLock({ $0 }) { return Reply(status: .found, headers: ["Location": ask.path]) }
      guard ask.authorization == basic else {
        return Reply(status: .unauthorized, headers: ["WWW-Authenticate": "Basic realm=\"x\""])
      }
      guard ask.path.contains("/blobs/") else { return nil }
      return Reply(status: .temporaryRedirect, headers: ["Location": "http://\(storage.host)\(ask.path)"])
    }
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    for layer in sample.packed + [sample.config] { _ = storage.add(layer, "") }
    try Daemon.with(busybox: false) { daemon in
      var berth = daemon.berth
      berth.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
      let login = try berth.run(["login", "-u", "me", "--password-stdin", server.host], input: "secret\n")
      #expect(login.status == 0, "\(login)")
      let pull = try berth.run(["pull", "\(server.host)/app:1"])
      #expect(pull.status == 0, "\(pull)")
      #expect(storage.asks.count == 2 && storage.asks.allSatisfy { $0.authorization == nil })
      isCircle.withLock { $0 = true }
      let circle = try berth.run(["pull", "\(server.host)/app:2"])
      #expect(circle.status == 1 && circle.err.contains("/v2/app/manifests/2: more than 10 redirects"), "\(circle)")
    }
  }

  @Test("tokens: their scopes, their end, a refresh token") func tokens() async throws {
    // A token says what it is for, and holds until the server is told to forget.
    let era = Mutex(1)
    let address = Mutex("")
    let server = try await RegistryServer { ask, _ in
      let current = era.withLock { $0 }
      if ask.path == "/token" {
        let form = String(decoding: ask.body, as: UTF8.self)
        let query = ask.method == .POST ? form : ask.query
        let mayEnter =
          ask.method == .POST
          ? form.contains("refresh_token=longlived")
          : ask.authorization == "Basic " + Base64.encode(Array("me:secret".utf8))
        guard mayEnter else {
          return Reply(status: .unauthorized, body: Array(#"{"details":"incorrect username or password"}"#.utf8))
        }
        let scopes = query.split(separator: "&").filter { $0.hasPrefix("scope=") }.map { $0.dropFirst(6) }
          .joined(separator: "%20").replacing("%3A", with: ":").replacing("%2C", with: ",").replacing("%2F", with: "/")
          .replacing("%20", with: "+")
        return Reply(status: .ok, body: Array("{\"token\":\"\(current)~\(scopes)\",\"expires_in\":300}".utf8))
      }
      let parts = ask.path.split(separator: "/")
      let needed =
        parts.count < 2
        ? "" : "repository:\(parts[1]):\(ask.method == .GET || ask.method == .HEAD ? "pull" : "pull,push")"
      let token = ask.authorization?.dropFirst(7).description ?? ""
      if token.hasPrefix("\(current)~"), token.contains(needed) { return nil }
      let realm = "http://\(address.withLock { $0 })/token"
      return Reply(
        status: .unauthorized,
        headers: ["WWW-Authenticate": "Bearer realm=\"\(realm)\",service=\"fixture\",scope=\"\(needed)\""])
    }
    address.withLock { $0 = server.host }
    let sample = try Sample([1000, 2000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    try Daemon.with(busybox: false) { daemon in
      var berth = daemon.berth
      berth.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
      let anonymous = try berth.run(["pull", "\(server.host)/app:1"])
      #expect(
        anonymous.status == 1 && anonymous.err.contains("unauthorized: incorrect username or password"), "\(anonymous)")
      let wrong = try berth.run(["login", "-u", "me", "--password-stdin", server.host], input: "wrong\n")
      #expect(wrong.status == 1, "\(wrong)")
      #expect(try berth.run(["login", "-u", "me", "--password-stdin", server.host], input: "secret\n").status == 0)
      let pull = try berth.run(["pull", "\(server.host)/app:1"])
      #expect(pull.status == 0, "\(pull)")
      // Push needs another scope than pull, and the tokens of before are worth nothing now.
      #expect(try berth.run(["tag", "\(server.host)/app:1", "\(server.host)/mine:1"]).status == 0)
      era.withLock { $0 = 2 }
      let push = try berth.run(["push", "\(server.host)/mine:1"])
      #expect(push.status == 0, "\(push)")
      #expect(server.asks(.GET, containing: "/token").contains { $0.query.contains("repository%3Amine%3Apull%2Cpush") })
      // A refresh token instead of a password: docker's own client writes it as `identitytoken`.
      era.withLock { $0 = 3 }
      let auth = Base64.encode(Array("<token>:".utf8))
      let file = try Sys.open("\(daemon.folder)/docker/config.json", O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
      try Sys.writeAll(
        file.raw, "{\"auths\":{\"\(server.host)\":{\"auth\":\"\(auth)\",\"identitytoken\":\"longlived\"}}}")
      #expect(try berth.run(["rmi", "-f", "\(sample.id)"]).status == 0)
      let refreshed = try berth.run(["pull", "\(server.host)/mine:1"])
      #expect(refreshed.status == 0, "\(refreshed)")
      #expect(!server.asks(.POST, containing: "/token").isEmpty)
      if var docker = daemon.docker {
        docker.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
        #expect(try berth.run(["rmi", "-f", "\(sample.id)"]).status == 0)
        let pull = try docker.run(["pull", "\(server.host)/mine:1"])
        #expect(pull.status == 0, "\(pull)")
      }
    }
  }

  @Test("two clients share the work; whoever goes ends it") func sharing() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([400_000, 2_000_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blobs = sample.packed.map { Digest(hashing: $0) }
    let gate = RegistryServer.Gate()
    server.state.withLock { state in
      state.intercept = { [unowned server] ask, _ in
        guard ask.path.hasSuffix("\(blobs[1])") else { return nil }
        var reply = server.blob(ask, blobs[1].description)
        reply.gate = gate
        return reply
      }
    }
    try Daemon.with(busybox: false) { daemon in
      let name = "\(server.host)/app:1"
      let clients = try (0..<3).map { _ in try daemon.berth.start(["pull", name]) }
      // Each asks for the manifest; then nobody can be ahead of the others' layers.
      for _ in 0..<500 where server.asks(.GET, containing: "/manifests/").count < 3 { usleep(10_000) }
      gate.open()
      for client in clients {
        let result = try client.wait()
        #expect(result.status == 0 && result.out.contains("Status: "), "\(result)")
      }
      for blob in blobs { #expect(server.asks(.GET, containing: "\(blob)").count == 1, "\(blob)") }
      try daemon.ok("rmi", name)

      // Half a layer, and then nothing more: the client goes.
      server.state.withLock { state in
        state.intercept = { [unowned server] ask, _ in
          guard ask.path.hasSuffix("\(blobs[1])") else { return nil }
          var reply = server.blob(ask, blobs[1].description)
          reply.stallAfter = 1_000_000
          return reply
        }
      }
      let commands = [daemon.berth] + (daemon.docker.map { [$0] } ?? [])
      for command in commands {
        let before = server.asks(.GET, containing: "\(blobs[1])").count
        let client = try command.start(["pull", name])
        for _ in 0..<500 where server.asks(.GET, containing: "\(blobs[1])").count == before { usleep(10_000) }
        try client.signal(SIGKILL)
        _ = try client.wait()
        #expect(try settled(daemon) == [])
        for _ in 0..<500 where server.state.withLock({ $0.stalled }) > 0 { usleep(10_000) }
        #expect(server.state.withLock { $0.stalled } == 0, "the stalled connection is cut")
      }
      // Of two clients one goes: the other gets the image.
      let open = RegistryServer.Gate()
      server.state.withLock { state in
        state.intercept = { [unowned server] ask, _ in
          guard ask.path.hasSuffix("\(blobs[1])") else { return nil }
          var reply = server.blob(ask, blobs[1].description)
          reply.gate = open
          return reply
        }
      }
      let before = server.asks(.GET, containing: "/manifests/").count
      let stays = try daemon.berth.start(["pull", name])
      let goes = try daemon.berth.start(["pull", name])
      for _ in 0..<500 where server.asks(.GET, containing: "/manifests/").count < before + 2 { usleep(10_000) }
      try goes.signal(SIGKILL)
      _ = try goes.wait()
      open.open()
      let result = try stays.wait()
      #expect(result.status == 0, "\(result)")
    }
  }

  @Test("a pull goes on where the daemon died") func resumption() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([4_000_000])
    server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let blob = Digest(hashing: sample.packed[0])
    func stall(_ isStalled: Bool) {
      server.state.withLock { state in
        state.intercept = { [unowned server] ask, _ in
          guard isStalled, ask.path.hasSuffix("\(blob)") else { return nil }
          var reply = server.blob(ask, blob.description)
          reply.stallAfter = 2_000_000
          return reply
        }
      }
    }
    try Daemon.with(busybox: false) { daemon in
      let name = "\(server.host)/app:1"
      let partial = "\(daemon.folder)/data/content/ingest/sha256-\(blob.hex)"
      func written() -> Int64 {
        guard let file = try? Sys.open(partial), let status = try? Sys.fstat(file.raw) else { return 0 }
        return Int64(status.st_size)
      }
      /// Kills the daemon in the middle of the layer.
      func interrupt() throws {
        stall(true)
        let client = try daemon.berth.start(["pull", name])
        for _ in 0..<500 where written() < 1_500_000 { usleep(10_000) }
        try daemon.kill()
        _ = try client.wait()
        stall(false)
      }
      try interrupt()
      let half = written()
      #expect(half >= 1_500_000)
      try daemon.start()
      try daemon.ok("pull", name)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", name).line == "\(sample.id)")
      #expect(server.asks(.GET, containing: "\(blob)").last?.rangeStart.map { Int64($0) } == half)
      try daemon.ok("rmi", name)

      // What a power cut made of it: it is found out at the end, and all of it is fetched anew.
      try interrupt()
      let file = try Sys.open(partial, O_RDWR)
      try [UInt8](repeating: 0, count: 4096).withUnsafeBytes { try Sys.pwriteAll(file.raw, $0, at: 1_000_000) }
      try daemon.start()
      try daemon.ok("pull", name)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", name).line == "\(sample.id)")
      #expect(server.asks(.GET, containing: "\(blob)").last?.rangeStart == nil)
      #expect(try daemon.ok("system", "check").out.contains("; 0 faults"))
      try daemon.ok("rmi", name)
      #expect(try settled(daemon) == [])
    }
  }

  @Test("all tags, a platform, quietly") func flags() async throws {
    let server = try await RegistryServer()
    let host = Platform.host.architecture
    let foreign = host == "arm64" ? "amd64" : "arm64"
    var manifests: [ContentDescriptor] = []
    var ids: [String: Digest] = [:]
    for (seed, architecture) in [host, foreign].enumerated() {
      let sample = try Sample([1000], seed: UInt64(seed), architecture: architecture)
      ids[architecture] = sample.id
      let bytes = ImageManifest(
        config: server.add(sample.config, MediaType.ociConfig),
        layers: sample.packed.map { server.add($0, MediaType.ociLayer + "+gzip") }
      ).json.encoded()
      let digest = server.put("multi", tag: architecture, manifest: bytes, type: MediaType.ociManifest)
      manifests.append(
        ContentDescriptor(
          mediaType: MediaType.ociManifest, digest: digest, size: Int64(bytes.count),
          platform: Platform(os: "linux", architecture: architecture)))
    }
    let index = server.put(
      "multi", tag: "latest", manifest: ImageIndex(manifests: manifests).json.encoded(), type: MediaType.ociIndex)
    try Daemon.with(busybox: false) { daemon in
      for command in [daemon.berth] + (daemon.docker.map { [$0] } ?? []) {
        let name = "\(server.host)/multi"
        let quiet = try command.run(["pull", "-q", "--platform", "linux/\(foreign)", name])
        #expect(quiet.out == "\(name):latest\n" && quiet.err == "", "\(quiet)")
        let format = "{{.Id}} {{.Architecture}} {{index .RepoDigests 0}}"
        #expect(
          try command.run(["image", "inspect", "-f", format, name]).line
            == "\(ids[foreign].map { "\($0)" } ?? "") \(foreign) \(name)@\(index)")
        let all = try command.run(["pull", "-a", name])
        #expect(all.status == 0, "\(all)")
        // The tag of the index is this host's again.
        let tags = try command.run(["images", "--format", "{{.Repository}}:{{.Tag}}", name]).lines.sorted()
        #expect(tags == ["\(name):\(host)", "\(name):\(foreign)", "\(name):latest"].sorted())
        #expect(
          try command.run(["image", "inspect", "-f", "{{.Id}}", name]).line == ids[host].map { "\($0)" } ?? "")
        let missing = try command.run(["pull", "--platform", "linux/s390x", name])
        #expect(
          missing.status == 1
            && missing.err.contains("no matching manifest for linux/s390x in the manifest list entries"),
          "\(missing)")
        // Both images are here, so that the index goes whole; one alone goes by its own manifest.
        #expect(try command.run(["tag", name, "\(server.host)/again"]).status == 0)
        let whole = try command.run(["push", "\(server.host)/again"])
        #expect(whole.status == 0 && whole.out.contains("latest: digest: \(index) size: "), "\(whole)")
        let pushed = server.state.withLock { $0.manifests }
        #expect(pushed["again/latest"]?.type == MediaType.ociIndex)
        for manifest in manifests { #expect(pushed["again/\(manifest.digest)"]?.type == MediaType.ociManifest) }
        let one = try command.run(["push", "--platform", "linux/\(foreign)", "\(server.host)/again"])
        #expect(one.status == 0 && one.out.contains("latest: digest: \(manifests[1].digest) size: "), "\(one)")
        let images = try command.run(["images", "-qa", "--no-trunc"]).lines
        _ = try command.run(["rmi", "-f"] + Array(Set(images)))
      }
    }
  }
}
