import ContainerRuntime
import OCI
import Testing

struct PlanCodingTests {
  @Test func aPlanComesBackAsItWas() throws {
    var spec = RuntimeSpec()
    var process = RuntimeSpec.Process()
    process.args = ["sh", "-c", "echo \"\u{1F40B}\""]
    process.consoleSize = (80, 24)
    process.rlimits = [.init(type: "RLIMIT_CORE", soft: 0, hard: .max)]
    process.oomScoreAdj = -500
    spec.process = process
    spec.mounts = [.init(destination: "/proc", type: "proc", source: "proc", options: ["nosuid"])]
    spec.linux.namespaces = [.init(.mount), .init(.network, path: "/run/berth/netns/x")]
    spec.linux.timeOffsets = ["monotonic": .init(secs: -3, nanosecs: 7)]
    var network = RuntimeSpec.Resources.Network()
    network.classID = 7
    network.priorities = [.init(name: "eth0", priority: 3)]
    spec.linux.resources = RuntimeSpec.Resources()
    spec.linux.resources?.network = network
    spec.linux.resources?.rdma = ["mlx5_0": .init(hcaHandles: 2)]
    spec.linux.memoryPolicy = .init(mode: "MPOL_BIND", nodes: "0", flags: ["MPOL_F_STATIC_NODES"])
    spec.linux.netDevices = ["eth0": "net1"]
    var rdt = RuntimeSpec.IntelRDT()
    (rdt.closID, rdt.schemata, rdt.enableMonitoring) = ("gold", ["L3:0=f"], true)
    spec.linux.intelRDT = rdt
    var plan = LaunchPlan(
      id: "a", spec: spec, rootfs: .overlay(lower: ["/l2", "/l1"], upper: "/u", work: "/w", volatile: true),
      user: "1000:staff",
      additionalGroups: ["audio"], stdio: .init(terminal: true, openStdin: true, stdinOnce: false),
      log: .init(path: "/log", maximumSize: nil, maximumFiles: 1), exitRecord: "/exit", durableExit: false)
    plan.seccompFlags = 6
    plan.seccompListener = SeccompListener(path: "/listener", metadata: "m")
    #expect(try LaunchPlan(decoding: plan.encoded()) == plan)
    var exec = ExecPlan(
      id: "b", process: process, user: nil, seccompFilter: "/f",
      stdio: .init(terminal: false, openStdin: false, stdinOnce: true))
    exec.seccompFlags = 4
    exec.seccompListener = SeccompListener(path: "/listener")
    #expect(try ExecPlan(decoding: exec.encoded()) == exec)
  }

  @Test func aWrongTypeNamesItsPath() {
    let text = #"{"process": {"args": ["x"], "rlimits": [{"type": "RLIMIT_NOFILE", "hard": "many"}]}}"#
    #expect(throws: JSONError(path: "process.rlimits[0].hard", "an integer from 0 to 18446744073709551615 is expected"))
    {
      try RuntimeSpec(decoding: Array(text.utf8))
    }
  }
}
