import Kernel
import OCI
import Testing

@testable import Commands

@Suite struct OptionTests {
  /// The body of `run` with these words.
  private func body(_ words: String...) throws -> JSON {
    var parser = FlagParser(flags: Command.run.flags, interspersed: false)
    try parser.parse(words)
    return try ContainerOptions(parser.values, arguments: parser.arguments, detached: parser.values.bool("detach")).body
  }

  @Test func whatIsNotSetIsLeftOut() throws {
    let json = try body("busybox", "echo", "-n")
    #expect(json["Cmd"] == ["echo", "-n"])
    #expect(json["AttachStdout"] == true)
    #expect(json["HostConfig"]?["Memory"] == nil)
    #expect(json["HostConfig"]?["NetworkMode"] == "default")
    #expect(json["NetworkingConfig"] == ["EndpointsConfig": ["default": [:]]])
  }

  @Test func flagsBecomeTheirFields() throws {
    let json = try body(
      "-d", "--rm", "-m", "512m", "--memory-swap", "-1", "--cpus", "1.5", "--pids-limit", "10", "-u", "1:2", "-w", "/x",
      "-h", "h",
      "-e", "A=b", "-l", "k=v", "-l", "lone", "--ulimit", "nofile=1:2", "--device", "/dev/null:/dev/x:r", "--tmpfs",
      "/t:size=1m",
      "--sysctl", "net.a=1", "--entrypoint", "", "--init", "--stop-timeout", "0", "--cap-add", "ALL", "--health-cmd",
      "true",
      "--health-interval", "1m30s", "--log-driver", "local", "--log-opt", "max-size=1m", "--security-opt",
      "no-new-privileges",
      "--add-host", "a:1.2.3.4", "img")
    let host = json["HostConfig"]
    #expect(json["AttachStdout"] == false)
    #expect(host?["AutoRemove"] == true)
    #expect(host?["Memory"] == 536_870_912)
    #expect(host?["MemorySwap"] == -1)
    #expect(host?["NanoCpus"] == 1_500_000_000)
    #expect(host?["PidsLimit"] == 10)
    #expect(json["User"] == "1:2")
    #expect(json["WorkingDir"] == "/x")
    #expect(json["Hostname"] == "h")
    #expect(json["Env"] == ["A=b"])
    #expect(json["Labels"] == ["k": "v", "lone": ""])
    #expect(host?["Ulimits"] == [["Name": "nofile", "Hard": 2, "Soft": 1]])
    #expect(host?["Devices"] == [["PathOnHost": "/dev/null", "PathInContainer": "/dev/x", "CgroupPermissions": "r"]])
    #expect(host?["Tmpfs"] == ["/t": "size=1m"])
    #expect(host?["Sysctls"] == ["net.a": "1"])
    #expect(json["Entrypoint"] == [""])
    #expect(host?["Init"] == true)
    #expect(json["StopTimeout"] == 0)
    #expect(host?["CapAdd"] == ["ALL"])
    #expect(json["Healthcheck"] == ["Test": ["CMD-SHELL", "true"], "Interval": 90_000_000_000])
    #expect(host?["LogConfig"] == ["Type": "local", "Config": ["max-size": "1m"]])
    #expect(host?["SecurityOpt"] == ["no-new-privileges"])
    #expect(host?["ExtraHosts"] == ["a:1.2.3.4"])
  }

  @Test func volumesAreBindsOrAnonymous() throws {
    let json = try body("-v", "/a:/b:ro", "-v", "vol:/c", "-v", "/anon", "-v", "./x:/d", "img")
    let here = try Sys.getcwd()
    #expect(json["HostConfig"]?["Binds"] == ["/a:/b:ro", "vol:/c", .string("\(here)/x:/d")])
    #expect(json["Volumes"] == ["/anon": [:]])
  }

