import CLinux
import Kernel
import Testing

@Suite(
  "a whole distribution as an image",
  .enabled(if: DebianArchive.isPossible, "no mmdebstrap on PATH"))
struct DebianTests {
  /// What interpreters and the package manager say of themselves, and of every file they installed.
  static let probes: [(command: String, answer: String)] = [
    ("apt-get --version | head -c 4", "apt "),
    ("perl -e 'print join(\",\", map { $_ * $_ } 1..4), \"\\n\"'", "1,4,9,16"),
    ("python3 -c 'import hashlib; print(hashlib.sha256(b\"berth\").hexdigest()[:8])'", "5c2f64c7"),
    (
      "stat -c '%a %U:%G' /tmp /usr/bin/passwd /var/mail /etc/shadow",
      "1777 root:root\n4755 root:root\n2775 root:mail\n640 root:shadow"
    ),
    // Every checksum that the packages carry, of every file in the image's layer.
    ("dpkg --verify | grep -v /usr/share/doc; dpkg-query -W | wc -l | grep -c '^[0-9][0-9][0-9]*$'", "1"),
    ("su -s /bin/sh nobody -c 'id -un; cat /etc/shadow 2>&1'", "nobody\ncat: /etc/shadow: Permission denied"),
    ("useradd -m someone && su someone -c 'cd && touch mine && stat -c %U mine'", "someone"),
    ("apt-config dump | grep -c '^APT::Architecture '", "1"),
  ]

  @Test("Debian's minimal root file system with Python runs as it was packed")
  func debian() throws {
    let archive: String
    do { archive = try DebianArchive.path() } catch {
      // A mirror that doesn't answer says nothing about Berth.
      try Test.cancel("\(error)")
    }
    try Daemon.with(busybox: false) { daemon in
      #expect(try daemon.ok("load", "-i", archive).line == "Loaded image: debian:12")
      for probe in Self.probes {
        let result = try daemon.berth.run(["run", "--rm", "debian:12", "sh", "-c", probe.command])
        #expect(result.line == probe.answer || result.out == probe.answer + "\n", "\(probe.command): \(result)")
      }
    }
  }
}

/// Debian's minimal root file system with further packages as a docker-archive; made from Debian's mirror once and kept in the user's
/// cache folder, as it takes a minute and more.
enum DebianArchive {
  static let isPossible = ProcessEnvironment.find("mmdebstrap") != nil

  private static let made = Result { try make("debian:12", "debian-12.tar", ["python3-minimal"]) }
  private static let madeData = Result {
    try make("debian-data:12", "debian-12-data.tar", ["redis-server", "postgresql", "python3-minimal"])
  }

  private static func make(_ name: String, _ file: String, _ packages: [String]) throws -> String {
    let home = ProcessEnvironment.current["HOME"] ?? "/root"
    let folder = "\(ProcessEnvironment.current["XDG_CACHE_HOME"] ?? "\(home)/.cache")/berth-tests"
    let archive = "\(folder)/\(file)"
    guard !Sys.exists(archive) else { return archive }
    try Sys.mkdirAll(folder)
    let fresh = "\(archive).\(getpid())"
    let result = try Command(path: "\(try projectRoot())/scripts/make-debian-image").run(
      [name, fresh] + packages, deadline: 900)
    guard result.status == 0 else { throw SyscallError("make-debian-image", result.err, .io) }
    try Sys.rename(fresh, to: archive)
    return archive
  }

  /// `debian:12`, with Python.
  static func path() throws -> String { try made.get() }

  /// `debian-data:12`, with Redis, PostgreSQL and Python.
  static func dataPath() throws -> String { try madeData.get() }
}
