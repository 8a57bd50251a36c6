import Cgroups
import Errdefs
import Terminal
import Testing

@testable import Containers

@Suite struct ValidationTests {
  private let host = HostFacts(
    cpus: 2, memory: 1 << 32, kernel: (6, 1),
    layout: CgroupLayout(mode: .v2, hierarchies: [], unified: "/sys/fs/cgroup", unifiedControllers: []))

  private func refusal(
    _ change: (inout ContainerConfig, inout HostConfig) -> Void
  ) -> String? {
    var config = ContainerConfig()
    var hostConfig = HostConfig()
    change(&config, &hostConfig)
    var validation = Validation(host: host)
    do {
      try validation.check(&config, &hostConfig)
      return nil
    } catch { return "\(error)" }
  }

  @Test func textsAreDockers() {
    #expect(refusal { $1.resources.memory = 1 << 20 } == "Minimum memory limit allowed is 6MB")
    #expect(
      refusal { $1.resources.nanoCPUs = 3_000_000_000 }
        == "Range of CPUs is from 0.01 to 2.00, as there are only 2 CPUs available")
    #expect(
      refusal {
        $1.resources.nanoCPUs = 1; $1.resources.cpuQuota = 5000
      }
        == "Conflicting options: Nano CPUs and CPU Quota cannot both be set")
    #expect(
      refusal {
        $0.hostname = "x"; $1.networkMode = "container:a"
      } == "conflicting options: hostname and the network mode")
    #expect(
      refusal { $1.networkMode = "container:" } == "Invalid network mode: invalid container format container:<name|id>")
    #expect(
      refusal {
        $1.autoRemove = true; $1.restartPolicy.name = "always"
      }
        == "can't create 'AutoRemove' container with restart policy")
    #expect(
      refusal {
        $1.capAdd = ["FLY"]; _ = $0
      } == "invalid CapAdd: unknown capability: \"CAP_FLY\"")
    #expect(
      refusal {
        $0.workingDir = "x"; _ = $1
      } == "the working directory 'x' is invalid, it needs to be an absolute path")
    #expect(
      refusal {
        $0.stopSignal = "SIGNOPE"; _ = $1
      } == "invalid signal: SIGNOPE")
    #expect(
      refusal {
        $1.ipcMode = "odd"; _ = $0
      } == "invalid IPC mode: odd")
    #expect(
      refusal {
        $1.oomScoreAdj = 2000; _ = $0
      } == "Invalid value 2000, range for oom score adj is [-1000, 1000]")
    #expect(refusal { _, _ in } == nil)
  }

  @Test func namesAreChecked() throws {
    #expect(try ContainerNames.check("/web_1.a-b") == "web_1.a-b")
    for bad in ["", "a", "-ab", "a b", "a/b", "ä1"] {
      let error = #expect(throws: EngineError.self) { try ContainerNames.check(bad) }
      #expect(error?.message == "Invalid container name (\(bad)), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed")
    }
    for attempt in 0..<50 { _ = try ContainerNames.check(ContainerNames.random(attempt: attempt)) }
  }

  @Test func signalsAreRead() throws {
    #expect(try Signal.parse("SIGTERM") == 15 && Signal.parse("hup") == 1 && Signal.parse("9") == 9)
    #expect(try Signal.parse("RTMIN+3") == 37 && Signal.parse("SIGRTMAX-1") == 63)
    #expect(throws: EngineError.self) { try Signal.parse("0") }
  }

  @Test func timesAreRead() {
    #expect(TimeFilter.parse("1136073600.000000001", now: 0) == 1_136_073_600_000_000_001)
    #expect(TimeFilter.parse("2006-01-02T15:04:05.5Z", now: 0) == 1_136_214_245_500_000_000)
    #expect(TimeFilter.parse("2006-01-02T15:04:05+01:00", now: 0) == 1_136_210_645_000_000_000)
    #expect(TimeFilter.parse("2006-01-02", now: 0) == 1_136_160_000_000_000_000)
    #expect(TimeFilter.parse("1h30m", now: 5400_000_000_000) == 0)
    #expect(TimeFilter.parse("soon", now: 0) == nil)
    #expect(DockerTime.fixed(1_136_214_245_500_000_000) == "2006-01-02T15:04:05.500000000Z")
    #expect(DockerTime.short(1_136_214_245_500_000_000) == "2006-01-02T15:04:05.5Z")
    #expect(DockerTime.short(0) == "0001-01-01T00:00:00Z")
  }

  @Test func capabilitiesAreAddedAndDropped() throws {
    #expect(try CapabilitySet.effective(add: [], drop: [], privileged: false).count == 14)
    #expect(try CapabilitySet.effective(add: ["net_admin"], drop: ["ALL"], privileged: false) == ["CAP_NET_ADMIN"])
    #expect(
      try !CapabilitySet.effective(add: ["ALL"], drop: ["SYS_ADMIN"], privileged: false).contains("CAP_SYS_ADMIN"))
    #expect(
      try CapabilitySet.effective(add: [], drop: [], privileged: true, available: ["CAP_KILL"]) == ["CAP_KILL"])
  }

  @Test func detachKeysAreRead() throws {
    #expect(try DetachKeys.parse("ctrl-p,ctrl-q") == [16, 17])
    #expect(try DetachKeys.parse("a,ctrl-\\") == [97, 28])
    #expect(throws: EngineError.self) { try DetachKeys.parse("ctrl-1") }
  }
}