  @Test func portsAreRangesOfBindings() throws {
    let json = try body(
      "-p", "127.0.0.1:8080-8081:80-81/udp", "-p", "9000-9010:90", "-p", "[::1]::7", "--expose", "5-6", "img")
    #expect(
      json["HostConfig"]?["PortBindings"] == [
        "80/udp": [["HostIp": "127.0.0.1", "HostPort": "8080"]],
        "81/udp": [["HostIp": "127.0.0.1", "HostPort": "8081"]],
        "90/tcp": [["HostIp": "", "HostPort": "9000-9010"]], "7/tcp": [["HostIp": "::1", "HostPort": ""]],
      ])
    #expect(
      json["ExposedPorts"] == ["5/tcp": [:], "6/tcp": [:], "7/tcp": [:], "80/udp": [:], "81/udp": [:], "90/tcp": [:]])
  }

  static let wrongPortsAreNamedCases: [(String, String)] = [
    ("99999:1", "invalid hostPort: 99999"), ("a", "invalid containerPort: a"), ("1:", "no port specified: 1:<empty>"),
    ("1:1/x", "invalid proto: x"), ("300.0.0.1:1:1", "invalid IP address: 300.0.0.1"),
    ("1-2:3-5", "invalid ranges specified for container and host Ports: 3-5 and 1-2"),
  ]

  @Test(arguments: wrongPortsAreNamedCases)
  func wrongPortsAreNamed(_ spec: String, _ message: String) {
    let error = #expect(throws: CommandFailure.self) { try PortSpecs(publish: [spec], expose: []) }
    #expect(error?.message == message)
  }

  @Test func mountsAreReadAsRecords() throws {
    #expect(
      try MountOption.parse("type=bind,\"source=/a,b\",dst=/c,readonly,bind-propagation=rslave") == [
        "Type": "bind", "Source": "/a,b", "Target": "/c", "ReadOnly": true, "BindOptions": ["Propagation": "rslave"],
      ])
    #expect(
      try MountOption.parse("type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1770") == [
        "Type": "tmpfs", "Target": "/t", "TmpfsOptions": ["SizeBytes": 1_048_576, "Mode": 1016],
      ])
    for text in ["type=bind", "target=/x,foo=1", "type=tmpfs,target=/x,volume-nocopy", "x", "\"a"] {
      #expect(throws: CommandFailure.self) { try MountOption.parse(text) }
    }
  }

  @Test func networksMayHaveOptions() throws {
    #expect(throws: CommandFailure.self) { try body("--network", "name=net1,alias=a", "--network-alias", "z", "img") }
    let json = try body("--network", "name=net1,alias=a,ip=1.2.3.4", "--network", "net2", "img")
    #expect(json["HostConfig"]?["NetworkMode"] == "net1")
    #expect(
      json["NetworkingConfig"] == [
        "EndpointsConfig": ["net1": ["Aliases": ["a"], "IPAMConfig": ["IPv4Address": "1.2.3.4"]], "net2": [:]]
      ])
    #expect(throws: CommandFailure.self) { try body("--network", "host", "--network", "net2", "img") }
    #expect(throws: CommandFailure.self) { try body("--network", "net2", "--network", "net2", "img") }
    #expect(try body("--network", "none", "img")["NetworkingConfig"] == ["EndpointsConfig": [:]])
  }

  @Test func optionsThatExcludeEachOtherAreRefused() {
    #expect(throws: CommandFailure.self) { try body("--rm", "--restart", "always", "img") }
    #expect(throws: CommandFailure.self) { try body("--no-healthcheck", "--health-cmd", "x", "img") }
    #expect(throws: CommandFailure.self) { try body("--pid", "foo", "img") }
    #expect(throws: CommandFailure.self) { try body("--memory-swappiness", "200", "img") }
    #expect(throws: CommandFailure.self) { try body("--log-driver", "none", "--log-opt", "a=b", "img") }
  }

  @Test func environmentFilesAreReadLineByLine() throws {
    let path = "/tmp/berth-env-\(UInt32.random(in: .min ... .max))"
    defer { try? Sys.unlink(path) }
    try Sys.replaceFile(
      path, with: Array("\u{FEFF}# comment\nA=1\n\n  B= two words \nNOT_SET_ANYWHERE\nC=#x\n".utf8), durable: false)
    #expect(
      try KeyValueFiles.environment(files: [path], flags: ["D=4", "LONE_FLAG"]) == [
        "A=1", "B= two words ", "C=#x", "D=4", "LONE_FLAG",
      ])
    try Sys.replaceFile(path, with: Array("A B=1\n".utf8), durable: false)
    #expect(throws: CommandFailure.self) { try KeyValueFiles.environment(files: [path], flags: []) }
  }
}
