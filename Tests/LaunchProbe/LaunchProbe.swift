import Cgroups
import CLinux
import ContainerRuntime
import Kernel
import OCI

/// Runs a launch plan as the shim does, in a process with one thread, which a test's process isn't; and measures it.
///
///     launch-probe PLAN [--result FILE] [--exec EXECPLAN]… [--kill] [--abandon] [--as ID] [--fail STEP] [--repeat N] [--trace]
///
/// The container has the probe's own stdio, or a terminal, whose output is copied to the probe's. `--result` gets
/// `{"code", "failure", "warnings", "execs": [{"code" | "failure"}], "left", "descriptors": [before, after], "times", "steps"}`.
@main
struct LaunchProbe {
  var plan = ""
  var result: String?
  var execs: [String] = []
  var kill = false
  var abandon = false
  var user: uid_t?
  var fail: String?
  var repeats = 1
  var trace = false

  static func main() throws {
    if CommandLine.arguments.dropFirst().first == "deny" { try Denial.run(CommandLine.arguments.dropFirst(2)) }
    var probe = LaunchProbe()
    var arguments = CommandLine.arguments.dropFirst()
    func value() -> String { arguments.popFirst() ?? "" }
    while let argument = arguments.popFirst() {
      switch argument {
      case "--result": probe.result = value()
      case "--exec": probe.execs.append(value())
      case "--kill": probe.kill = true
      case "--abandon": probe.abandon = true
      case "--as": probe.user = uid_t(value())
      case "--fail": probe.fail = value()
      case "--repeat": probe.repeats = Int(value()) ?? 1
      case "--trace": probe.trace = true
      default: probe.plan = argument
      }
    }
    try probe.run()
  }

  func run() throws {
    #if DEBUG
      ContainerRuntime.failPoint = fail
    #endif
    if trace { ContainerRuntime.trace = try StepTrace() }
    let plan = try LaunchPlan(decoding: try Sys.readFile(plan))
    let execs = try execs.map { try ExecPlan(decoding: try Sys.readFile($0)) }
    var report = JSONObject()
    var times: [String: [Int64]] = [:]
    var steps: [(String, [Int64])] = []
    if let user {
      try Sys.setgroups([])
      try Sys.setgid(user)
      try Sys.setuid(user)
      // Its own files in procfs are root's until an exec, or this.
      try Sys.prctl(4, 1)
    }
    let before = try Sys.entries(of: "/proc/self/fd").count
    for _ in 0..<repeats {
      ContainerRuntime.trace?.clear()
      report = JSONObject()
      let start = Sys.monotonicNanoseconds()
      var last = start
      func lap(_ name: String) {
        let now = Sys.monotonicNanoseconds()
        times[name, default: []].append(Int64(now - last) / 1000)
        last = now
      }
      do {
        try once(plan, execs, &report, lap)
      } catch let failure as LaunchFailure {
        report["failure"] = failure.json
      }
      times["total", default: []].append(Int64(Sys.monotonicNanoseconds() - start) / 1000)
      if let trace = ContainerRuntime.trace { add(trace.steps, to: &steps) }
    }
    let after = try Sys.entries(of: "/proc/self/fd").count
    report["descriptors"] = [.int(Int64(before)), .int(Int64(after))]
    func summary(_ values: [Int64]) -> JSON {
      let sorted = values.sorted()
      return [
        "median": .int(sorted[sorted.count / 2]), "p90": .int(sorted[sorted.count * 9 / 10]), "min": .int(sorted[0]),
      ]
    }
    report["times"] = .object(JSONObject(times.sorted { $0.key < $1.key }.map { ($0.key, summary($0.value)) }))
    report["steps"] = .object(JSONObject(steps.map { ($0.0, summary($0.1)) }))
    if let result { try Sys.replaceFile(result, with: JSON.object(report).encoded(), durable: false) }
  }

  func once(_ plan: LaunchPlan, _ execs: [ExecPlan], _ report: inout JSONObject, _ lap: (String) -> Void) throws {
    let stdio = ContainerRuntime.Stdio(input: 0, output: 1, error: 2)
    let container = try ContainerRuntime.prepare(plan, stdio: stdio)
    lap("prepare")
    report["warnings"] = JSON(container.warnings)
    if abandon {
      container.abandon()
      return
    }
    try container.start()
    lap("start")
    var results: [JSON] = []
    for exec in execs {
      do {
        let process = try container.exec(exec, stdio: stdio)
        lap("exec")
        try copyTerminal(process)
        results.append(["code": .int(Int64(try process.wait()?.code ?? -1))])
        lap("exec wait")
      } catch let failure as LaunchFailure { results.append(["failure": failure.json]) }
    }
    report["execs"] = .array(results)
    if kill { try container.process.signal(SIGKILL) }
    try copyTerminal(container.process)
    report["code"] = .int(Int64(try container.process.wait()?.code ?? -1))
    lap("wait")
    report["warnings"] = JSON(container.warnings)
    report["left"] = JSON(container.finish())
    lap("finish")
  }

  /// Until the last slave is closed (EIO).
  func copyTerminal(_ process: ContainerProcess) throws {
    guard let terminal = process.terminal else { return }
    var buffer = [UInt8](repeating: 0, count: 4096)
    while true {
      let count = buffer.withUnsafeMutableBytes { (try? Sys.read(terminal.raw, $0)) ?? 0 }
      if count == 0 { return }
      try Sys.writeAll(1, Array(buffer[..<count]))
    }
  }

  /// What each step took, until the next began.
  func add(_ marks: [(name: String, at: UInt64)], to steps: inout [(String, [Int64])]) {
    for (index, (name, at)) in marks.enumerated() where index + 1 < marks.count {
      let microseconds = Int64(marks[index + 1].at - at) / 1000
      if let index = steps.firstIndex(where: { $0.0 == name }) {
        steps[index].1.append(microseconds)
      } else {
        steps.append((name, [microseconds]))
      }
    }
  }
}
