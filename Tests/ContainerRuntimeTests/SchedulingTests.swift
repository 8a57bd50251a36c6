import ContainerRuntime
import Kernel
import OCI
import Testing

@Suite(.serialized)
struct SchedulingTests {
  let sandbox: Sandbox
  init() throws { sandbox = try Sandbox() }

  @Test func theProgramRunsWhereAndWhenItsConfigurationSays() throws {
    // proc_pid_stat(5): 19 is nice, 41 the policy.
    let text = "cut -d' ' -f19,41 /proc/self/stat"
    var scheduler = RuntimeSpec.Scheduler(policy: "SCHED_BATCH")
    scheduler.nice = 7
    let outcome = try sandbox.run(
      sandbox.plan(["sh", "-c", text + "; until test -e /done; do sleep 0.1; done"]) {
        $0.spec.process?.scheduler = scheduler
        $0.spec.process?.ioPriority = RuntimeSpec.IOPriority(class: "IOPRIO_CLASS_BE", priority: 6)
      },
      execs: [
        sandbox.exec(["sh", "-c", "grep Cpus_allowed_list /proc/self/status; touch /done"]) {
          $0.process.execCPUAffinity = RuntimeSpec.CPUAffinity(initial: "0-1", final: "0")
        }
      ])
    #expect(outcome.code == 0 && outcome.execs.map(\.code) == [0], "\(outcome)")
    #expect(
      outcome.output.split(separator: "\n").sorted() == ["7 3", "Cpus_allowed_list:\t0"], "\(outcome.output)")
  }

  @Test(arguments: [
    (#"{"scheduler":{"policy":"SCHED_NONE"}}"#, "process.scheduler.policy"),
    (#"{"scheduler":{"policy":"SCHED_OTHER","priority":5}}"#, "process.scheduler.priority"),
    (#"{"scheduler":{"policy":"SCHED_BATCH","flags":["SCHED_FLAG_NONE"]}}"#, "process.scheduler.flags[0]"),
    (#"{"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":8}}"#, "process.ioPriority.priority"),
    (#"{"execCPUAffinity":{"initial":"3-1"}}"#, "process.execCPUAffinity.initial"),
  ]) func whatMakesNoSenseIsRefusedByTheNameOfItsField(_ text: String, _ field: String) throws {
    let asked = try RuntimeSpec.Process(JSONFields(try JSON.parse(Array(text.utf8))))
    let outcome = try sandbox.sh("true") {
      $0.spec.process?.scheduler = asked.scheduler
      $0.spec.process?.ioPriority = asked.ioPriority
      $0.spec.process?.execCPUAffinity = asked.execCPUAffinity
    }
    #expect(outcome.failure?.message.hasPrefix(field + ": ") == true, "\(outcome)")
  }
}
