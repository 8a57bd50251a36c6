import Containers
import Engine
import Errdefs
import Events
import Kernel
import Logging
import Networks
import OCI
import Testing

/// The daemon goes at any moment; nothing of a container goes with it.
@Suite(.serialized, .timeLimit(.minutes(2))) struct RecoveryTests {
  @Test func runningContainersAreAdopted() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["sh", "-c", "echo one; sleep 100"]) {
        $1.networkMode = "bridge"; _ = $0
      }
      try await fixture.containers.start(id)
      let before = try fixture.containers.inspect(id)
      try await fixture.restart()
      let after = try fixture.containers.inspect(id)
      #expect(after.state.status == .running && after.state.pid == before.state.pid)
      #expect(after.state.startedAt == before.state.startedAt)
      #expect(after.endpoints.first?.ipAddress == before.endpoints.first?.ipAddress)
      let wait = try fixture.containers.wait(id, .notRunning)
      try await fixture.containers.kill(id)
      #expect(try await wait.result().statusCode == 137)
      #expect(try await fixture.log(id) == "one\n")
    }
  }

  @Test func exitsThatNobodySawAreKnown() async throws {
    try await EngineFixture.run { fixture in
      let code = try await fixture.create(["sh", "-c", "sleep 0.5; echo last; exit 42"])
      let brief = try await fixture.create(["sleep", "0.5"], name: "brief") {
        $1.autoRemove = true; _ = $0
      }
      try await fixture.containers.start(code)
      try await fixture.containers.start(brief)
      try await fixture.restart { try await Task.sleep(for: .seconds(1)) }
      let state = try fixture.containers.inspect(code).state
      #expect(state.status == .exited && state.exitCode == 42)
      #expect(try await fixture.log(code) == "last\n")
      #expect(throws: EngineError.self) { try fixture.containers.inspect(brief) }
    }
  }

  @Test func policiesBringContainersBack() async throws {
    try await EngineFixture.run { fixture in
      let always = try await fixture.create(["sleep", "0.3"]) {
        $1.restartPolicy.name = "unless-stopped"; _ = $0
      }
      let stopped = try await fixture.create(["sleep", "100"]) {
        $1.restartPolicy.name = "unless-stopped"; _ = $0
      }
      try await fixture.containers.start(always)
      try await fixture.containers.start(stopped)
      try await fixture.containers.stop(stopped, timeout: 0)
      try await fixture.restart { try await Task.sleep(for: .milliseconds(800)) }
      for await event in fixture.engine.events.subscribe(since: 0)
      where event.action == "start" && event.actorID == always { break }
      #expect(try fixture.containers.inspect(stopped).state.status == .exited)
    }
  }

  @Test func whatHasNoRowIsSwept() async throws {
    try await EngineFixture.run { fixture in
      let orphan = String(repeating: "ab", count: 32)
      let data = fixture.folder + "/data/containers/" + orphan
      let run = fixture.folder + "/run/containers/" + orphan
      try await fixture.restart {
        try Sys.mkdirAll(data)
        try Sys.mkdirAll(run)
      }
      for _ in 0..<100 where Sys.exists(data) || Sys.exists(run) { try await Task.sleep(for: .milliseconds(20)) }
      #expect(!Sys.exists(data) && !Sys.exists(run))
    }
  }

  @Test func aSecondDaemonIsRefused() async throws {
    try await EngineFixture.run { fixture in
      var configuration = EngineConfiguration(
        dataRoot: fixture.folder + "/data", execRoot: fixture.folder + "/run2", shimProgram: "/bin/true")
      configuration.networks.bridgeName = fixture.bridge
      let error = await #expect(throws: EngineError.self) {
        try await Engine.start(configuration, logger: .init(label: "second"))
      }
      #expect(error?.message == "another daemon uses \"\(fixture.folder)/data\"")
    }
  }
}
