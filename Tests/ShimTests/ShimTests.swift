import Cgroups
import CLinux
import ContainerRuntime
import Containers
import Kernel
import OCI
import Testing

@Suite(.enabled(if: ShimFixture.hasBusybox, "needs Debian's busybox-static"), .timeLimit(.minutes(2)))
struct ShimTests {
  @Test func outputGoesToTheClientAndToTheLogAndTheExitIsTold() async throws {
    let fixture = try ShimFixture()
    let before = Sys.realtimeNanoseconds()
    let (shim, client, started) = try await fixture.run(fixture.plan("echo out; echo err >&2; exit 3"))
    #expect(started.pid > 0 && started.startedAt >= before)
    let output = try await client.output()
    #expect(output == ("out\n", "err\n"))
    let record = try #require(await shim.exited())
    #expect(record.code == 3 && record.signal == nil && !record.oomKilled)
    #expect(record.startedAt == started.startedAt && record.exitedAt >= record.startedAt)
    #expect(try ExitRecord.read(fixture.recordPath) == record)
    #expect(try Set(fixture.logged().map { "\($0.stream) \($0.text)" }) == ["stdout out\n", "stderr err\n"])
    #expect(await shim.closed(within: .seconds(10)))
    #expect(await fixture.shimEnded() == .exited(0))
  }

