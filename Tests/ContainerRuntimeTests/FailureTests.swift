import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// What is left when a launch fails: nothing.
struct FailureTests {
  static let steps = [
    "signals", "dumpable", "session", "cgroup", "namespaces", "userNamespace", "rootfs", "mounts", "devices", "console",
    "sysctl", "masks", "pivot", "hostname", "user", "stdio", "limits", "directory", "identity", "program", "ready",
    "initProcess", "seccomp", "exec",
  ]

  @Test(arguments: steps)
  func aFailureAtEveryStepLeavesNothing(_ step: String) throws {
    let sandbox = try Sandbox()
    try Sys.mkdir(sandbox.directory + "/upper")
    try Sys.mkdir(sandbox.directory + "/work")
    for initProcess in [false, true] {
      let plan = sandbox.plan(["true"]) {
        $0.initProcess = initProcess
        $0.stdio.terminal = true
        $0.rootfs = .overlay(
          lower: [sandbox.rootfs], upper: sandbox.directory + "/upper", work: sandbox.directory + "/work",
          volatile: false)
        $0.spec.linux.resources = RuntimeSpec.Resources()
        $0.spec.linux.resources?.pids = 64
      }
      let outcome = try sandbox.run(plan, options: ["--fail", step, "--repeat", "3"])
      #expect(outcome.failure?.step == step && outcome.failure?.message == "injected failure", "\(outcome)")
      #expect(!outcome.groupRemains && outcome.mounts.isEmpty, "\(outcome)")
      #expect(outcome.descriptors.count == 2 && outcome.descriptors.first == outcome.descriptors.last, "\(outcome)")
      #expect(try Self.processes(named: sandbox.directory).isEmpty)
    }
  }

  @Test func abandoningLeavesNothing() throws {
    let sandbox = try Sandbox()
    let outcome = try sandbox.run(sandbox.plan(["true"]), options: ["--abandon", "--repeat", "3"])
    #expect(outcome.failure == nil && !outcome.groupRemains && outcome.mounts.isEmpty)
    #expect(outcome.descriptors.first == outcome.descriptors.last)
    #expect(try Self.processes(named: sandbox.directory).isEmpty)
  }

  @Test func runningLeavesNothing() throws {
    let sandbox = try Sandbox()
    let outcome = try sandbox.run(
      sandbox.plan(["true"]), execs: [sandbox.exec(["nope"])], options: ["--repeat", "5"])
    #expect(outcome.code == 0 && !outcome.groupRemains && outcome.mounts.isEmpty && outcome.left.isEmpty)
    #expect(outcome.descriptors.first == outcome.descriptors.last)
  }

  @Test func processesThatOutliveTheirParentGoWithTheContainer() throws {
    let sandbox = try Sandbox()
    // Without a pid namespace nothing but the cgroup holds them together.
    let outcome = try sandbox.sh("sleep 1234 & echo started") {
      $0.spec.linux.namespaces.removeAll { $0.kind == .pid }
    }
    #expect(outcome.output == "started\n" && outcome.left.isEmpty && !outcome.groupRemains, "\(outcome)")
  }

  @Test func anInitStageKilledByItsMemoryLimitIsTold() throws {
    let sandbox = try Sandbox()
    let outcome = try sandbox.sh("true") {
      $0.spec.linux.resources = RuntimeSpec.Resources()
      $0.spec.linux.resources?.memory = RuntimeSpec.Resources.Memory()
      $0.spec.linux.resources?.memory?.limit = 4096
    }
    #expect(outcome.failure != nil || outcome.code == 137, "\(outcome)")
    #expect(!outcome.groupRemains && outcome.mounts.isEmpty)
  }

  /// Processes whose command line names the sandbox.
  static func processes(named name: String) throws -> [String] {
    try Sys.entries(of: "/proc").map(\.name).filter { $0.allSatisfy(\.isNumber) }.filter { pid in
      guard let line = try? Sys.readFile("/proc/\(pid)/cmdline") else { return false }
      return String(decoding: line, as: UTF8.self).contains(name)
    }
  }
}
