import CLinux
import Kernel
import OCI
import Testing

/// Against distribution's own registry, on loopback; skipped, saying so, where it isn't installed (`scripts/dependencies test` installs it).
@Suite(
  "a registry on loopback", .serialized,
  .enabled(if: ProcessEnvironment.find("docker-registry") != nil, "no docker-registry on PATH"))
struct RegistryTests {
  /// "secret", by bcrypt.
  static let users = "me:$2b$04$k4slVZDMubCUsvEZFL5XRur76j7Q92vVNY1lQHPBTtcxmJPrZCoSq\n"

  /// Runs `body` with a daemon and a registry, whose address it gets.
  private func with(users: Bool = false, _ body: (Daemon, String) throws -> Void) throws {
    try Daemon.with { daemon in
      let port = 20_000 + Int(getpid()) % 20_000 + (users ? 1 : 0)
      let config = "\(daemon.folder)/registry.yml"
      var text = """
        version: 0.1
        log: {level: error, accesslog: {disabled: true}}
        storage: {filesystem: {rootdirectory: \(daemon.folder)/registry}, delete: {enabled: true}}
        http: {addr: "127.0.0.1:\(port)"}

        """
      if users {
        try write(Self.users, to: "\(daemon.folder)/htpasswd")
        text += "auth: {htpasswd: {realm: test, path: \(daemon.folder)/htpasswd}}\n"
      }
      try write(text, to: config)
      let program = try #require(ProcessEnvironment.find("docker-registry"))
      let registry = try Command(path: program, environment: ["OTEL_TRACES_EXPORTER": "none"]).start(["serve", config])
      let host = "127.0.0.1:\(port)"
      // It tells nobody when it is ready: whoever connects too early is refused.
      var answer = try daemon.berth.run(["search", "\(host)/x"])
      for _ in 0..<200 where answer.err.contains("refused") {
        usleep(50_000)
        answer = try daemon.berth.run(["search", "\(host)/x"])
      }
      try #require(!answer.err.contains("refused"), "\(answer)")
      defer {
        try? registry.signal(SIGTERM)
        _ = try? registry.wait()
      }
      try body(daemon, host)
    }
  }

  private func write(_ text: String, to path: String) throws {
    let file = try Sys.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    try Sys.writeAll(file.raw, text)
  }

  private func ok(_ command: Command, _ arguments: String...) throws -> Command.Result {
    let result = try command.run(arguments)
    try #require(result.status == 0, "\(arguments.joined(separator: " ")): \(result)")
    return result
  }

  @Test("push, pull, digests, run of a missing image")
  func roundTrip() throws {
    try with { daemon, host in
      let berth = daemon.berth
      let name = "\(host)/team/busybox:1"
      _ = try ok(berth, "tag", "busybox", name)
      let id = try ok(berth, "inspect", "-f", "{{.Id}}", "busybox").line
      let pushed = try ok(berth, "push", name)
      #expect(pushed.lines.first == "The push refers to repository [\(host)/team/busybox]")
      let digest = try #require(pushed.lines.last?.split(separator: " ").first(where: { $0.hasPrefix("sha256:") }))
        .description
      #expect(try ok(berth, "push", name).out.contains(": Layer already exists\n"))
      _ = try ok(berth, "rmi", "-f", name, "busybox")

      // A missing image is pulled, and told on standard error.
      let run = try ok(berth, "run", "--rm", "--network", "none", name, "echo", "hello")
      #expect(run.out == "hello\n")
      #expect(run.err.hasPrefix("Unable to find image '\(name)' locally\n1: Pulling from team/busybox\n"), "\(run)")
      #expect(run.err.hasSuffix("Status: Downloaded newer image for \(name)\n"), "\(run)")
      #expect(
        try ok(berth, "inspect", "-f", "{{.Id}} {{index .RepoDigests 0}}", name).line
          == "\(id) \(host)/team/busybox@\(digest)")
      #expect(try ok(berth, "pull", name).out.contains("Status: Image is up to date for \(name)\n"))

      // By digest, and under another name with the same digest.
      _ = try ok(berth, "rmi", "-f", name)
      #expect(try ok(berth, "pull", "-q", "\(host)/team/busybox@\(digest)").line == "\(host)/team/busybox@\(digest)")
      _ = try ok(berth, "tag", "\(host)/team/busybox@\(digest)", "\(host)/other/busybox:2")
      let other = try ok(berth, "push", "\(host)/other/busybox:2")
      #expect(other.out.contains(": Mounted from team/busybox\n"))
      #expect(other.out.contains("2: digest: \(digest) size: "))
      #expect(try ok(berth, "manifest", "inspect", name).out.contains("\"schemaVersion\": 2"))
      #expect(try ok(berth, "search", "--format", "{{.Name}}", "\(host)/busy").lines.count == 2)
      let missing = try berth.run(["pull", "\(host)/team/busybox:none"])
      #expect(missing.status == 1)
      #expect(
        missing.err.contains("manifest for \(host)/team/busybox:none not found: manifest unknown: manifest unknown"))
      let never = try berth.run(["run", "--pull", "never", "--rm", "\(host)/team/busybox:3", "true"])
      #expect(never.status == 125)
    }
  }

  @Test("login, logout and credentials of docker's own file")
  func credentials() throws {
    try with(users: true) { daemon, host in
      var berth = daemon.berth
      berth.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
      let name = "\(host)/private:1"
      _ = try ok(berth, "tag", "busybox", name)
      let refused = try berth.run(["push", name])
      #expect(refused.status == 1 && refused.err.contains("no basic auth credentials"), "\(refused)")
      let wrong = try berth.run(["login", "-u", "me", "--password-stdin", host], input: "wrong\n")
      #expect(wrong.status == 1 && wrong.err.contains("401 Unauthorized"), "\(wrong)")
      let login = try berth.run(["login", "-u", "me", "--password-stdin", host], input: "secret\n")
      #expect(login.status == 0 && login.out == "Login Succeeded\n", "\(login)")
      _ = try ok(berth, "push", name)
      _ = try ok(berth, "rmi", name)
      _ = try ok(berth, "pull", name)
      if var docker = daemon.docker {
        docker.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
        _ = try ok(docker, "rmi", name)
        #expect(try ok(docker, "pull", name).out.contains("Status: Downloaded newer image for \(name)"))
      }
      #expect(try ok(berth, "logout", host).out == "Removing login credentials for \(host)\n")
      #expect(try berth.run(["push", name]).status == 1)

      // The same by a helper.
      let helper = "\(daemon.folder)/docker-credential-test"
      try write(
        """
        #!/bin/sh
        read -r server
        case $1 in
          get) echo '{"ServerURL":"'"$server"'","Username":"me","Secret":"secret"}' ;;
          *) exit 1 ;;
        esac

        """, to: helper)
      try Sys.chmod(helper, 0o755)
      try write("{\"credsStore\":\"test\"}", to: "\(daemon.folder)/docker/config.json")
      berth.environment["PATH"] = "\(daemon.folder):/usr/bin:/bin"
      _ = try ok(berth, "push", name)
    }
  }
}
