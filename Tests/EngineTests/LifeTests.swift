import CLinux
import Containers
import Engine
import Errdefs
import Events
import Kernel
import OCI
import Testing

/// Containers on the real kernel, through the whole engine but the API.
@Suite(.serialized, .timeLimit(.minutes(2))) struct LifeTests {
  @Test func aContainerRunsLogsEndsAndGoes() async throws {
    try await EngineFixture.run { fixture in
      let events = fixture.engine.events.subscribe()
      let (id, code) = try await fixture.run(["sh", "-c", "echo out; echo err >&2; exit 7"])
      #expect(code == 7)
      #expect(try await fixture.log(id) == "out\nerr\n")
      let state = try fixture.containers.inspect(id).state
      #expect(
        state.status == .exited && state.exitCode == 7 && state.startedAt > 0 && state.finishedAt >= state.startedAt)
      try await fixture.containers.remove(id)
      #expect(throws: EngineError.self) { try fixture.containers.inspect(id) }
      var seen: [String] = []
      for await event in events where event.kind == .container {
        seen.append(event.action)
        if event.action == "destroy" { break }
      }
      #expect(seen == ["create", "start", "die", "destroy"])
    }
  }

  @Test func whatIsRemovedByItsExitIsGoneWhenTheWaitEnds() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["true"], name: "brief") { $1.autoRemove = true }
      let wait = try fixture.containers.wait(id, .removed)
      try await fixture.containers.start(id)
      #expect(try await wait.result().statusCode == 0)
      #expect(try fixture.containers.list(ListOptions(all: true)).isEmpty)
      _ = try await fixture.create(["true"], name: "brief")
    }
  }

  @Test func aProgramThatIsMissingSaysSoAndLeavesTheContainerCreated() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["nosuch"])
      let error = await #expect(throws: EngineError.self) { try await fixture.containers.start(id) }
      #expect(
        error?.message.hasPrefix(
          "failed to create task for container: failed to create shim task: OCI runtime create failed:") == true)
      #expect(error?.message.contains("exec: \"nosuch\": executable file not found in $PATH") == true)
      let state = try fixture.containers.inspect(id).state
      #expect(state.status == .created && state.exitCode == 127 && !state.error.isEmpty)
      let directory = try await fixture.create(["/etc"])
      await #expect(throws: EngineError.self) { try await fixture.containers.start(directory) }
      #expect(try fixture.containers.inspect(directory).state.exitCode == 126)
    }
  }

  @Test func namesConflictInDockersWords() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["true"], name: "one")
      let error = await #expect(throws: EngineError.self) { try await fixture.create(["true"], name: "one") }
      #expect(error?.kind == .conflict)
      #expect(
        error?.message
          == "Conflict. The container name \"/one\" is already in use by container \"\(id)\". You have to remove (or rename) that container to be able to reuse that name."
      )
      try await fixture.containers.rename("one", to: "two")
      #expect(try fixture.containers.inspect("/two").id == id)
      #expect(try fixture.containers.inspect(String(id.prefix(5))).name == "two")
      let missing = #expect(throws: EngineError.self) { try fixture.containers.inspect("one") }
      #expect(missing?.message == "No such container: one")
    }
  }

  @Test func stopAsksThenKills() async throws {
    try await EngineFixture.run { fixture in
      let polite = try await fixture.create(["sh", "-c", "trap 'exit 3' TERM; while true; do sleep 0.05; done"])
      try await fixture.containers.start(polite)
      let again = await #expect(throws: EngineError.self) { try await fixture.containers.start(polite) }
      #expect(again?.kind == .notModified)
      try await Task.sleep(for: .milliseconds(200))  // until the trap is set
      try await fixture.containers.stop(polite, timeout: 10)
      #expect(try fixture.containers.inspect(polite).state.exitCode == 3)
      let stubborn = try await fixture.create(["sh", "-c", "trap '' TERM; sleep 100"])
      try await fixture.containers.start(stubborn)
      try await fixture.containers.stop(stubborn, timeout: 0)
      #expect(try fixture.containers.inspect(stubborn).state.exitCode == 137)
      let stopped = await #expect(throws: EngineError.self) { try await fixture.containers.stop(stubborn) }
      #expect(stopped?.kind == .notModified)
      let dead = await #expect(throws: EngineError.self) { try await fixture.containers.kill(stubborn) }
      #expect(dead?.message == "cannot kill container: \(stubborn): container \(stubborn) is not running")
    }
  }

  @Test func pausedContainersStandStill() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["sleep", "100"])
      try await fixture.containers.start(id)
      try await fixture.containers.pause(id)
      #expect(try fixture.containers.inspect(id).state.status == .paused)
      let exec = await #expect(throws: EngineError.self) {
        var config = ExecConfig()
        config.cmd = ["true"]
        _ = try await fixture.containers.createExec(id, config)
      }
      #expect(exec?.kind == .conflict)
      try await fixture.containers.unpause(id)
      #expect(try fixture.containers.inspect(id).state.status == .running)
      try await fixture.containers.pause(id)
      try await fixture.containers.remove(id, force: true)
    }
  }

  @Test func execsRunAndTellTheirCodes() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["sleep", "100"])
      try await fixture.containers.start(id)
      let (code, output) = try await exec(fixture, id, ["sh", "-c", "cat; echo done; exit 4"], input: "given\n")
      #expect(code == 4 && output == "given\ndone\n")
      let missing = try await exec(fixture, id, ["nosuch"], failing: true)
      #expect(missing.code == 127 && missing.output.contains("executable file not found in $PATH"))
      #expect(try await fixture.containers.top(id).processes.map(\.last) == ["sleep 100"])
    }
  }

  private func exec(
    _ fixture: EngineFixture, _ id: String, _ command: [String], input: String = "", failing: Bool = false
  ) async throws -> (code: Int32?, output: String) {
    var config = ExecConfig()
    config.cmd = command
    config.attachStdin = true
    config.attachStdout = true
    config.attachStderr = true
    let exec = try await fixture.containers.createExec(id, config)
    let pair = try Sys.socketPair(Sys.sockStream)
    let own = SharedDescriptor(owning: pair.0)
    let attach: AttachRequest
    do {
      let theirs = SharedDescriptor(owning: pair.1)
      attach = AttachRequest(stdin: true, stdout: true, stderr: true) { _ in
        AttachRequest.Connection(socket: theirs, pending: Array(input.utf8))
      }
    }
    do {
      try await fixture.containers.startExec(exec, attach: attach)
      #expect(!failing)
    } catch { #expect(failing, "\(error)") }
    try Sys.shutdown(own.raw, Int32(SHUT_WR))
    var bytes: [UInt8] = []
    if failing {
      // The other end is still held by the request here.
      bytes = try receive(own.raw)
    } else {
      bytes = try Sys.readAll(own.raw)
    }
    var snapshot = try await fixture.containers.inspectExec(exec)
    for _ in 0..<100 where snapshot.exitCode == nil {
      try await Task.sleep(for: .milliseconds(20))
      snapshot = try await fixture.containers.inspectExec(exec)
    }
    return (snapshot.exitCode, EngineFixture.unframed(bytes))
  }

  private func receive(_ socket: Int32) throws -> [UInt8] {
    var buffer = [UInt8](repeating: 0, count: 4096)
    let count = try buffer.withUnsafeMutableBytes { try Sys.read(socket, $0) }
    return Array(buffer.prefix(count))
  }

  @Test func limitsBind() async throws {
    try await EngineFixture.run { fixture in
      let (id, code) = try await fixture.run(["sh", "-c", "x=$(head -c 100000000 /dev/zero | wc -c); exit 0; "]) {
        $1.resources.pidsLimit = 50
        $1.resources.memory = 64 << 20
        _ = $0
      }
      #expect(code == 0)
      #expect(try fixture.containers.inspect(id).hostConfig.resources.memorySwap == 128 << 20)
      let hog = try await fixture.run(["sh", "-c", "a=x; while true; do a=$a$a; done"]) {
        $1.resources.memory = 16 << 20
        $1.resources.memorySwap = 16 << 20
        _ = $0
      }
      #expect(hog.code == 137)
      #expect(try fixture.containers.inspect(hog.id).state.oomKilled)
    }
  }

  @Test func restartPoliciesCountAndStop() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["sh", "-c", "exit 5"]) {
        $1.restartPolicy = HostConfig.RestartPolicy(name: "on-failure", maximumRetryCount: 2)
        _ = $0
      }
      try await fixture.containers.start(id)
      for await event in fixture.engine.events.subscribe(since: 0) where event.action == "die" {
        if try fixture.containers.inspect(id).state.status == .exited { break }
      }
      let snapshot = try fixture.containers.inspect(id)
      #expect(snapshot.restartCount == 2 && snapshot.state.exitCode == 5)
    }
  }

  @Test func aStartWaitsForWhoIsBeingAttached() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["echo", "hi"])
      let pair = try Sys.socketPair(Sys.sockStream)
      let own = SharedDescriptor(owning: pair.0)
      let theirs = SharedDescriptor(owning: pair.1)
      let containers = fixture.containers
      let (answers, answer) = AsyncStream<Void>.makeStream()
      let attaching = Task {
        let request = AttachRequest(stdin: false, stdout: true, stderr: true) { _ in
          // The client has its answer, and is not yet among those whom a start hands over.
          answer.yield()
          try await Task.sleep(for: .milliseconds(300))
          return AttachRequest.Connection(socket: theirs)
        }
        try await containers.attach(id, request)
      }
      for await _ in answers { break }
      try await fixture.containers.start(id)
      try await attaching.value
      #expect(EngineFixture.unframed(try receive(own.raw)) == "hi\n")
    }
  }

  @Test func healthIsProbed() async throws {
    try await EngineFixture.run { fixture in
      let id = try await fixture.create(["sh", "-c", "sleep 0.3; echo up > /tmp/up; sleep 100"]) { config, _ in
        var check = HealthConfig()
        check.test = ["CMD-SHELL", "cat /tmp/up"]
        check.interval = 100_000_000
        check.retries = 100
        config.healthcheck = check
      }
      try await fixture.containers.start(id)
      #expect(try fixture.containers.inspect(id).state.health?.status == "starting")
      for await event in fixture.engine.events.subscribe(since: 0) where event.action == "health_status: healthy" {
        break
      }
      let health = try #require(try fixture.containers.inspect(id).state.health)
      #expect(health.status == "healthy" && health.log.last?.output == "up\n" && health.log.last?.exitCode == 0)
    }
  }
}
