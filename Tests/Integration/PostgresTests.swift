import CLinux
import Kernel
import OCI
import Testing

/// A database that minds what it writes, on a volume, while everything around it is killed. It takes a minute, and two more to fetch
/// the packages the first time.
@Suite(
  "PostgreSQL on a volume",
  .enabled(if: ProcessEnvironment.current["BERTH_POSTGRES"] != nil, "BERTH_POSTGRES is not set"),
  .enabled(if: DebianArchive.isPossible, "no mmdebstrap on PATH"))
struct PostgresTests {
  /// pgbench moves money between accounts, tellers and branches and writes it down: all four sums are the same at any moment.
  private static let sums = """
    select a = b and b = t and t = h, h <> 0 from (select sum(abalance) a from pgbench_accounts) a, (select sum(bbalance) b from
    pgbench_branches) b, (select sum(tbalance) t from pgbench_tellers) t, (select sum(delta) h from pgbench_history) h
    """
  private static let serve = """
    [ -d data ] || initdb -D data --data-checksums --auth trust >/dev/null
    exec postgres -D data -c unix_socket_directories=/tmp -c listen_addresses= -c full_page_writes=on
    """

  @Test(
    "data is whole after kill -9 of the container, of the daemon and of the shim, and in a snapshot taken meanwhile")
  func survives() throws {
    let archive: String
    do { archive = try DebianArchive.dataPath() } catch {
      // A mirror that doesn't answer says nothing about Berth.
      try Test.cancel("\(error)")
    }
    try Daemon.with(busybox: false) { daemon in
      try daemon.ok("load", "-i", archive)
      try serve("db", on: "pgdata", daemon)
      try client("db", "pgbench -i -q -s 2 && psql -qc 'create table marks (mark int)'", daemon)

      try work("db", mark: 1, daemon)
      let pid = try #require(pid_t(try daemon.ok("inspect", "-f", "{{.State.Pid}}", "db").line))
      try kill(pid)
      #expect(try daemon.ok("wait", "db").line == "137")
      try daemon.ok("start", "db")
      try check("db", marks: 1, daemon)

      try work("db", mark: 2, daemon)
      try daemon.kill()
      try daemon.start()
      try check("db", marks: 2, daemon)

      try work("db", mark: 3, daemon)
      let child = try #require(pid_t(try daemon.ok("inspect", "-f", "{{.State.Pid}}", "db").line))
      let shim = try parent(of: child)
      let ends = try Sys.pidfdOpen(child)
      let program = try Sys.readlink("/proc/\(shim)/exe")
      try #require(program.contains("shim"), "the parent of \(child) is \(program)")
      try kill(shim)
      // Nothing of the container writes on when its shim is gone.
      var poll = pollfd(fd: ends.raw, events: Int16(POLLIN), revents: 0)
      let ended = try Sys.retrying("poll") { CLinux.poll(&poll, 1, 10_000) }
      #expect(ended == 1)
      try daemon.ok("wait", "db")
      try daemon.ok("start", "db")
      try check("db", marks: 3, daemon)

      try work("db", mark: 4, daemon)
      try daemon.ok("volume", "snapshot", "--quiesce", "pgdata", "moment")
      try work("db", mark: 5, daemon)
      try daemon.ok("volume", "restore", "pgdata", "moment", "second")
      try serve("copy", on: "second", daemon)
      try check("copy", marks: 4, daemon)
      try check("db", marks: 5, daemon)
      try daemon.ok("stop", "db", "copy")
    }
  }

  private func serve(_ name: String, on volume: String, _ daemon: Daemon) throws {
    try daemon.ok(
      "run", "-d", "--name", name, "--network", "none", "-u", "postgres", "-w", "/var/lib/postgresql", "-v",
      "\(volume):/var/lib/postgresql", "-e", "PATH=/usr/lib/postgresql/15/bin:/usr/bin:/bin", "-e", "PGHOST=/tmp",
      "debian-data:12", "sh", "-c", Self.serve)
  }

  @discardableResult
  private func client(_ name: String, _ script: String, _ daemon: Daemon) throws -> String {
    try daemon.ok("exec", name, "sh", "-c", "until pg_isready -q; do sleep 0.05; done; \(script)").line
  }

  /// Transactions of four clients under way, and a mark that is committed.
  private func work(_ name: String, mark: Int, _ daemon: Daemon) throws {
    try client(name, "true", daemon)
    try daemon.ok("exec", "-d", name, "sh", "-c", "pgbench -n -c 4 -T 600 >/dev/null 2>&1")
    try client(
      name,
      "until [ $(psql -Atc 'select count(*) from pgbench_history') -gt \(mark * 200) ]; do sleep 0.05; done; "
        + "psql -qc 'insert into marks values (\(mark))'", daemon)
  }

  private func check(_ name: String, marks: Int, _ daemon: Daemon) throws {
    #expect(try client(name, "psql -Atc \"\(Self.sums)\"", daemon) == "t|t", "\(name)")
    #expect(try client(name, "psql -Atc 'select max(mark) from marks'", daemon) == "\(marks)", "\(name)")
    #expect(try client(name, "pg_amcheck --install-missing --heapallindexed postgres", daemon).isEmpty, "\(name)")
  }

  private func kill(_ pid: pid_t) throws {
    let process = SharedDescriptor(try Sys.pidfdOpen(pid))
    try Sys.sendSignal(pidfd: process.raw, SIGKILL)
  }

  private func parent(of pid: pid_t) throws -> pid_t {
    let status = String(decoding: try Sys.readFile("/proc/\(pid)/status"), as: UTF8.self)
    let line = status.split(separator: "\n").first { $0.hasPrefix("PPid:") }
    return try #require(line.flatMap { pid_t($0.dropFirst(5).filter(\.isNumber)) })
  }
}
