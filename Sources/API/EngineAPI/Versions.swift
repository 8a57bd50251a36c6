/// A version of the Engine API, and all that depends on it: what newer versions dropped is still sent to older clients from here.
///
/// Source: the API's own history (docs/api/version-history) and dockerd's routers.
struct APIVersion: Comparable, Sendable, CustomStringConvertible {
  let major: Int
  let minor: Int

  init(_ major: Int, _ minor: Int) {
    self.major = major
    self.minor = minor
  }

  /// `1.45`; more parts are ignored as dockerd's comparison does, since no version has ever had them.
  init?(_ text: Substring) {
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard let first = parts.first, let major = Int(first), major >= 0, first.allSatisfy(\.isNumber) else { return nil }
    var minor = 0
    if parts.count > 1 {
      guard let value = Int(parts[1]), value >= 0, parts[1].allSatisfy(\.isNumber) else { return nil }
      minor = value
    }
    self.init(major, minor)
  }

  var description: String { "\(major).\(minor)" }

  static func < (a: APIVersion, b: APIVersion) -> Bool { (a.major, a.minor) < (b.major, b.minor) }

  static let current = APIVersion(1, 55)
  static let minimum = APIVersion(1, 24)

  func isAtLeast(_ minor: Int) -> Bool { self >= APIVersion(1, minor) }
}

extension APIVersion {
  /// 1.42: the content type tells whether a stream has frames (`multiplexed-stream`).
  var namesMultiplexedStreams: Bool { isAtLeast(42) }
  /// 1.42: `signal` of stop and restart, `type` of system/df, ConsoleSize of create and exec.
  var stopTakesSignal: Bool { isAtLeast(42) }
  var consoleSizeIsUsed: Bool { isAtLeast(42) }
  var diskUsageTakesType: Bool { isAtLeast(42) }
  /// 1.41: `one-shot` statistics.
  var hasOneShotStats: Bool { isAtLeast(41) }
  /// 1.30: wait sends its headers at once and knows conditions.
  var waitAnswersAtOnce: Bool { isAtLeast(30) }
  /// 1.44 dropped `VirtualSize` of images.
  var hasVirtualSize: Bool { !isAtLeast(44) }
  /// 1.45 dropped `Container` and `ContainerConfig` of an image, and aliases no longer hold the short id.
  var imageHasContainer: Bool { !isAtLeast(45) }
  var aliasesHaveShortID: Bool { !isAtLeast(45) }
  /// 1.46 brought `HostConfig.Annotations` to the list, `Containerd` to info, and events of images' creation.
  var listHasAnnotations: Bool { isAtLeast(46) }
  var infoHasContainerd: Bool { isAtLeast(46) }
  var hasImageCreateEvents: Bool { isAtLeast(46) }
  /// 1.48 brought image manifests' descriptors.
  var hasDescriptors: Bool { isAtLeast(48) }
  /// 1.49 brought `FirewallBackend` and dropped the `Expected` commits.
  var infoHasFirewallBackend: Bool { isAtLeast(49) }
  var commitsHaveExpected: Bool { !isAtLeast(49) }
  /// 1.50 dropped BridgeNf* of info and brought `DiscoveredDevices`; an image's `Config` lost what only containers have.
  var infoHasBridgeNetfilter: Bool { !isAtLeast(50) }
  var infoHasDiscoveredDevices: Bool { isAtLeast(50) }
  var imageConfigHasContainerFields: Bool { !isAtLeast(50) }
  /// 1.51 counts an image's containers.
  var listCountsContainers: Bool { isAtLeast(51) }
  /// 1.52 dropped the bridge's addresses at NetworkSettings' top and events' `status`, `id` and `from`. They are still sent to all:
  /// clients that ask for the newest version without knowing it (docker-py by default) go on reading them, and nobody minds.
  var hasLegacyNetworkSettings: Bool { true }
  var eventsHaveLegacyFields: Bool { true }
  /// 1.52 dropped `GraphDriver`, and sends an image's empty settings no more; it brought health to the list and the content type of
  /// events.
  var omitsEmptyOnBuild: Bool { isAtLeast(52) }
  var hasGraphDriver: Bool { !isAtLeast(52) }
  var eventsAreJSONLines: Bool { isAtLeast(52) }
  var listHasHealth: Bool { isAtLeast(52) }
  var imageConfigOmitsEmpty: Bool { isAtLeast(52) }
  var diskUsageHasUsageObjects: Bool { isAtLeast(52) }
  /// 1.53 brought `NRI` to info.
  var infoHasNRI: Bool { isAtLeast(53) }
}

/// The `/v1.45` that a path may begin with.
enum VersionPrefix {
  /// The version and the rest of the path; an unversioned path has the newest. `error`: a version that isn't spoken.
  static func split(_ path: Substring) -> (version: APIVersion, rest: Substring, error: VersionError?) {
    guard path.hasPrefix("/v") else { return (.current, path, nil) }
    let text = path.dropFirst(2).prefix { $0 != "/" }
    guard !text.isEmpty, text.allSatisfy({ $0.isASCII && ($0.isNumber || $0 == ".") }) else {
      return (.current, path, nil)
    }
    let rest = path.dropFirst(2 + text.count)
    guard let version = APIVersion(text), version <= .current else {
      return (.current, rest, VersionError(text: String(text), tooOld: false))
    }
    guard version >= .minimum else { return (version, rest, VersionError(text: String(text), tooOld: true)) }
    return (version, rest, nil)
  }
}

/// A client that speaks another version of the API, in dockerd's words.
struct VersionError: Error, CustomStringConvertible {
  let text: String
  let tooOld: Bool

  var description: String {
    tooOld
      ? "client version \(text) is too old. Minimum supported API version is \(APIVersion.minimum), "
        + "please upgrade your client to a newer version"
      : "client version \(text) is too new. Maximum supported API version is \(APIVersion.current)"
  }
}
