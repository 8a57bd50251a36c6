import OCI
import Testing

@Suite struct ImageDocumentTests {
  @Test func configurationAsDockerWritesIt() throws {
    let text = """
      {"architecture":"amd64","config":{"Hostname":"","User":"1000:1000","ExposedPorts":{"80/tcp":{},"443/tcp":{}},"Env":["PATH=/bin"],
      "Cmd":["sh","-c","echo"],"Healthcheck":{"Test":["CMD-SHELL","true"],"Interval":1000000000,"Retries":3},"Image":"sha256:x",
      "Volumes":{"/data":{}},"WorkingDir":"/srv","Entrypoint":null,"OnBuild":null,"Labels":{"a":"b"},"StopSignal":"SIGQUIT"},
      "container":"abc","created":"2022-02-04T21:20:12.497794809Z","docker_version":"20","history":[{"created":"2022-02-04T21:20:12Z",
      "created_by":"ADD"},{"created_by":"CMD","empty_layer":true}],"os":"linux","rootfs":{"type":"layers","diff_ids":
      ["sha256:0000000000000000000000000000000000000000000000000000000000000000"]}}
      """
    let config = try ImageConfig(decoding: Array(text.utf8))
    #expect(config.config.user == "1000:1000")
    #expect(config.config.exposedPorts == ["443/tcp", "80/tcp"])
    #expect(config.config.entrypoint == nil)
    #expect(config.config.cmd == ["sh", "-c", "echo"])
    #expect(config.config.volumes == ["/data"])
    #expect(config.config.healthcheck?.retries == 3)
    #expect(config.config.labels == ["a": "b"])
    #expect(config.history.map(\.emptyLayer) == [false, true])
    #expect(config.diffIDs.count == 1)
    #expect(config.createdAt?.nanoseconds == 497_794_809)
    #expect(try ImageConfig(decoding: config.json.encoded()) == config)
  }

  @Test func configurationWithNothingInIt() throws {
    for text in ["{}", #"{"config":null,"rootfs":null,"history":null,"created":null,"os":null}"#] {
      let config = try ImageConfig(decoding: Array(text.utf8))
      #expect(config.diffIDs.isEmpty)
      #expect(config.config == ImageConfig.Defaults())
    }
    #expect(try ImageConfig(decoding: Array(#"{"config":{"Cmd":"sh","Entrypoint":"/x"}}"#.utf8)).config.cmd == ["sh"])
  }

  @Test(arguments: [
    "[]", "null", #"{"rootfs":{"diff_ids":["sha256:../x"]}}"#, #"{"rootfs":{"type":"disks"}}"#,
    #"{"config":{"Env":[1]}}"#, "{",
  ])
  func refusesAConfiguration(text: String) {
    #expect(throws: JSONError.self) { try ImageConfig(decoding: Array(text.utf8)) }
  }

  static let descriptor = #"{"mediaType":"m","digest":"sha256:\#(String(repeating: "a", count: 64))","size":3}"#

  @Test func manifestAndIndexAreNeverOneDocument() throws {
    let manifest = #"{"schemaVersion":2,"config":\#(Self.descriptor),"layers":[\#(Self.descriptor)]}"#
    #expect(try ImageManifest(decoding: Array(manifest.utf8)).layers.count == 1)
    let index = #"{"schemaVersion":2,"manifests":[\#(Self.descriptor)]}"#
    #expect(try ImageIndex(decoding: Array(index.utf8)).manifests.count == 1)
    let both = #"{"schemaVersion":2,"config":\#(Self.descriptor),"layers":[],"manifests":[]}"#
    #expect(throws: JSONError.self) { try ImageManifest(decoding: Array(both.utf8)) }
    #expect(throws: JSONError.self) { try ImageIndex(decoding: Array(both.utf8)) }
    for text in [
      #"{"schemaVersion":1,"config":\#(Self.descriptor)}"#, #"{"config":{"digest":"sha256:x","size":1}}"#,
      #"{"mediaType":"\#(MediaType.ociIndex)","config":\#(Self.descriptor)}"#,
      #"{"config":{"digest":"sha256:\#(String(repeating: "a", count: 64))","size":-1}}"#,
    ] {
      #expect(throws: JSONError.self) { try ImageManifest(decoding: Array(text.utf8)) }
    }
  }

  @Test func platformsThatRun() throws {
    let arm = Platform(os: "linux", architecture: "arm", variant: "v7")
    #expect(arm.runs(Platform(os: "linux", architecture: "arm", variant: "v6")))
    #expect(!arm.runs(Platform(os: "linux", architecture: "arm", variant: "v8")))
    #expect(try #require(Platform("linux/aarch64")).runs(Platform(os: "linux", architecture: "arm64")))
    #expect(!Platform(os: "linux", architecture: "amd64").runs(Platform(os: "windows", architecture: "amd64")))
    #expect(Platform("linux") == nil)
    #expect(Platform("linux/") == nil)
  }
}
