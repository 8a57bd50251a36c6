import CLinux
import Kernel
import NIOHTTP1
import OCI
import RegistryFixture
import Snapshots
import Synchronization
import Testing

/// The store seen by its users: what is damaged is named and mended, what is the same is the same to the byte.
@Suite("the image store", .serialized) struct ImageStoreTests {
  private func flip(_ path: String, at offset: Int64) throws {
    let file = try Sys.open(path, O_RDWR)
    try [UInt8](repeating: 0x5A, count: 64).withUnsafeBytes { try Sys.pwriteAll(file.raw, $0, at: offset) }
  }

  @Test("system check names what is damaged and fetches it again") func check() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([50_000, 60_000])
    let manifest = server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    try Daemon.with { daemon in
      let name = "\(server.host)/app:1"
      try daemon.ok("pull", name)
      try daemon.ok("create", "--name", "keeps", "busybox", "true")
      let clean = try daemon.ok("system", "check")
      #expect(
        clean.out.hasPrefix("Checked 2 images: ") && clean.out.hasSuffix("1 containers' trees; 0 faults, 0 repaired\n"))

      let data = "\(daemon.folder)/data"
      let blob = Digest(hashing: sample.packed[0]), diffID = Digest(hashing: sample.layers[1])
      try flip("\(data)/content/sha256/\(blob.hex)", at: 1000)
      try flip("\(data)/layers/\(diffID.hex)/fs/file1", at: 1000)
      try Sys.unlink("\(data)/content/sha256/\(sample.id.hex)")
      try flip("\(data)/content/sha256/\(manifest.hex)", at: 10)
      let stray = Digest(hashing: [9])
      let file = try Sys.open("\(data)/content/sha256/\(stray.hex)", O_WRONLY | O_CREAT, mode: 0o400)
      try Sys.writeAll(file.raw, "?")

      let damaged = try daemon.berth.run(["system", "check"])
      #expect(damaged.status == 1, "\(damaged)")
      for line in [
        "blob \(blob): it hashes to sha256:", "layer \(diffID): \"/file1\" ",
        "blob \(sample.id): it is missing (\(name))",
        "blob \(manifest): it hashes to ", "orphan \(stray): nothing names it",
      ] { #expect(damaged.out.contains(line), "\(line) in \(damaged)") }
      #expect(damaged.lines.last?.hasSuffix("5 faults, 0 repaired") == true)

      let repaired = try daemon.berth.run(["system", "check", "--repair"])
      #expect(repaired.status == 0, "\(repaired)")
      #expect(repaired.out.contains("(\(name)): fetched from \(server.host)/app\n"), "\(repaired)")
      #expect(
        repaired.out.contains("(\(name)): unpacked again\n") && repaired.out.contains("nothing names it: deleted\n"))
      #expect(try daemon.ok("system", "check", "-q").out == "")
      // The damaged bytes aren't thrown away.
      let quarantine = try Sys.open("\(data)/content/quarantine", O_RDONLY | O_DIRECTORY)
      #expect(try Sys.entries(quarantine.raw).count == 2)

