import Containers
import Errdefs
import NIOCore
import NIOHTTP1
import OCI
import Testing

@testable import EngineAPI

@Suite struct ShapeTests {
  /// The figures of go-units' own tests.
  @Test(
    arguments: [
      (450_000_000, "Less than a second"), (1_000_000_000, "1 second"), (47_000_000_000, "47 seconds"),
      (60_000_000_000, "About a minute"), (3 * 60_000_000_000, "3 minutes"), (35 * 60_000_000_000, "35 minutes"),
      (60 * 60_000_000_000, "About an hour"), (60 * 60_000_000_000 + 45 * 60_000_000_000, "2 hours"),
      (24 * 3_600_000_000_000, "24 hours"), (36 * 3_600_000_000_000, "36 hours"),
      (2 * 24 * 3_600_000_000_000, "2 days"),
      (7 * 24 * 3_600_000_000_000, "7 days"), (13 * 24 * 3_600_000_000_000 + 5 * 3_600_000_000_000, "13 days"),
      (2 * 7 * 24 * 3_600_000_000_000, "2 weeks"), (2 * 30 * 24 * 3_600_000_000_000, "2 months"),
      (23 * 30 * 24 * 3_600_000_000_000, "23 months"), (24 * 31 * 24 * 3_600_000_000_000, "2 years"),
    ] as [(Int64, String)])
  func durations(_ nanoseconds: Int64, _ text: String) { #expect(HumanDuration.text(nanoseconds: nanoseconds) == text) }

  @Test func statusIsDockers() {
    let minute: Int64 = 60_000_000_000
    var state = ContainerState()
    #expect(ContainerShapes.status(state, now: 0) == "Created")
    state.status = .running
    state.startedAt = minute
    #expect(ContainerShapes.status(state, now: 4 * minute) == "Up 3 minutes")
    state.health = .init(status: "starting")
    #expect(ContainerShapes.status(state, now: 4 * minute) == "Up 3 minutes (health: starting)")
    state.health = .init(status: "unhealthy")
    #expect(ContainerShapes.status(state, now: 4 * minute) == "Up 3 minutes (unhealthy)")
    state.status = .paused
    #expect(ContainerShapes.status(state, now: 4 * minute) == "Up 3 minutes (Paused)")
    state.status = .exited
    state.exitCode = 137
    state.finishedAt = 2 * minute
    #expect(ContainerShapes.status(state, now: 2 * minute) == "Exited (137) Less than a second ago")
    state.status = .restarting
    #expect(ContainerShapes.status(state, now: 3 * minute) == "Restarting (137) About a minute ago")
  }

  @Test(arguments: [
    ("1", true), ("true", true), ("yes", true), ("0", false), ("False", false), ("none", false), ("no", false),
    ("", false),
    (" 0 ", false), ("x", true),
  ])
  func booleans(_ text: String, _ value: Bool) {
    #expect(Query("a=\(text)").bool("a") == value)
  }

  @Test func queriesAreDecoded() {
    let query = Query("name=a%2Fb+c&names=1&names=2&empty=&lone&bad=%zz")
    #expect(query["name"] == "a/b c")
    #expect(query.all("names") == ["1", "2"])
    #expect(query.has("empty") && query.has("lone") && !query.has("other"))
    #expect(query["bad"] == "%zz")
    #expect(query.bool("other", default: true))
  }

  @Test func numbersFailInGosWords() {
    func message(_ text: String) -> String? {
      do { _ = try Query("t=\(text)").int("t") } catch { return error.message }
      return nil
    }
    #expect(message("5") == nil)
    #expect(message("-1") == nil)
    #expect(message("x") == #"strconv.Atoi: parsing "x": invalid syntax"#)
    #expect(message("99999999999999999999") == #"strconv.Atoi: parsing "99999999999999999999": value out of range"#)
  }

  static func request(_ query: String, version: APIVersion = .current) -> Request {
    Request(
      method: .GET, path: "/", query: Query(query[...]), headers: [:], version: version, connection: NoConnection())
  }

  @Test func filtersComeInBothShapes() throws {
    #expect(try Self.request(#"filters={"label":["a=1","b"]}"#).filters() == ["label": ["a=1", "b"]])
    #expect(try Self.request(#"filters={"label":{"a":true}}"#).filters() == ["label": ["a"]])
    #expect(try Self.request("").filters() == [:])
    for bad in ["x", "[]", #"{"a":1}"#, #"{"a":[1]}"#, #"{"a":{"b":"c"}}"#] {
      #expect(throws: EngineError.self) { try Self.request("filters=\(bad)").filters() }
    }
  }

  @Test(
    arguments: [
      ("1136073600.000000001", 1_136_073_600_000_000_001), ("1136073600", 1_136_073_600_000_000_000),
      ("1.5", 1_500_000_000), ("0", 0), ("99999999999999", Int64.max),
    ] as [(String, Int64)])
  func timestamps(_ text: String, _ nanoseconds: Int64) throws {
    #expect(try Self.request("since=\(text)").timestamp("since") == nanoseconds)
  }

  @Test func timestampsThatArentOnesAreRefused() {
    for bad in ["x", "1.x", "1.-5", "2006-01-02"] {
      #expect(throws: EngineError.self) { try Self.request("since=\(bad)").timestamp("since") }
    }
  }

  /// As docker 26 draws them.
  @Test func progressBars() {
    #expect(
      ProgressBar.text(current: 32768, total: 2_153_984)
        == "[>                                                  ]  32.77kB/2.154MB")
    #expect(
      ProgressBar.text(current: 2_153_984, total: 2_153_984)
        == "[==================================================>]  2.154MB/2.154MB")
    #expect(ProgressBar.size(999) == "999B")
    #expect(ProgressBar.size(1000) == "1kB")
  }

  @Test func versionsAreCompared() {
    #expect(APIVersion("1.9").map { $0 < APIVersion(1, 24) } == true)
    #expect(APIVersion("1.100").map { $0 > APIVersion(1, 55) } == true)
    #expect(APIVersion("1.x") == nil && APIVersion("") == nil && APIVersion(".") == nil)
  }
}