  @Test func clientsGetTheStreamsTheyAskFor() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("echo out; echo err >&2"))
    let out = try await fixture.attach(shim, stderr: false)
    let err = try await fixture.attach(shim, stdout: false)
    let none = try await fixture.attach(shim, stdout: false, stderr: false)
    _ = try await shim.start()
    #expect(try await out.output() == ("out\n", ""))
    #expect(try await err.output() == ("", "err\n"))
    #expect(try await none.all().isEmpty)
  }

  @Test func aMegabyteInOneLineReachesClientAndLog() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("head -c 1000000 /dev/zero | tr '\\0' x; echo end"))
    let output = try await client.output()
    #expect(output.stdout.utf8.count == 1_000_004)
    #expect(output.stdout.hasSuffix("xend\n"))
    #expect(await shim.exited()?.code == 0)
    let records = try fixture.logged()
    #expect(records.map(\.text).joined() == output.stdout)
    #expect(records.allSatisfy { $0.text.utf8.count <= 16385 })
  }

  @Test func theLogIsRotatedWithoutLosingALine() async throws {
    let fixture = try ShimFixture()
    let plan = fixture.plan("seq 1 20000", maximumSize: 200_000, maximumFiles: 20)
    let shim = try await fixture.launch(plan)
    _ = try await shim.start()
    #expect(await shim.exited()?.code == 0)
    var lines: [String] = []
    for index in stride(from: 19, through: 0, by: -1) {
      let path = index == 0 ? fixture.logPath : "\(fixture.logPath).\(index)"
      guard Sys.exists(path) else { continue }
      #expect(try Sys.status(path).st_size < 201_000)
      lines += try fixture.logged(path).map(\.text)
    }
    #expect(lines == (1...20000).map { "\($0)\n" })
  }

  @Test func halfClosingTheClientEndsTheInput() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("cat; echo done", stdin: true, once: true), stdin: true)
    let text = String(repeating: "0123456789abcdef\n", count: 20000)
    async let output = client.output()
    try await onThread {
      try client.send(text)
      try client.endInput()
    }
    #expect(try await output.stdout == text + "done\n")
    #expect(await shim.exited()?.code == 0)
  }

  @Test func whatAClientSentBeforeItClosedIsNotLost() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("sleep 0.3; wc -c", stdin: true, once: true))
    let pair = try Sys.socketPair(Sys.sockStream)
    do {
      let ours = Descriptor(owning: pair.0)
      try await shim.attach(
        ShimProtocol.Attach(stdin: true, stdout: false, stderr: false, mux: true, pending: Array("12345".utf8)),
        socket: SharedDescriptor(owning: pair.1))
      try Sys.writeAll(ours.raw, [UInt8](repeating: 0x79, count: 150_000))
      try ours.close()
    }
    _ = try await shim.start()
    #expect(await shim.exited()?.code == 0)
    #expect(try fixture.logged().map(\.text) == ["150005\n"])
  }

  @Test func withoutStdinOnceTheEndOfInputEndsTheClientAlone() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("cat", stdin: true), stdin: true)
    try client.send("hello\n")
    _ = try await client.wait(for: "hello\n")
    try client.endInput()
    #expect(try await client.all().isEmpty)
    let second = try await fixture.attach(shim, stdin: true)
    try second.send("again\n")
    _ = try await second.wait(for: "again\n")
    try await shim.signal(SIGKILL)
    let record = try #require(await shim.exited())
    #expect(record.code == 137 && record.signal == SIGKILL)
  }

  @Test func aProcessThatClosesItsInputGoesOn() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(
      fixture.plan("exec <&-; sleep 0.3; echo after", stdin: true, once: true), stdin: true)
    try await onThread {
      // On a busy machine the container may be faster.
      do { try client.send([UInt8](repeating: 0x78, count: 300_000)) } catch let error as SyscallError
        where error.errno == .brokenPipe
      { return }
      try client.endInput()
    }
    #expect(try await client.output().stdout == "after\n")
    #expect(await shim.exited()?.code == 0)
  }

  @Test func aTerminalIsRawToTheClientAndTakesItsSize() async throws {
    let fixture = try ShimFixture()
    let script = "tty; stty size; read x; stty size; echo got $x"
    let shim = try await fixture.launch(fixture.plan(script, tty: true, stdin: true))
    let client = try await fixture.attach(shim, tty: true, stdin: true)
    try await shim.resize(width: 80, height: 24)
    _ = try await shim.start()
    _ = try await client.wait(for: "/dev/pts/0\r\n24 80\r\n")
    try await shim.resize(width: 132, height: 43)
    try client.send("hi\n")
    let rest = try await client.text()
    #expect(rest == "hi\r\n43 132\r\ngot hi\r\n")
    #expect(await shim.exited()?.code == 0)
    #expect(try fixture.logged().allSatisfy { $0.stream == "stdout" })
    #expect(try fixture.logged().map(\.text).joined().hasSuffix("got hi\r\n"))
  }

  @Test func theSizeCanBeSetBeforeTheStart() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("stty size", tty: true))
    let client = try await fixture.attach(shim, tty: true)
    try await shim.resize(width: 100, height: 30)
    _ = try await shim.start()
    #expect(try await client.text() == "30 100\r\n")
  }

  @Test func withoutATerminalThereIsNoSize() async throws {
    let fixture = try ShimFixture()
    let (shim, _, _) = try await fixture.run(fixture.plan("sleep 100"))
    await #expect(throws: SyscallError.self) { try await shim.resize(width: 1, height: 1) }
    try await shim.signal(SIGKILL)
    _ = await shim.exited()
  }

  @Test func detachKeysLeaveTheContainerRunning() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("cat", tty: true, stdin: true), stdin: true)
    try client.send("one\n")
    _ = try await client.wait(for: "one\r\none\r\n")
    try client.send([0x10])
    try client.send([0x11])
    #expect(try await client.all().isEmpty)
    #expect(await shim.next() == .detached(exec: nil))
    let second = try await fixture.attach(shim, tty: true, stdin: true, detachKeys: [1, 2])
    // these are ordinary keys now
    try second.send([0x10, 0x11, 0x0A])
    _ = try await second.wait(for: "\r\n")
    try second.send([1, 2])
    _ = try await second.all()
    #expect(await shim.next() == .detached(exec: nil))
    #expect(try await shim.state().status == .running)
    try await shim.signal(SIGKILL)
    #expect(await shim.exited()?.code == 137)
  }

  @Test func anEndedClientHoldsNothingUp() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("seq 1 100000"))
    var gone: Client? = try await fixture.attach(shim)
    let client = try await fixture.attach(shim)
    gone = nil
    _ = gone
    _ = try await shim.start()
    let output = try await client.output()
    #expect(output.stdout.hasSuffix("99999\n100000\n"))
    #expect(await shim.exited()?.code == 0)
  }

  @Test func aClientThatDoesNotReadHoldsTheContainerUpUntilItGoes() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("seq 1 200000; echo done >&2"))
    var lazy: Client? = try await fixture.attach(shim, stderr: false)
    let client = try await fixture.attach(shim, stdout: false)
    _ = try await shim.start()
    await #expect(throws: SyscallError.self, "the container finished although a client doesn't read") {
      try await client.wait(for: "done", seconds: 1)
    }
    #expect(try await shim.state().status == .running)
    #expect(lazy != nil)
    lazy = nil
    _ = try await client.wait(for: "done\n")
    #expect(await shim.exited()?.code == 0)
    #expect(try fixture.logged().count == 200_001)
  }

  @Test func allOutputReachesASlowClientAfterTheExit() async throws {
    let fixture = try ShimFixture()
    let (shim, client, _) = try await fixture.run(fixture.plan("seq 1 40000"))
    // Nobody reads yet: the shim still has most of it when the container has ended.
    #expect(await shim.exited()?.code == 0)
    #expect(try await client.output().stdout == (1...40000).map { "\($0)\n" }.joined())
  }

  @Test func aProgramThatIsNotThereFailsTheStart() async throws {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("", arguments: ["no-such-program"]))
    let client = try await fixture.attach(shim)
    let failure = await #expect(throws: LaunchFailure.self) { try await shim.start() }
    #expect(failure?.message.contains(#"exec: "no-such-program": executable file not found in $PATH"#) == true)
    #expect(try await client.all().isEmpty)
    #expect(await shim.closed(within: .seconds(10)))
    #expect(await fixture.shimEnded() == .exited(0))
    #expect(try ExitRecord.read(fixture.recordPath) == nil)
    #expect(try fixture.cgroupIsGone())
  }

  @Test func aContainerThatWasNotStartedIsTakenBack() async throws {
    for release in [true, false] {
      let fixture = try ShimFixture()
      let shim = try await fixture.launch(fixture.plan("sleep 100"))
      #expect(try await shim.state().status == .created)
      if release { try await shim.release() } else { shim.abandon() }
      #expect(await fixture.shimEnded() == .exited(0))
      #expect(try fixture.cgroupIsGone())
      #expect(try ExitRecord.read(fixture.recordPath) == nil)
    }
  }

  @Test func aLogThatCannotBeOpenedFailsTheStart() async throws {
    let fixture = try ShimFixture()
    var plan = fixture.plan("true")
    plan.log = LaunchPlan.Log(path: fixture.scratch.path + "/none/log", maximumSize: nil, maximumFiles: 1)
    let shim = try await fixture.launch(plan)
    let failure = await #expect(throws: LaunchFailure.self) { try await shim.start() }
    #expect(failure?.step == "log" && failure?.errno == ENOENT)
    #expect(await fixture.shimEnded() == .exited(0))
  }

  @Test func aMemoryHogIsToldToBeOOMKilled() async throws {
    let fixture = try ShimFixture()
    let plan = fixture.plan("tail /dev/zero") { spec in
      var resources = RuntimeSpec.Resources()
      resources.memory = RuntimeSpec.Resources.Memory()
      resources.memory?.limit = 16 << 20
      resources.memory?.swap = 16 << 20
      spec.linux.resources = resources
    }
    let shim = try await fixture.launch(plan)
    _ = try await shim.start()
    let record = try #require(await shim.exited())
    #expect(record.oomKilled)
    #expect(record.code == 137)
  }

  @Test func othersInASharedPidNamespaceDieWithTheFirst() async throws {
    let fixture = try ShimFixture()
    let plan = fixture.plan("sleep 1000 & echo started; exit 5") { spec in
      spec.linux.namespaces.removeAll { $0.kind == .pid }
    }
    let (shim, client, _) = try await fixture.run(plan)
    #expect(try await client.output(seconds: 2).stdout == "started\n")
    #expect(await shim.exited()?.code == 5)
    #expect(await shim.closed(within: .seconds(10)))
    #expect(try fixture.cgroupIsGone())
  }
}

extension ShimFixture {
  func cgroupIsGone() throws -> Bool {
    try !Cgroup(path: Self.cgroupParent + "/" + id, layout: CgroupLayout.probe()).exists
  }
}
