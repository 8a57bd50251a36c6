import CLinux
import Kernel
import OCI
import Testing

/// Trees that somebody else changes while a container is made in them: another container of the same volume or root file system.
@Suite("hostile neighbours", .serialized)
struct HostileNeighbourTests {
  let bundle: Bundle
  let victim: String
  static let rounds = 60

  init() throws {
    bundle = try Bundle()
    victim = bundle.folder + "/victim"
    try Sys.mkdir(victim)
    try Sys.replaceFile(victim + "/secret", with: Array("host\n".utf8), durable: false)
  }

  private var isUntouched: Bool {
    (try? Sys.entries(of: victim).map(\.name)) == ["secret"]
      && (try? Sys.readFile(victim + "/secret")) == Array("host\n".utf8)
  }

  /// Runs the same container many times; answers how often it started, and what it said.
  private func rounds(_ spec: RuntimeSpec) throws -> (started: Int, said: [String]) {
    try bundle.write(spec)
    var started = 0
    var said: [String] = []
    for round in 0..<Self.rounds {
      let result = try bundle.berth.run(["run", "-b", bundle.path, "r\(round)"])
      if result.out.contains("started") { started += 1 }
      said += result.lines.filter { $0 != "started" }
    }
    return (started, said)
  }

  @Test(
    "CVE-2021-30465, CVE-2024-45310: a directory of a volume and a link to the host change places under a destination")
  func destination() throws {
    let volume = bundle.folder + "/volume"
    try Sys.mkdirAll(volume + "/dir")
    try Sys.symlink(victim, volume + "/link")
    // Through all that is below, a link to the root leads to the host's root, seen from a careless runtime.
    var spec = try bundle.specification("echo started; cat /data/dir/secret /data/link/secret 2>/dev/null")
    spec.mounts += [
      RuntimeSpec.Mount(destination: "/data", type: "bind", source: volume, options: ["rbind"]),
      RuntimeSpec.Mount(destination: "/data/dir", type: "tmpfs", source: "tmpfs"),
      RuntimeSpec.Mount(destination: "/data/dir/a/b", type: "tmpfs", source: "tmpfs"),
      RuntimeSpec.Mount(destination: "/data/link/f", type: "bind", source: "/dev/null", options: ["bind"]),
    ]
    spec.root?.readonly = false
    let racer = try Racer(volume, "dir", "link")
    let (started, said) = try rounds(spec)
    let turns = racer.stop()
    #expect(turns > Self.rounds, "it wasn't raced")
    #expect(said.isEmpty, "the host's file was read: \(said)")
    #expect(isUntouched)
    // By the end of one of the links, or refused: both happen.
    #expect(started > 0)
  }

  @Test(
    "CVE-2019-19921, CVE-2025-52881: /proc changes its name between its mount and its masks",
    arguments: ["/other", "/link"])
  func procIsMoved(_ other: String) throws {
    let rootfs = bundle.path + "/rootfs"
    try Sys.mkdir(rootfs + "/proc")
    try Sys.mkdir(rootfs + "/other")
    try Sys.symlink("data", rootfs + "/link")
    // Its own UTS namespace's name is all that it could write.
    var spec = try bundle.specification(
      """
      echo started
      for d in /proc /other /data; do cd $d && [ -e self/status ] || continue; [ -c keys ] || echo "$d is not masked"
      echo x 2>/dev/null >sys/kernel/domainname && echo "$d was written"; done
      """)
    spec.root?.readonly = false
    spec.linux.sysctl = ["net.ipv4.ip_forward": "1"]
    spec.process?.oomScoreAdj = 100
    let racer = try Racer(rootfs, "proc", String(other.dropFirst()))
    let (started, said) = try rounds(spec)
    let turns = racer.stop()
    #expect(turns > Self.rounds && started > 0, "\(turns) \(started)")
    #expect(said.isEmpty, "\(Set(said))")
  }
}
