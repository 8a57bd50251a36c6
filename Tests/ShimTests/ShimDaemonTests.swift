import CLinux
import Cgroups
import ContainerRuntime
import Containers
import Kernel
import OCI
import Testing

/// What the shim does while daemons come and go, and with those that talk nonsense.
@Suite(.enabled(if: ShimFixture.hasBusybox, "needs Debian's busybox-static"), .timeLimit(.minutes(2)))
struct ShimDaemonTests {
  @Test func aLaterDaemonFindsTheContainerAsItIs() async throws {
    let fixture = try ShimFixture()
    let (first, client, started) = try await fixture.run(fixture.plan("echo up; cat", stdin: true), stdin: true)
    _ = try await client.wait(for: "up\n")
    let exec = fixture.execPlan("sleep 1000")
    _ = try await first.exec(exec)
    first.close()
    // its clients don't notice
    try client.send("still here\n")
    _ = try await client.wait(for: "still here\n")

    let second = try #require(try fixture.launcher.adopt(runDirectory: fixture.runDirectory))
    let state = try await second.state()
    #expect(state.status == .running && state.exit == nil)
    #expect(state.started?.pid == started.pid && state.started?.startedAt == started.startedAt)
    #expect(state.execs.map(\.id) == [exec.id] && state.execs.first?.code == nil)
    try await second.signal(SIGTERM, exec: exec.id)
    #expect(await second.next() == .execExited(id: exec.id, code: 143))
    try await second.signal(SIGKILL)
    #expect(await second.exited()?.code == 137)
  }

  @Test func theExitOfADaemonlessContainerIsOnDisk() async throws {
    let fixture = try ShimFixture()
    let (shim, client, started) = try await fixture.run(
      fixture.plan("read x; echo last words; exit 42", stdin: true), stdin: true)
    shim.close()
    try client.send("go\n")
    #expect(try await client.output().stdout == "last words\n")
    #expect(await fixture.shimEnded() == .exited(0))
    #expect(try fixture.launcher.adopt(runDirectory: fixture.runDirectory) == nil)
    let record = try #require(try ExitRecord.read(fixture.recordPath))
    #expect(record.code == 42 && record.startedAt == started.startedAt)
    #expect(try fixture.logged().map(\.text) == ["last words\n"])
    #expect(try fixture.cgroupIsGone())
  }

