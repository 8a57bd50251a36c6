import CLinux
import ContainerRuntime
import Containers
import Kernel
import OCI
import Testing

@Suite(.enabled(if: ShimFixture.hasBusybox, "needs Debian's busybox-static"), .timeLimit(.minutes(2)))
struct ShimExecTests {
  private func started() async throws -> (ShimFixture, ShimConnection) {
    let fixture = try ShimFixture()
    let shim = try await fixture.launch(fixture.plan("sleep 1000"))
    _ = try await shim.start()
    return (fixture, shim)
  }

  private func stop(_ shim: ShimConnection) async throws {
    try await shim.signal(SIGKILL)
    _ = await shim.exited()
  }

  @Test func runsInTheContainerWithItsOwnStreamsAndCode() async throws {
    let (fixture, shim) = try await started()
    let plan = fixture.execPlan("echo out; echo err >&2; ls /bin/busybox; exit 7")
    let client = try await fixture.exec(shim, plan)
    #expect(try await client.output() == ("out\n/bin/busybox\n", "err\n"))
    #expect(await shim.next() == .execExited(id: plan.id, code: 7))
    // an exec's output isn't the container's
    #expect(try fixture.logged().isEmpty)
    try await stop(shim)
  }

  @Test func takesInputAndItsEnd() async throws {
    let (fixture, shim) = try await started()
    let client = try await fixture.exec(
      shim, fixture.execPlan("cat; echo done", stdin: true), pending: Array("early ".utf8))
    try client.send("late\n")
    try client.endInput()
    #expect(try await client.output().stdout == "early late\ndone\n")
    try await stop(shim)
  }

  @Test func hasATerminalOfItsOwn() async throws {
    let (fixture, shim) = try await started()
    let plan = fixture.execPlan("tty; read x; stty size", tty: true, stdin: true)
    let client = try await fixture.exec(shim, plan)
    _ = try await client.wait(for: "/dev/pts/")
    try await shim.resize(exec: plan.id, width: 90, height: 20)
    try client.send("\n")
    #expect(try await client.text().hasSuffix("20 90\r\n"))
    #expect(await shim.next() == .execExited(id: plan.id, code: 0))
    try await stop(shim)
  }

  @Test func detachKeysLeaveItRunning() async throws {
    let (fixture, shim) = try await started()
    let plan = fixture.execPlan("cat", tty: true, stdin: true)
    let client = try await fixture.exec(shim, plan)
    try client.send([0x10, 0x11])
    #expect(try await client.all().isEmpty)
    #expect(await shim.next() == .detached(exec: plan.id))
    #expect(try await shim.state().execs.map(\.id) == [plan.id])
    try await shim.signal(SIGKILL, exec: plan.id)
    #expect(await shim.next() == .execExited(id: plan.id, code: 137))
    await #expect(throws: SyscallError.self) { try await shim.signal(SIGKILL, exec: plan.id) }
    try await stop(shim)
  }

  @Test func manyRunAtOnce() async throws {
    let (fixture, shim) = try await started()
    let count = 40
    var codes: [String: Int32] = [:]
    let plans = (0..<count).map { fixture.execPlan("read x; echo \($0) $x; exit \($0)", stdin: true) }
    try await withThrowingTaskGroup(of: (Int, String).self) { group in
      for (index, plan) in plans.enumerated() {
        group.addTask {
          let client = try await fixture.exec(shim, plan)
          try client.send("in\(index)\n")
          return (index, try await client.output(seconds: 60).stdout)
        }
      }
      for try await (index, output) in group { #expect(output == "\(index) in\(index)\n") }
    }
    for _ in 0..<count {
      if case .execExited(let id, let code) = await shim.next() { codes[id] = code }
    }
    for (index, plan) in plans.enumerated() { #expect(codes[plan.id] == Int32(index)) }
    #expect(try await shim.state().execs.isEmpty)
    try await stop(shim)
  }

  @Test func thoseItLeavesBehindMayWriteForTwoSeconds() async throws {
    let (fixture, shim) = try await started()
    let plan = fixture.execPlan("(sleep 0.4; echo late; sleep 100; echo never) & echo hi; exit 3")
    let before = Sys.monotonicNanoseconds()
    let client = try await fixture.exec(shim, plan)
    async let stream = (try await client.output().stdout, Sys.monotonicNanoseconds())
    // The code is told at once.
    #expect(await shim.next() == .execExited(id: plan.id, code: 3))
    let told = Sys.monotonicNanoseconds()
    let (output, ended) = try await stream
    #expect(output == "hi\nlate\n")
    #expect(told < ended)
    #expect(ended - before > 1_900_000_000)
    try await stop(shim)
  }

  @Test func aFailureLeavesTheClientAlone() async throws {
    let (fixture, shim) = try await started()
    var plan = fixture.execPlan("")
    plan.process.args = ["no-such-program"]
    let client = try Client()
    let other = try client.takeOther()
    let attach = ShimProtocol.Attach(stdin: false, stdout: true, stderr: true, mux: true)
    let failure = await #expect(throws: LaunchFailure.self) { try await shim.exec(plan, attach: attach, socket: other) }
    #expect(failure?.message.contains("executable file not found in $PATH") == true)
    // the daemon may still answer its client
    try Sys.writeAll(other.raw, "told")
    _ = try await client.wait(for: "told")
    try await stop(shim)
  }

  @Test func endsWithTheContainer() async throws {
    let (fixture, shim) = try await started()
    let client = try await fixture.exec(shim, fixture.execPlan("echo up; sleep 1000"))
    _ = try await client.wait(for: "up\n")
    try await shim.signal(SIGKILL)
    #expect(try await client.all().isEmpty)
    #expect(await shim.exited()?.code == 137)
    #expect(await fixture.shimEnded() == .exited(0))
  }
}
