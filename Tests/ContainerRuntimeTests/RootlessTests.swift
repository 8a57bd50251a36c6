import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// Containers that an ordinary user makes.
@Suite(.serialized)
struct RootlessTests {
  let sandbox: Sandbox
  init() throws {
    sandbox = try Sandbox()
    try Sys.chown(sandbox.directory, 4321, 4321)
    try Sys.chown(sandbox.rootfs, 4321, 4321)
    for name in try Sys.entries(of: sandbox.rootfs).map(\.name) {
      try Sys.chown(sandbox.rootfs + "/" + name, 4321, 4321)
    }
  }

  private func userPlan(_ text: String, _ change: (inout LaunchPlan) -> Void = { _ in }) -> LaunchPlan {
    sandbox.plan(["sh", "-c", text]) {
      $0.user = nil
      $0.spec.linux.namespaces.append(.init(.user))
      $0.spec.linux.uidMappings = [.init(containerID: 0, hostID: 4321, size: 1)]
      $0.spec.linux.gidMappings = [.init(containerID: 0, hostID: 4321, size: 1)]
      $0.spec.mounts.removeAll { $0.type == "cgroup" }
      change(&$0)
    }
  }

  @Test func anOrdinaryUserRunsAndExecutes() throws {
    let outcome = try sandbox.run(
      userPlan(
        "id -u; touch /made; echo x > /dev/null && ls -l /dev/null | cut -c1; hostname; mount -t tmpfs none /tmp && echo mounted; until ls /done; do sleep 0.1; done 2> /dev/null > /dev/null"
      ) {
        // As root of the namespace with everything, to see what that is good for.
        let all = ContainerRuntime.capabilityNames
        $0.spec.process?.capabilities?.bounding = all
        $0.spec.process?.capabilities?.effective = all
        $0.spec.process?.capabilities?.permitted = all
      },
      execs: [sandbox.exec(["sh", "-c", "hostname; touch /done"])], options: ["--as", "4321"])
    #expect(outcome.failure == nil && outcome.code == 0, "\(outcome)")
    #expect(outcome.output.split(separator: "\n").sorted() == ["0", "box", "box", "c", "mounted"], "\(outcome.output)")
    #expect(outcome.execs.map(\.code) == [0], "\(outcome.execs)")
    #expect(try Sys.status(sandbox.rootfs + "/made").st_uid == 4321)
    #expect(outcome.warnings.contains { $0.hasPrefix("no cgroup:") })
  }

  @Test func limitsWithoutAGroupAreRefused() throws {
    let outcome = try sandbox.run(
      userPlan("true") {
        $0.spec.linux.resources = RuntimeSpec.Resources()
        $0.spec.linux.resources?.pids = 10
      }, options: ["--as", "4321"])
    #expect(outcome.failure?.step == "cgroup", "\(outcome)")
  }

  @Test func moreIdsThanOnesOwnNeedNewuidmap() throws {
    let outcome = try sandbox.run(
      userPlan("id -u") {
        $0.spec.linux.uidMappings = [
          .init(containerID: 0, hostID: 4321, size: 1), .init(containerID: 1, hostID: 100_000, size: 100),
        ]
      }, options: ["--as", "4321"])
    // Without the program, or without a line for this user in /etc/subuid, that is the answer.
    #expect(outcome.failure?.message.contains("newuidmap") == true, "\(outcome)")
  }
}