  @Test func anExecThatEndedWithoutADaemonIsToldToTheNext() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("sleep 1000"))
    _ = try await shim.start()
    let plan = fixture.execPlan("read x; exit 9", stdin: true)
    let client = try await fixture.exec(shim, plan)
    shim.close()
    try client.send("\n")
    _ = try await client.all()
    let next = try #require(try fixture.launcher.adopt(runDirectory: fixture.runDirectory))
    #expect(try await next.state().execs.map { $0.code } == [9])
    // once
    #expect(try await next.state().execs.isEmpty)
    try await next.signal(SIGKILL)
    #expect(await next.exited()?.code == 137)
  }

  @Test func everyDaemonThatIsConnectedHearsTheExit() async throws {
    let fixture = try ShimFixture()
    let (first, _, _) = try await fixture.run(fixture.plan("sleep 1000"))
    let second = try #require(try fixture.launcher.adopt(runDirectory: fixture.runDirectory))
    _ = try await second.state()
    try await first.signal(SIGKILL)
    #expect(await first.exited() == second.exited())
  }

  @Test(arguments: [true, false])
  func terminateLeavesNothing(started: Bool) async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("sleep 1000"))
    if started { _ = try await shim.start() }
    #expect(await shim.terminate(within: .seconds(10)))
    #expect(try fixture.cgroupIsGone())
    #expect(await fixture.shimEnded() == .exited(0))
  }

  @Test func aKilledShimEndsItsConnectionWithoutAnExit() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("echo up; sleep 1000"))
    _ = try await client.wait(for: "up\n")
    try Sys.kill(shim.pid, SIGKILL)
    #expect(await shim.exited() == nil)
    #expect(try await client.all().isEmpty)
    await #expect(throws: ShimError.gone) { try await shim.state() }
    #expect(await shim.closed(within: .seconds(1)))
    #expect(try fixture.launcher.adopt(runDirectory: fixture.runDirectory) == nil)
    #expect(try ExitRecord.read(fixture.recordPath) == nil)
    // What the daemon does then.
    let group = try Cgroup(path: ShimFixture.cgroupParent + "/" + fixture.id, layout: CgroupLayout.probe())
    try group.killAll()
    try group.remove()
  }

  /// Command lines of this process's children that wait for a container, by pid.
  private func waiting(_ fixture: ShimFixture) throws -> [Int32] {
    try Sys.entries(of: "/proc").compactMap { Int32($0.name) }.filter { pid in
      let text = String(decoding: (try? Sys.readFile("/proc/\(pid)/cmdline")) ?? [], as: UTF8.self)
      return text.contains(fixture.scratch.path + "/run/----")
    }
  }

  private func until(_ condition: () throws -> Bool) rethrows -> Bool {
    let deadline = Sys.monotonicNanoseconds() + 10_000_000_000
    while Sys.monotonicNanoseconds() < deadline {
      if try condition() { return true }
      sched_yield()
    }
    return false
  }

  @Test func aShimThatWaitedRunsAContainer_andOneThatWaitsInVainTakesItsGroupAlong() async throws {
    let fixture = try ShimFixture()
    let layout = try CgroupLayout.probe()
    fixture.launcher.keepAhead(
      .init(
        count: 2, runDirectories: fixture.scratch.path + "/run", cgroupParent: ShimFixture.cgroupParent,
        cgroupLayout: layout))
    #expect(try until { try waiting(fixture).count == 2 })
    let before = try waiting(fixture)
    let (shim, client, _) = try await fixture.run(
      fixture.plan("echo up; sleep 1000") { spec in
        var resources = RuntimeSpec.Resources()
        resources.devices = Cgroups.defaultDevices
        spec.linux.resources = resources
      })
    #expect(before.contains(shim.pid))
    _ = try await client.wait(for: "up\n")
    let line = String(decoding: try Sys.readFile("/proc/\(shim.pid)/cmdline"), as: UTF8.self)
    #expect(line.contains(fixture.runDirectory), "\(line)")
    #expect(try until { try waiting(fixture).count == 2 }, "another takes its place")
    // As if the daemon had died.
    let rest = try waiting(fixture)
    fixture.launcher.keepNone()
    #expect(try until { try waiting(fixture).isEmpty })
    if let hierarchy = layout.hierarchies.first {
      let left = try Sys.entries(of: hierarchy.mountPoint + ShimFixture.cgroupParent).map(\.name)
      #expect(!left.contains { name in (rest + before).contains { name.hasPrefix(".spare-\($0)-") } }, "\(left)")
    }
    try await shim.signal(SIGKILL)
    #expect(await shim.exited()?.code == 137)
    #expect(await shim.closed(within: Duration.seconds(5)))
    #expect(try fixture.cgroupIsGone())
  }

  @Test func adoptFindsNothingWhereNothingIs() throws {
    let fixture = try ShimFixture()
    #expect(try fixture.launcher.adopt(runDirectory: fixture.runDirectory) == nil)
    #expect(try fixture.launcher.adopt(runDirectory: fixture.runDirectory + "/none") == nil)
  }

  /// A raw connection to the shim.
  private func connect(_ fixture: ShimFixture) throws -> Descriptor {
    let directory = try Sys.open(fixture.runDirectory, O_DIRECTORY | O_PATH)
    let socket = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket)
    try Sys.connect(socket.raw, path: "/proc/self/fd/\(directory.raw)/shim.sock")
    return socket
  }

  private func send(_ socket: Int32, _ text: String, _ descriptors: [Int32] = []) throws {
    _ = try Array(text.utf8).withUnsafeBytes { try Sys.send(socket, $0, descriptors: descriptors) }
  }

  private func receive(_ socket: Int32) async throws -> String? {
    try await onThread {
      var buffer = [UInt8](repeating: 0, count: 65536)
      var wait = pollfd(fd: socket, events: Int16(POLLIN), revents: 0)
      guard poll(&wait, 1, 10_000) == 1 else { throw SyscallError("poll", "", .timedOut) }
      let count = try buffer.withUnsafeMutableBytes { buffer in
        do throws(SyscallError) { return try Sys.receive(socket, buffer).count } catch
          where error.errno == .connectionReset
        {
          return 0
        }
      }
      return count == 0 ? nil : String(decoding: buffer[..<count], as: UTF8.self)
    }
  }

  @Test func nonsenseOnTheControlSocketHarmsNobody() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("cat", stdin: true), stdin: true)
    let pipe = try Sys.pipe()
    let read = SharedDescriptor(owning: pipe.read)
    let write = SharedDescriptor(owning: pipe.write)
    let deep = String(repeating: "[", count: 60000)
    // Not even a request: the connection ends.
    for (text, descriptors) in [
      ("", []), ("{", []), ("[]", []), ("null", []), ("\0\u{1}", []), ("{\"op\":\"state\"}", []),
      ("{\"tag\":\"x\"}", []), (deep, []),
      ("@", []), ("@", [read.raw]), ("{\"tag\":1e300}", []), ("x", [read.raw, write.raw, read.raw]),
    ] as [(String, [Int32])] {
      let socket = try connect(fixture)
      try send(socket.raw, text, descriptors)
      #expect(try await receive(socket.raw) == nil, "\(text.prefix(20))")
    }
    // A request that can't be served is answered, and the connection goes on.
    let socket = try connect(fixture)
    for text in [
      "{\"tag\":1}", "{\"tag\":1,\"op\":7}", "{\"tag\":1,\"op\":\"fly\"}",
      "{\"tag\":1,\"op\":\"attach\",\"stdout\":true}",
      "{\"tag\":1,\"op\":\"signal\"}", "{\"tag\":1,\"op\":\"signal\",\"signal\":99999999999}",
      "{\"tag\":1,\"op\":\"signal\",\"signal\":-1}", "{\"tag\":1,\"op\":\"signal\",\"signal\":1000}",
      "{\"tag\":1,\"op\":\"signal\",\"signal\":9,\"exec\":\"none\"}",
      "{\"tag\":1,\"op\":\"resize\",\"width\":70000,\"height\":1}",
      "{\"tag\":1,\"op\":\"resize\",\"width\":7,\"height\":1}", "{\"tag\":1,\"op\":\"exec\"}",
      "{\"tag\":1,\"op\":\"exec\",\"plan\":{}}",
      "{\"tag\":1,\"op\":\"start\"}", "{\"tag\":1,\"op\":\"attach\",\"pending\":\"!\"}",
      "{\"tag\":1,\"op\":\"attach\",\"detachKeys\":[256]}",
    ] {
      try send(socket.raw, text)
      let reply = try await receive(socket.raw) ?? ""
      #expect(reply.hasPrefix("{\"tag\":1,\"error\":{"), "\(text): \(reply)")
    }
    // A pipe is no client.
    try send(socket.raw, "{\"tag\":2,\"op\":\"attach\",\"stdout\":true}", [write.raw])
    #expect(try await receive(socket.raw)?.hasPrefix("{\"tag\":2,\"error\":{") == true)
    try client.send("alive\n")
    _ = try await client.wait(for: "alive\n")
    try await shim.signal(SIGKILL)
    #expect(await shim.exited()?.code == 137)
  }

  @Test func aLongRequestComesInAMemfd() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("sleep 1000"))
    _ = try await shim.start()
    var plan = fixture.execPlan("echo ${#LONG}")
    plan.process.env.append("LONG=" + String(repeating: "x", count: 100_000))
    let client = try await fixture.exec(shim, plan)
    #expect(try await client.output().stdout == "100000\n")
    try await shim.signal(SIGKILL)
    _ = await shim.exited()
  }

  @Test func othersThanRootAreRefused() async throws {
    let fixture = try ShimFixture()
    let (shim, _, _) = try await fixture.run(fixture.plan("sleep 1000"))
    try Sys.chmod(fixture.runDirectory + "/shim.sock", 0o666)
    let path = fixture.runDirectory + "/shim.sock"
    let short = fixture.scratch.path + "/s"
    try Sys.symlink(path, short)
    let reply = try await onThread { () -> Int in
      // The raw call changes this thread alone, which ends here.
      try Sys.setuid(65534)
      let socket = try Sys.socket(AF_UNIX, Sys.sockSequencedPacket)
      try Sys.connect(socket.raw, path: short)
      var buffer = [UInt8](repeating: 0, count: 64)
      return try buffer.withUnsafeMutableBytes { try Sys.read(socket.raw, $0) }
    }
    #expect(reply == 0)
    #expect(try await shim.state().status == .running)
    try await shim.signal(SIGKILL)
    _ = await shim.exited()
  }

  @Test func aDaemonThatNeverReadsIsLeftBehind() async throws {
    let fixture = try ShimFixture()
    let (shim, _, _) = try await fixture.run(fixture.plan("sleep 1000"))
    let mute = try connect(fixture)
    for index in 0..<20000 {
      do { try send(mute.raw, "{\"tag\":\(index),\"op\":\"state\"}") } catch { break }
    }
    #expect(try await shim.state().status == .running)
    try await shim.signal(SIGKILL)
    #expect(await shim.exited()?.code == 137)
    #expect(await fixture.shimEnded() == .exited(0))
  }

  @Test func aShimHasNothingOfTheDaemons() async throws {
    let fixture = try ShimFixture()
    let leak = try Sys.open("/dev/zero")
    try Sys.fcntl(leak.raw, F_SETFD, 0)
    let (shim, _, _) = try await fixture.run(fixture.plan("sleep 1000"))
    let directory = "/proc/\(shim.pid)/fd"
    for entry in try Sys.entries(of: directory) {
      // one that it had for a moment is gone
      guard let target = try? Sys.readlink(directory + "/" + entry.name) else { continue }
      #expect(target != "/dev/zero" && !target.hasPrefix("/memfd:"), "\(entry.name) → \(target)")
    }
    let status = String(decoding: try Sys.readFile("/proc/\(shim.pid)/status"), as: UTF8.self)
    #expect(status.hasPrefix("Name:\tberth-shim\n"))
    #expect(status.contains("\nSigBlk:\t0000000000000000\n"))
    #expect(status.contains("\nThreads:\t1\n"))
    #expect(getsid(shim.pid) == shim.pid)
    // Sealed: nobody can write to what it executes.
    #expect(throws: SyscallError.self) { _ = try Sys.open("/proc/\(shim.pid)/exe", O_WRONLY) }
    try await shim.signal(SIGKILL)
    _ = await shim.exited()
    _ = leak.raw
  }
}