@Suite struct VersionTests {
  static func draft(_ json: JSON) throws -> ContainerDraft {
    let fields = try JSONFields(json)
    return ContainerDraft(
      config: try ContainerConfig(fields),
      hostConfig: try fields.fields("HostConfig").map { try HostConfig($0) } ?? HostConfig(),
      networking: try fields.fields("NetworkingConfig").map { try NetworkingConfig($0) } ?? NetworkingConfig())
  }

  @Test func theDefaultNetworkIsTheBridge() throws {
    var draft = try Self.draft([
      "HostConfig": ["NetworkMode": "default"],
      "NetworkingConfig": ["EndpointsConfig": ["default": ["MacAddress": "x"]]],
    ])
    try draft.adapt(from: .current)
    #expect(draft.hostConfig.networkMode == "bridge")
    #expect(draft.networking.endpoints.map(\.network) == ["bridge"])
  }

  @Test func aContainersMacAddressBecomesItsEndpoints() throws {
    for version in [APIVersion(1, 43), .current] {
      var draft = try Self.draft(["MacAddress": "02:42:ac:11:00:42"])
      try draft.adapt(from: version)
      #expect(draft.networking.endpoints.map(\.settings.macAddress) == ["02:42:ac:11:00:42"])
      #expect(draft.warnings.isEmpty == (version < APIVersion(1, 44)))
    }
  }

  @Test func optionsOfAnotherMountTypeAreRefusedSince142() throws {
    let body: JSON = [
      "HostConfig": ["Mounts": [["Type": "bind", "Source": "/a", "Target": "/b", "VolumeOptions": ["NoCopy": true]]]]
    ]
    var draft = try Self.draft(body)
    try draft.adapt(from: APIVersion(1, 41))
    #expect(draft.hostConfig.mounts?.first?.volume == nil)
    #expect(throws: EngineError.self) {
      var draft = try Self.draft(body)
      try draft.adapt(from: .current)
    }
  }

  @Test func anyPidsLimitThatIsntOneIsNone() throws {
    for limit in [0, -1, -5] as [Int64] {
      var draft = try Self.draft(["HostConfig": ["PidsLimit": JSON(limit)]])
      try draft.adapt(from: .current)
      #expect(draft.hostConfig.resources.pidsLimit == nil)
    }
  }
}

struct NoConnection: Connection {
  func nextBodyPart() async throws -> ByteBuffer? { nil }
  func nextBodyPartBlocking() throws -> ByteBuffer? { nil }
  func takeOver(_ head: HTTPResponseHead) async throws -> TakenConnection { throw HTTPConnectionError.gone }
}
