import CLinux
import Kernel
import OCI
import Testing

/// What each command answers in each state of a container (runtime.md, "Lifecycle" and "Operations"): berth-runtime, and crun and runc as
/// the references where they are installed.
@Suite("life cycle of the runtime's containers", .serialized)
struct RuntimeLifecycleTests {
  enum Situation: String, CaseIterable {
    case absent, created, running, paused, stopped
  }

  /// A command and the situations in which it must succeed; in the others it must fail. `C` stands for the container.
  struct Row: CustomStringConvertible {
    let words: String
    let succeeds: Set<Situation>
    /// What it must say, on either stream, by situation.
    var says: [Situation: String] = [:]
    /// Situations in which a reference does otherwise, with the reason why we don't follow it.
    var differs: [String: Set<Situation>] = [:]
    /// The status that it comes to by success.
    var then: Situation?
    var description: String { words }
  }

  static let rows: [Row] = [
    Row(
      words: "state C", succeeds: [.created, .running, .paused, .stopped],
      says: [
        .absent: "does not exist", .created: "\"created\"", .running: "\"running\"", .paused: "\"paused\"",
        .stopped: "\"stopped\"",
      ]),
    Row(
      words: "start C", succeeds: [.created],
      says: [.absent: "does not exist", .running: "already running", .stopped: "stopped"], then: .running),
    // Neither created nor running: "MUST have no effect on the container and MUST generate an error".
    Row(
      words: "kill C 0", succeeds: [.created, .running, .paused],
      says: [.absent: "does not exist", .stopped: "not running"]),
    Row(words: "kill C KILL", succeeds: [.created, .running, .paused], then: .stopped),
    Row(words: "kill C NOSUCH", succeeds: []),
    // The specification lets delete fail before the end; engines count on runc, which takes back what was never started.
    Row(
      words: "delete C", succeeds: [.created, .stopped],
      says: [.absent: "does not exist", .running: "not stopped", .paused: "not stopped"],
      differs: ["crun": [.created]], then: .absent),
    Row(words: "delete --force C", succeeds: Set(Situation.allCases), then: .absent),
    Row(
      words: "exec C true", succeeds: [.created, .running], says: [.paused: "paused", .stopped: "not running"]),
    Row(
      words: "exec -d C sleep 100", succeeds: [.created, .running], says: [.absent: "does not exist"]),
    Row(
      words: "pause C", succeeds: [.created, .running], says: [.stopped: "not running", .absent: "does not exist"],
      differs: ["crun": [.paused, .stopped]], then: .paused),
    Row(
      words: "resume C", succeeds: [.paused], says: [.running: "not paused", .absent: "does not exist"],
      differs: ["crun": [.created, .running, .stopped]]),
    Row(
      words: "update --pids-limit 20 C", succeeds: [.created, .running, .paused],
      says: [.absent: "does not exist", .stopped: "not running"], differs: ["crun": [.stopped]]),
    Row(
      words: "ps --format json C", succeeds: [.created, .running, .paused, .stopped], says: [.absent: "does not exist"]),
    Row(
      words: "events --stats C", succeeds: [.created, .running, .paused],
      says: [.running: "\"pids\"", .absent: "does not exist"], differs: ["crun": Set(Situation.allCases)]),
    Row(words: "create C", succeeds: [.absent], says: [.running: "exist", .stopped: "exist"], then: .created),
    Row(words: "run -d C", succeeds: [.absent], says: [.running: "exist", .stopped: "exist"], then: .running),
  ]

  @Test("each command in each state", arguments: Situation.allCases)
  func transitions(_ situation: Situation) throws {
    let bundle = try Bundle()
    try bundle.write(try bundle.specification("exec sleep 1000"))
    // 400 commands more, a second for every four of them.
    let compares = ProcessEnvironment.current["BERTH_COMPARE"] != nil
    let references = compares ? bundle.references : []
    if references.isEmpty {
      print("➜ life cycle: crun and runc are compared with BERTH_COMPARE=1, where they are installed")
    }
    for runtime in [bundle.berth] + references {
      // One container as long as the commands leave it as it is.
      var isThere = false
      defer { _ = try? runtime.run(["delete", "-f", "c"]) }
      for row in Self.rows {
        if !isThere {
          try make(situation, runtime, bundle)
          isThere = true
        }
        let words = row.words.split(separator: " ").map { $0 == "C" ? "c" : String($0) }
        let needsBundle = ["create", "run"].contains(words[0])
        let result = try runtime.run(needsBundle ? [words[0], "-b", bundle.path] + words.dropFirst() : words)
        let place = "\(runtime), \(situation.rawValue): \(row): \(result)"
        let ours = runtime.name == "berth-runtime"
        if ours || !(row.differs[runtime.name]?.contains(situation) ?? false) {
          #expect((result.status == 0) == row.succeeds.contains(situation), Comment(rawValue: place))
        }
        if ours, let says = row.says[situation] {
          #expect((result.out + result.err).contains(says), Comment(rawValue: place))
        }
        if ours, result.status == 0, let then = row.then, situation != .created || then != .paused {
          let came = try becomes(then, runtime)
          #expect(came, "\(place): isn't \(then.rawValue)")
        }
        if result.status == 0 || !ours {
          _ = try runtime.run(["delete", "-f", "c"])
          isThere = false
        } else {
          // What fails must change nothing.
          #expect(try becomes(situation, runtime), Comment(rawValue: place))
        }
      }
    }
  }

  private func make(_ situation: Situation, _ runtime: Bundle.Runtime, _ bundle: Bundle) throws {
    if situation == .absent { return }
    let made = try runtime.run(
      [situation == .created ? "create" : "run"] + (situation == .created ? [] : ["-d"]) + ["-b", bundle.path, "c"])
    try #require(made.status == 0, "\(runtime): \(made)")
    switch situation {
    case .paused: try #require(try runtime.run(["pause", "c"]).status == 0)
    case .stopped:
      try #require(try runtime.run(["kill", "c", "KILL"]).status == 0)
      try #require(try becomes(.stopped, runtime))
    default: break
    }
  }

  private func status(_ runtime: Bundle.Runtime) throws -> String {
    let result = try runtime.run(["state", "c"])
    return result.status == 0 ? try JSON.parse(result.out)["status"]?.stringValue ?? "" : "absent"
  }

  /// Looks every 10 ms: runtimes tell nobody when a container ends.
  private func becomes(_ situation: Situation, _ runtime: Bundle.Runtime) throws -> Bool {
    for _ in 0..<300 {
      if try status(runtime) == situation.rawValue { return true }
      var pause = timespec(tv_sec: 0, tv_nsec: 10_000_000)
      nanosleep(&pause, nil)
    }
    return false
  }
}
