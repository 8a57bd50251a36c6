import CLinux
import Kernel
import OCI
import Testing

/// The compose plugin of the docker CLI.
enum Compose {
  static let isPossible: Bool = {
    guard let docker = ProcessEnvironment.find("docker") else { return false }
    return (try? Command(path: docker).run(["compose", "version"]).status) == 0
  }()
}

@Suite("docker compose on the socket", .serialized, .enabled(if: Compose.isPossible, "no docker compose plugin"))
struct ComposeTests {
  /// Answers with the count of questions, which Redis keeps, and with what PostgreSQL adds up.
  private static let web = """
    import socket, subprocess
    def redis(*words):
        s = socket.create_connection(("cache", 6379), 10)
        s.sendall(b"*%d\\r\\n" % len(words) + b"".join(b"$%d\\r\\n%s\\r\\n" % (len(w), w.encode()) for w in words))
        return s.recv(4096).decode().strip()
    server = socket.create_server(("", 80))
    while True:
        client, peer = server.accept()
        client.recv(4096)
        try:
            rows = subprocess.run(["psql", "-h", "db", "-U", "postgres", "-tAc", "select 40 + 2"],
                                  capture_output=True, text=True)
            text = "hits%s sum=%s%s from=%s" % (redis("INCR", "hits"), rows.stdout.strip(), rows.stderr, peer[0])
        except OSError as error:
            text = "failed: %s" % error
        client.sendall(("HTTP/1.0 200 OK\\r\\n\\r\\n" + text + "\\n").encode())
        client.close()
    """

  private static let file = """
    name: shop
    services:
      web:
        image: debian-data:12
        command: [python3, /web.py]
        volumes: ["./web.py:/web.py:ro"]
        ports: ["8090:80"]
        networks: [front, back]
        depends_on:
          cache: {condition: service_started}
          db: {condition: service_healthy}
      cache:
        image: debian-data:12
        command: [redis-server, --bind, 0.0.0.0, --protected-mode, "no", --save, ""]
        networks:
          back: {aliases: [redis-by-alias]}
      db:
        image: debian-data:12
        user: postgres
        environment: {PGDATA: /var/lib/postgresql/fresh}
        command:
          - sh
          - -ec
          - |
            PATH=/usr/lib/postgresql/15/bin:$$PATH
            initdb --no-sync -A trust >/dev/null
            echo 'host all all all trust' >>$$PGDATA/pg_hba.conf
            exec postgres -c 'listen_addresses=*' -c fsync=off -c unix_socket_directories=/tmp
        healthcheck:
          test: [CMD, pg_isready, -h, 127.0.0.1]
          interval: 1s
          timeout: 10s
          retries: 120
        networks: [back]
      worker:
        image: busybox
        command: [sleep, "1000"]
        stop_grace_period: 0s
        networks: [back]
        scale: 3
    networks:
      front: {}
      back: {internal: true}
    """

  @Test(
    "a web server, Redis and PostgreSQL find each other; scale, alias, ports, restart and down",
    .enabled(if: DebianArchive.isPossible, "no mmdebstrap on PATH"))
  func shop() throws {
    let archive: String
    do { archive = try DebianArchive.dataPath() } catch { try Test.cancel("\(error)") }
    try HostNamespace.with { host, daemon in
      try daemon.ok("load", "-i", archive)
      let folder = daemon.folder + "/shop"
      try Sys.mkdir(folder)
      for (name, text) in [("web.py", Self.web), ("compose.yaml", Self.file)] {
        let file = try Sys.open("\(folder)/\(name)", O_WRONLY | O_CREAT, mode: 0o644)
        try Sys.writeAll(file.raw, text)
      }
      func compose(_ arguments: String...) throws -> Command.Result {
        try daemon.docker(["compose", "-f", folder + "/compose.yaml"] + arguments, deadline: 240)
      }
      func shop() throws -> String? {
        let question = [
          "busybox", "timeout", "-s", "KILL", "20", "busybox", "wget", "-q", "-O", "-",
          "http://\(HostNamespace.address):8090/",
        ]
        let result = try host.runOther(question)
        return result.status == 0 ? result.line : nil
      }
      try compose("up", "-d", "--wait").discard()
      #expect(try shop() == "hits:1 sum=42 from=\(HostNamespace.otherAddress)")
      #expect(try compose("port", "web", "80").line == "0.0.0.0:8090")
      #expect(try compose("ps", "--services").lines.sorted() == ["cache", "db", "web", "worker"])

      // three of one name, each time another first
      let script = "for i in 1 2 3 4 5 6; do getent ahostsv4 worker | head -1 | cut -d' ' -f1; done"
      let first = try compose("exec", "-T", "web", "sh", "-c", script).lines
      #expect(Set(first).count == 3, "\(first)")
      let all = try compose("exec", "-T", "web", "sh", "-c", "getent ahostsv4 worker | grep -c STREAM").line
      #expect(all == "3")
      try compose("up", "-d", "--no-recreate", "--scale", "worker=1").discard()
      #expect(try compose("exec", "-T", "web", "sh", "-c", "getent ahostsv4 worker | grep -c STREAM").line == "1")
      let pong = try compose("exec", "-T", "web", "redis-cli", "-h", "redis-by-alias", "ping")
      #expect(pong.line == "PONG")

      try compose("restart", "-t", "1", "cache").discard()
      #expect(try shop()?.hasSuffix(" sum=42 from=\(HostNamespace.otherAddress)") == true)
      // the whole of it outlives the daemon
      try daemon.kill()
      try daemon.start()
      #expect(try shop()?.hasSuffix(" sum=42 from=\(HostNamespace.otherAddress)") == true)

      try compose("down", "-t", "1").discard()
      #expect(try daemon.ok("ps", "-aq").out.isEmpty)
      #expect(try daemon.docker("network", "ls", "-q", "--filter", "type=custom").out.isEmpty)
      #expect(try shop() == nil)
    }
  }
}