      // What no registry has can't be mended, and the container that uses it is named nowhere else.
      let busybox = try daemon.ok("inspect", "-f", "{{index .RootFS.Layers 0}}", "busybox").line
      let kept = try #require(Digest(busybox))
      try flip("\(data)/content/sha256/\(kept.hex)", at: 2000)
      let hopeless = try daemon.berth.run(["system", "check", "--repair", "-q"])
      #expect(
        hopeless.status == 1
          && hopeless.out.contains(
            "(busybox:latest): not repaired: no registry is known that has it: load the image again"),
        "\(hopeless)")
    }
  }

  @Test("what refers to an image is listed, by the registry's API or by the tag of old; inspect says what the image is")
  func referrers()
    async throws
  {
    let server = try await RegistryServer()
    let sample = try Sample([1000])
    let manifest = server.put("app", tag: "1", config: sample.config, layers: sample.packed)
    let bill = ContentDescriptor(
      mediaType: MediaType.ociManifest, digest: Digest(hashing: [1]), size: 700, artifactType: "application/spdx+json")
    let seal = ContentDescriptor(
      mediaType: MediaType.ociManifest, digest: Digest(hashing: [2]), size: 800, artifactType: "application/x.seal")
    let index = ImageIndex(manifests: [bill, seal]).json.encoded()
    try Daemon.with(busybox: false) { daemon in
      let name = "\(server.host)/app:1"
      #expect(try daemon.ok("manifest", "referrers", name).lines.count == 1)
      // The fixture knows no referrers: their tag stands for them.
      server.put("app", tag: "sha256-\(manifest.hex)", manifest: index, type: MediaType.ociIndex)
      let tagged = try daemon.ok("manifest", "referrers", name)
      #expect(tagged.out.contains("\(bill.digest)") && tagged.out.contains("application/x.seal"), "\(tagged)")
      server.state.withLock { state in
        state.intercept = { ask, _ in
          guard ask.path == "/v2/app/referrers/\(manifest)" else { return nil }
          return RegistryServer.Reply(status: .ok, headers: ["Content-Type": MediaType.ociIndex], body: index)
        }
      }
      let listed = try daemon.ok("manifest", "referrers", "--artifact-type", "application/spdx+json", name)
      #expect(listed.out.contains("\(bill.digest)") && !listed.out.contains("\(seal.digest)"), "\(listed)")
      #expect(server.asks(.GET, containing: "/referrers/").last?.query == "artifactType=application%2Fspdx%2Bjson")

      try daemon.ok("pull", name)
      let image = try daemon.inspect(name)
      #expect(image["Descriptor"]?["digest"]?.stringValue == "\(manifest)")
      #expect(image["GraphDriver"]?["Data"]?["UpperDir"]?.stringValue?.isEmpty == false)
      #expect(image["RootFS"]?["Layers"]?[0]?.stringValue == "\(Digest(hashing: sample.layers[0]))")
    }
  }

  @Test("two saves are one, and what is imported from a URL is what the file was") func bytes() async throws {
    let server = try await RegistryServer()
    let sample = try Sample([5000])
    server.state.withLock { state in
      state.intercept = { ask, _ in
        switch ask.path {
        case "/root.tar.gz": RegistryServer.Reply(status: .found, headers: ["Location": "/files/root"])
        case "/files/root": RegistryServer.Reply(status: .ok, body: sample.packed[0])
        case "/cut": RegistryServer.Reply(status: .ok, body: sample.packed[0], cutAfter: 1000)
        default: RegistryServer.Reply(status: .notFound)
        }
      }
    }
    try Daemon.with { daemon in
      let url = "http://\(server.host)/root.tar.gz"
      let id =
        try daemon.ok(
          "import", "-c", "CMD [\"/file0\"]", "-c", "ENV A=1", "-m", "from afar", url, "imported:1"
        ).lines.last ?? ""
      let shown = try daemon.ok(
        "inspect", "-f", "{{.Id}} {{.Config.Cmd}} {{.Config.Env}} {{.Comment}} {{.RootFS.Layers}}", "imported:1")
      #expect(shown.line == "\(id) [/file0] [A=1] from afar [\(Digest(hashing: sample.layers[0]))]")
      let missing = try daemon.berth.run(["import", "http://\(server.host)/none", "x:1"])
      #expect(
        missing.status == 1
          && missing.err.contains("failed to GET http://\(server.host)/none with status 404 Not Found"),
        "\(missing)")
      let cut = try daemon.berth.run(["import", "http://\(server.host)/cut", "x:1"])
      #expect(cut.status == 1, "\(cut)")
      #expect(try daemon.ok("images", "-q", "x").out == "")

      try daemon.ok("tag", "busybox", "other/busybox:2")
      for turn in ["a", "b"] {
        try daemon.ok("save", "-o", "\(daemon.folder)/\(turn).tar", "imported:1", "busybox", "other/busybox:2")
      }
      let first = try Sys.readFile("\(daemon.folder)/a.tar", limit: 64 << 20)
      #expect(try first == Sys.readFile("\(daemon.folder)/b.tar", limit: 64 << 20))
      let before = try daemon.ok("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").lines.sorted()
      try daemon.ok("rmi", "-f", "imported:1", "busybox", "other/busybox:2")
      try daemon.ok("load", "-i", "\(daemon.folder)/a.tar")
      #expect(
        try daemon.ok("images", "--no-trunc", "--format", "{{.Repository}}:{{.Tag}} {{.ID}}").lines.sorted() == before)
      // A third, of what was loaded, too.
      try daemon.ok("save", "-o", "\(daemon.folder)/c.tar", "imported:1", "busybox", "other/busybox:2")
      #expect(try first == Sys.readFile("\(daemon.folder)/c.tar", limit: 64 << 20))
    }
  }

  @Test("loads, pulls, commits and removals at once lose nothing, and leave nothing") func collection() async throws {
    let server = try await RegistryServer()
    let shared = try Sample([40_000, 30_000])
    server.put("app", tag: "1", config: shared.config, layers: shared.packed)
    try Daemon.with { daemon in
      let name = "\(server.host)/app:1"
      try daemon.ok("pull", name)
      try daemon.ok("save", "-o", "\(daemon.folder)/app.tar", name)
      try daemon.ok("create", "--name", "source", "busybox", "true")
      // Each goes on by itself; whoever comes late removes what others are about to name.
      let script = """
        i=0; while [ $i -lt 12 ]; do i=$((i+1)); "$BERTH" $1 >"$2" 2>&1 || { cat "$2" >&2; exit 1; }; done
        """
      func loop(_ number: Int, _ command: String) throws -> RunningCommand {
        try Command(
          path: "/bin/sh", environment: ["BERTH": daemon.berth.path, "BERTH_HOST": daemon.host]
        ).start(["-c", script, "sh", command, "\(daemon.folder)/err\(number)"])
      }
      let workers = [
        try loop(1, "pull \(name)"), try loop(2, "load -i \(daemon.folder)/app.tar"),
        try loop(3, "commit source committed:1"), try loop(4, "pull \(name)"), try loop(5, "image prune -f"),
        try loop(6, "system check --repair"),
      ]
      let removals = try Command(
        path: "/bin/sh", environment: ["BERTH": daemon.berth.path, "BERTH_HOST": daemon.host]
      ).start([
        "-c",
        "i=0; while [ $i -lt 40 ]; do i=$((i+1)); \"$BERTH\" rmi -f \(name) committed:1 >/dev/null 2>&1; done; true",
      ])
      for worker in workers {
        let result = try worker.wait(deadline: 120)
        #expect(result.status == 0, "\(result)")
      }
      _ = try removals.wait(deadline: 120)
      try daemon.ok("pull", name)
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", name).line == "\(shared.id)")
      let check = try daemon.berth.run(["system", "check"])
      #expect(check.status == 0, "\(check)")
      try daemon.ok("rm", "source")
      try daemon.ok("image", "prune", "-af")
      let content = try Sys.open("\(daemon.folder)/data/content/sha256", O_RDONLY | O_DIRECTORY)
      #expect(try Sys.entries(content.raw).count == 0)
    }
  }

  @Test("sizes come from records, and a container's from a cache that knows when it is old") func usage() throws {
    try Daemon.with { daemon in
      try daemon.ok("create", "--name", "still", "busybox", "true")
      func written() throws -> String {
        try daemon.ok("system", "df", "-v").lines.first { $0.contains("still") } ?? ""
      }
      #expect(try written().contains(" 0B "))
      let file = "\(daemon.folder)/three"
      let made = try Sys.open(file, O_WRONLY | O_CREAT, mode: 0o644)
      try Sys.writeAll(made.raw, String(repeating: "x", count: 3000))
      try daemon.ok("cp", file, "still:/three")
      #expect(try written().contains(" 3kB "))
    }
  }
}
