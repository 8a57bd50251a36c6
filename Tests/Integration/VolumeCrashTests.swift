import CLinux
import Kernel
import Testing

/// Volumes of a daemon that is killed in the middle of everything that changes them. `BERTH_CRASH_ROUNDS` says how often; the suite's own
/// runs are few, so that they're short.
@Suite("volumes and a daemon that is killed", .serialized)
struct VolumeCrashTests {
  private static let files = 200
  private static let rounds = Int(ProcessEnvironment.current["BERTH_CRASH_ROUNDS"] ?? "") ?? 24

  /// Nil: all files are there with what their names say.
  private func problem(_ directory: String) throws -> String? {
    let names = try Sys.entries(of: directory).map(\.name)
    guard names.count == Self.files else { return "\(directory) has \(names.count) files" }
    for name in names where try Sys.readFile("\(directory)/\(name)") != Array("\(name)\n".utf8) {
      return "\(directory)/\(name) has another content"
    }
    return nil
  }

  @Test(
    "killed in the middle of create, clone, snapshot, restore, import, rename, rm and prune: no volume half there, none lost"
  )
  func killed() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "--name", "base", "busybox", "sh", "-c",
        "mkdir /data; i=0; while [ $i -lt \(Self.files) ]; do echo $i > /data/$i; i=$((i+1)); done")
      try daemon.ok("commit", "base", "many")
      try daemon.ok("rm", "base")
      try daemon.ok("run", "--rm", "-v", "precious:/data", "many", "true")
      let archive = "\(daemon.folder)/precious.tar"
      try daemon.ok("volume", "export", "-o", archive, "precious")
      let root = "\(daemon.folder)/data/volumes"
      var generator = SystemRandomNumberGenerator()
      /// What was told to be done, and not undone since.
      var kept: Set<String> = []
      for round in 0..<Self.rounds {
        var running: [(what: [String], command: RunningCommand)] = []
        func go(_ words: String...) throws { running.append((words, try daemon.berth.start(words))) }
        try go("create", "--name", "n\(round)", "-v", "v\(round):/data", "many", "true")
        try go("volume", "create", "e\(round)")
        try go("volume", "clone", "precious", "c\(round)")
        try go("volume", "import", archive, "i\(round)")
        if let name = kept.first(where: { $0.hasPrefix("c") }) { try go("volume", "snapshot", name, "s\(round)") }
        if let name = kept.first(where: { $0.hasPrefix("i") }) { try go("volume", "rename", name, "r\(round)") }
        if let name = kept.first(where: { $0.hasPrefix("r") }) { try go("volume", "rm", name) }
        if kept.count > 12, let name = kept.first(where: { $0.hasPrefix("c") }) { try go("volume", "rm", name) }
        if round % 8 == 7 {
          kept = kept.filter { !$0.hasPrefix("e") }
          try go("volume", "prune", "-f", "--filter", "label=none")
          try go("rm", "n\(round - 1)")
        }
        usleep(UInt32.random(in: 0..<120_000, using: &generator))
        try daemon.kill()
        var moving: [(String, String)] = []
        for (what, command) in running {
          let isDone = try command.wait().status == 0
          switch what[1] {
          case "rename":
            kept.remove(what[2])
            if isDone { kept.insert(what[3]) } else { moving.append((what[2], what[3])) }
          case "rm": kept.remove(what[2])
          case "create", "clone", "import": if isDone { kept.insert(what.last ?? "") }
          default: break
          }
        }
        try daemon.start()
        let volumes = Set(try daemon.ok("volume", "ls", "-q").lines)
        try #require(volumes.contains("precious"))
        let lost = kept.subtracting(volumes)
        #expect(lost.isEmpty, "round \(round): \(lost) were told to be made")
        for (old, new) in moving {
          #expect(volumes.contains(old) != volumes.contains(new), "round \(round): \(old) on its way to \(new)")
        }
        for name in volumes {
          let data = "\(root)/\(name)/_data"
          let isEmpty = try Sys.entries(of: data).isEmpty
          if name.hasPrefix("e") || (name.hasPrefix("v") && isEmpty) {
            #expect(isEmpty, "round \(round): \(name)")
          } else {
            let problem = try problem(data)
            #expect(problem == nil, "round \(round): \(problem ?? "")")
          }
          let snapshots = "\(root)/\(name)/snapshots"
          for snapshot in Sys.exists(snapshots) ? try Sys.entries(of: snapshots) : [] {
            let problem = try problem("\(snapshots)/\(snapshot.name)/_data")
            #expect(problem == nil, "round \(round): \(problem ?? "")")
          }
        }
        let left = try Sys.entries(of: root).map(\.name).filter { !$0.hasPrefix(".") && !volumes.contains($0) }
        #expect(left.isEmpty, "round \(round): \(left) belong to nobody")
        if round % 16 == 15 {
          // Room for the next rounds.
          for name in volumes where name.hasPrefix("v") || name.hasPrefix("e") {
            _ = try daemon.berth.run(["rm", "-f", "n" + name.dropFirst()])
            _ = try daemon.berth.run(["volume", "rm", name])
            kept.remove(name)
          }
          try daemon.ok("volume", "undelete", "--empty")
        }
      }
    }
  }
}
