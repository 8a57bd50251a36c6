import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

@Suite(.serialized)
struct HookTests {
  let sandbox: Sandbox
  init() throws { sandbox = try Sandbox() }

  private func hook(_ text: String, timeout: Int64? = nil) -> RuntimeSpec.Hook {
    RuntimeSpec.Hook(path: "/bin/sh", args: ["sh", "-c", text], env: ["PATH=/bin:/usr/bin"], timeout: timeout)
  }

  @Test func eachPointRunsInItsOrderAndItsNamespaceWithTheStateOnItsInput() throws {
    let log = sandbox.directory + "/hooks"
    // What the runtime's files and the container's can both name.
    let line = "{ echo $(readlink /proc/self/ns/uts) $(cat) >> \(log); }"
    let outcome = try sandbox.sh(
      "cat /startContainer /proc/sys/kernel/hostname; readlink /proc/self/ns/uts; ls /created"
    ) {
      $0.bundle = "/some/bundle"
      $0.spec.annotations = ["org.example": "kept"]
      var hooks = RuntimeSpec.Hooks()
      hooks.prestart = [hook(line)]
      hooks.createRuntime = [hook(line)]
      // The container's mounts are there, below the host's root; its root is the host's still.
      hooks.createContainer = [hook(line), hook("touch \(sandbox.rootfs)/created")]
      hooks.startContainer = [hook("cat > /startContainer")]
      hooks.poststart = [hook(line)]
      hooks.poststop = [hook("exit 3"), hook(line)]
      $0.spec.hooks = hooks
    }
    #expect(outcome.code == 0 && outcome.failure == nil, "\(outcome)")
    let own = try Sys.readlink("/proc/self/ns/uts")
    let text = String(decoding: try Sys.readFile(log), as: UTF8.self)
    let lines = text.split(separator: "\n").map { $0.split(separator: " ", maxSplits: 1).map(String.init) }
    try #require(lines.count == 5, "\(text)")
    let states = try lines.map { try JSON.parse(Array($0[1].utf8)) }
    #expect(states.map { $0["status"]?.stringValue } == ["creating", "creating", "creating", "running", "stopped"])
    for state in states {
      #expect(state["bundle"]?.stringValue == "/some/bundle")
      #expect(state["annotations"]?["org.example"]?.stringValue == "kept")
    }
    let host = lines.map { $0[0] == own }
    #expect(host == [true, true, false, true, true])
    #expect((states[0]["pid"]?.intValue ?? 0) > 1 && states[2]["pid"]?.intValue == 1 && states[4]["pid"] == nil)
    let started = try JSON.parse(Array((outcome.output.split(separator: "\n").first ?? "").dropLast(3).utf8))
    #expect(started["status"]?.stringValue == "created" && started["pid"]?.intValue == 1)
    #expect(outcome.output.contains(lines[2][0]))
    #expect(outcome.left.contains { $0.contains("error running poststop hook #0: exit status 3") })
  }

  @Test(arguments: HookPoint.allCases.filter { $0 != .poststop })
  func aHookThatFailsEndsTheContainerAndPoststopRunsAllTheSame(_ point: HookPoint) throws {
    let log = sandbox.directory + "/stopped"
    let outcome = try sandbox.sh("sleep 60") {
      var hooks = RuntimeSpec.Hooks()
      let failing = point == .startContainer ? "echo no; exit 7" : "echo no; exit 7"
      switch point {
      case .prestart: hooks.prestart = [hook(failing)]
      case .createRuntime: hooks.createRuntime = [hook(failing)]
      case .createContainer: hooks.createContainer = [hook(failing)]
      case .startContainer: hooks.startContainer = [hook(failing)]
      case .poststart: hooks.poststart = [hook(failing)]
      case .poststop: break
      }
      hooks.poststop = [hook("cat > \(log)")]
      $0.spec.hooks = hooks
    }
    #expect(
      outcome.failure?.message == "error running \(point.rawValue) hook #0: exit status 7, stdout: no\n, stderr: ")
    #expect(!outcome.groupRemains && outcome.mounts.isEmpty)
    #expect(Sys.exists(log))
  }

  @Test func aHookThatTakesTooLongIsKilled() throws {
    let outcome = try sandbox.sh("true") {
      $0.spec.hooks = RuntimeSpec.Hooks()
      $0.spec.hooks?.createRuntime = [hook("sleep 100", timeout: 1)]
    }
    #expect(
      outcome.failure?.message == "error running createRuntime hook #0: hook ran past specified timeout of 1.0s")
  }

  @Test func whatAHookStartedEndsWithItsTime() throws {
    let sandbox = try Sandbox()
    let mark = sandbox.directory + "/pids"
    let outcome = try sandbox.sh("true") {
      $0.spec.hooks = RuntimeSpec.Hooks()
      $0.spec.hooks?.createRuntime = [
        hook("sleep 1234 & sh -c 'sleep 1234 & echo $! >>\(mark); wait' & echo $! >>\(mark); wait", timeout: 1)
      ]
    }
    #expect(outcome.failure?.message.contains("ran past specified timeout") == true, "\(outcome)")
    let pids = String(decoding: try Sys.readFile(mark), as: UTF8.self).split(separator: "\n").compactMap { Int32($0) }
    #expect(pids.count == 2)
    for pid in pids {
      // Gone, or waiting for whoever reaps orphans here.
      let state = (try? Sys.readFile("/proc/\(pid)/stat")).map { String(decoding: $0, as: UTF8.self) }
      #expect(state.map { $0.contains(") Z ") || $0.contains(") X ") } ?? true, "\(state ?? "")")
    }
  }

  @Test func aHookThatIsNotThereSaysSo() throws {
    let outcome = try sandbox.sh("true") {
      $0.spec.hooks = RuntimeSpec.Hooks()
      $0.spec.hooks?.prestart = [.init(path: "/none/such")]
    }
    #expect(
      outcome.failure?.message == "error running prestart hook #0: exec /none/such: no such file or directory")
  }
}
