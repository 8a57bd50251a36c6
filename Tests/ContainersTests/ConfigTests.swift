import Errdefs
import OCI
import Testing

@testable import Containers

@Suite struct ConfigTests {
  @Test func configSurvivesItsJSON() throws {
    let text = """
      {"Hostname":"h","User":"1:2","ExposedPorts":{"80/tcp":{},"53/udp":{}},"Tty":true,"Env":["A=1"],"Cmd":"one","Entrypoint":["/e"],
      "Labels":{"b":"2","a":"1"},"StopSignal":"INT","StopTimeout":3,"Healthcheck":{"Test":["CMD","x"],"Interval":5000000},"Future":7}
      """
    let config = try ContainerConfig(JSONFields(JSON.parse(text)))
    #expect(config.cmd == ["one"] && config.exposedPorts == ["53/udp", "80/tcp"] && config.stopTimeout == 3)
    #expect(config.unknown["Future"] == 7)
    #expect(try ContainerConfig(JSONFields(config.json)) == config)
  }

  @Test func hostConfigSurvivesItsJSON() throws {
    let text = """
      {"Binds":["/a:/b:ro"],"LogConfig":{"Type":"json-file","Config":{"max-size":"1m"}},"NetworkMode":"bridge",
      "PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"RestartPolicy":{"Name":"on-failure","MaximumRetryCount":3},
      "CapAdd":["NET_ADMIN"],"Memory":6291456,"NanoCpus":500000000,"PidsLimit":10,"Ulimits":[{"Name":"nofile","Hard":2,"Soft":1}],
      "Mounts":[{"Type":"tmpfs","Target":"/t","TmpfsOptions":{"SizeBytes":4096,"Mode":511}}],"Init":true,"ConsoleSize":[30,100]}
      """
    let config = try HostConfig(JSONFields(JSON.parse(text)))
    #expect(config.resources.memory == 6_291_456 && config.consoleSize == (30, 100) && config.useInit == true)
    #expect(try HostConfig(JSONFields(config.json)) == config)
    #expect(config.json["MaskedPaths"] == .some(.null), "null where Docker has null")
  }

  @Test func aWrongTypeNamesItsField() {
    let error = #expect(throws: JSONError.self) { try HostConfig(JSONFields(["Memory": "much"])) }
    #expect(error?.path == "Memory")
  }

  @Test func imageAndUserMergeAsDockerDoes() {
    var image = ContainerConfig()
    image.env = ["PATH=/x", "A=image"]
    image.cmd = ["sh"]
    image.entrypoint = ["/entry"]
    image.labels = ["l": "image", "m": "image"]
    image.exposedPorts = ["80/tcp"]
    var plain = ContainerConfig()
    plain.merge(image: image)
    #expect(plain.command == ["/entry", "sh"])

    var command = ContainerConfig()
    command.cmd = ["ls"]
    command.env = ["A=user", "B"]
    command.labels = ["l": "user"]
    command.exposedPorts = ["443/tcp"]
    command.merge(image: image)
    #expect(command.command == ["/entry", "ls"])
    #expect(command.env == ["A=user", "B", "PATH=/x"])
    #expect(command.labels == ["l": "user", "m": "image"])
    #expect(command.exposedPorts == ["443/tcp", "80/tcp"])

    var entrypoint = ContainerConfig()
    entrypoint.entrypoint = ["/mine"]
    entrypoint.merge(image: image)
    #expect(entrypoint.command == ["/mine"], "an entrypoint of the user's drops the image's command")

    var none = ContainerConfig()
    none.entrypoint = [""]
    none.cmd = ["true"]
    none.merge(image: image)
    #expect(none.command == ["true"])
  }

  @Test func environmentHasPathHostnameAndTerm() {
    var config = ContainerConfig()
    config.hostname = "h"
    config.tty = true
    config.env = ["X=1", "TERM=dumb", "HOSTNAME"]
    #expect(
      config.environment() == ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=dumb", "X=1"])
  }
}
