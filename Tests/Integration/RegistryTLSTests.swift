import CLinux
import Kernel
import OCI
import Testing

/// Distribution's registry behind TLS with an authority of its own, certificates of clients and passwords, at an address that isn't
/// loopback's network, since that one needs no proof.
@Suite(
  "a registry behind TLS", .serialized,
  .enabled(
    if: ["docker-registry", "openssl", "ip"].allSatisfy { ProcessEnvironment.find($0) != nil },
    "docker-registry, openssl or ip is not on PATH"))
struct RegistryTLSTests {
  private func write(_ text: String, to path: String) throws {
    let file = try Sys.open(path, O_WRONLY | O_CREAT | O_TRUNC, mode: 0o600)
    try Sys.writeAll(file.raw, text)
  }

  private func tool(_ name: String, _ arguments: [String]) throws {
    let result = try Command(path: try #require(ProcessEnvironment.find(name))).run(arguments)
    try #require(result.status == 0, "\(name) \(arguments): \(result)")
  }

  /// `ca.crt`, and `server` and `client` with their keys, signed by it.
  private func certificates(_ folder: String, address: String) throws {
    let key = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    try tool(
      "openssl",
      ["req", "-x509"] + key + [
        "-keyout", "\(folder)/ca.key", "-out", "\(folder)/ca.crt", "-subj", "/CN=test authority",
      ])
    for (name, extensions) in [("server", "subjectAltName=IP:\(address)"), ("client", "extendedKeyUsage=clientAuth")] {
      try tool(
        "openssl",
        ["req"] + key + ["-keyout", "\(folder)/\(name).key", "-out", "\(folder)/\(name).csr", "-subj", "/CN=\(name)"])
      try write(extensions + "\n", to: "\(folder)/\(name).ext")
      try tool(
        "openssl",
        [
          "x509", "-req", "-in", "\(folder)/\(name).csr", "-CA", "\(folder)/ca.crt", "-CAkey", "\(folder)/ca.key",
          "-CAcreateserial", "-days", "2", "-extfile", "\(folder)/\(name).ext", "-out", "\(folder)/\(name).crt",
        ])
    }
  }

  @Test("a CA and a client's certificate in certs.d, then in hosts.toml; passwords") func certificates() throws {
    let folder = "/tmp/berth-tls-\(getpid())"
    let address = "192.0.2.\(Int(getpid()) % 250 + 1)"
    try Sys.mkdirAll("\(folder)/certs.d", mode: 0o700)
    defer { try? Sys.removeTree(folder) }
    try tool("ip", ["address", "add", "\(address)/32", "dev", "lo"])
    defer { try? tool("ip", ["address", "del", "\(address)/32", "dev", "lo"]) }
    try certificates(folder, address: address)
    let host = "\(address):\(20_000 + Int(getpid()) % 20_000)"
    try write(RegistryTests.users, to: "\(folder)/htpasswd")
    try write(
      """
      version: 0.1
      log: {level: error, accesslog: {disabled: true}}
      storage: {filesystem: {rootdirectory: \(folder)/registry}}
      http:
        addr: \(host)
        tls: {certificate: \(folder)/server.crt, key: \(folder)/server.key, clientcas: [\(folder)/ca.crt]}
      auth: {htpasswd: {realm: test, path: \(folder)/htpasswd}}

      """, to: "\(folder)/registry.yml")
    let registry = try Command(
      path: try #require(ProcessEnvironment.find("docker-registry")), environment: ["OTEL_TRACES_EXPORTER": "none"]
    ).start(["serve", "\(folder)/registry.yml"])
    defer {
      try? registry.signal(SIGTERM)
      _ = try? registry.wait()
    }
    try Daemon.with(flags: ["--registry-certs-dir", "\(folder)/certs.d"]) { daemon in
      var berth = daemon.berth
      berth.environment["DOCKER_CONFIG"] = "\(daemon.folder)/docker"
      let name = "\(host)/team/app:1"
      try daemon.ok("tag", "busybox", name)
      func login(_ password: String) throws -> Command.Result {
        try berth.run(["login", "-u", "me", "--password-stdin", host], input: "\(password)\n")
      }
      var stranger = try login("secret")
      for _ in 0..<200 where stranger.err.contains("refused") {
        usleep(50_000)
        stranger = try login("secret")
      }
      #expect(
        stranger.status == 1 && stranger.err.contains("x509: certificate signed by unknown authority"), "\(stranger)")

      // The authority is known; who we are isn't.
      try Sys.mkdirAll("\(folder)/certs.d/\(host)", mode: 0o700)
      try write(
        String(decoding: try Sys.readFile("\(folder)/ca.crt"), as: UTF8.self), to: "\(folder)/certs.d/\(host)/ca.crt")
      let nobody = try login("secret")
      #expect(nobody.status == 1 && nobody.err.contains("tls: ") || nobody.err.contains("EOF"), "\(nobody)")

      for file in ["cert": "crt", "key": "key"] {
        try write(
          String(decoding: try Sys.readFile("\(folder)/client.\(file.value)"), as: UTF8.self),
          to: "\(folder)/certs.d/\(host)/client.\(file.key)")
      }
      let wrong = try login("wrong")
      #expect(wrong.status == 1 && wrong.err.contains("401 Unauthorized"), "\(wrong)")
      let known = try login("secret")
      #expect(known.status == 0 && known.out == "Login Succeeded\n", "\(known)")
      let id = try daemon.ok("inspect", "-f", "{{.Id}}", "busybox").line
      let push = try berth.run(["push", name])
      #expect(push.status == 0, "\(push)")
      try daemon.ok("rmi", "-f", name, "busybox")
      let pull = try berth.run(["pull", name])
      #expect(pull.status == 0, "\(pull)")
      #expect(try daemon.ok("inspect", "-f", "{{.Id}}", name).line == id)

      // The same said by containerd's file.
      for file in ["ca.crt", "client.cert", "client.key"] { try Sys.unlink("\(folder)/certs.d/\(host)/\(file)") }
      try write(
        """
        server = "https://\(host)"
        ca = "\(folder)/ca.crt"
        client = [["\(folder)/client.crt", "\(folder)/client.key"]]

        """, to: "\(folder)/certs.d/\(host)/hosts.toml")
      try daemon.ok("rmi", name)
      let again = try berth.run(["pull", name])
      #expect(again.status == 0, "\(again)")
      try write("server = https\n", to: "\(folder)/certs.d/\(host)/hosts.toml")
      let broken = try berth.run(["pull", name])
      #expect(
        broken.status == 1
          && broken.err.contains("certs.d/\(host)/hosts.toml, line 1: \"https\" isn't a value: strings have quotes"),
        "\(broken)")
    }
  }
}
