import Archive
import CLinux
import Cgroups
import Containers
import Engine
import Events
import Images
import Kernel
import Logging
import Netlink
import Networks
import OCI
import Testing

/// An engine of the test's own on the real kernel: scratch roots, a bridge of its own, busybox loaded. Goes without a trace.
final class EngineFixture {
  let folder: String
  let bridge: String
  private(set) var engine: Engine

  var containers: Containers { engine.containers }

  private init(folder: String, bridge: String, engine: Engine) {
    self.folder = folder
    self.bridge = bridge
    self.engine = engine
  }

  static func run(_ body: (EngineFixture) async throws -> Void) async throws {
    let mark = String(UInt32.random(in: 0 ... .max), radix: 16)
    let folder = "/tmp/berth-engine-\(mark)"
    try Sys.mkdirAll(folder)
    let fixture = EngineFixture(
      folder: folder, bridge: "bt\(mark)", engine: try await start(folder, bridge: "bt\(mark)"))
    var failure: (any Error)?
    do {
      let archive = SharedDescriptor(try Sys.memfd("busybox"))
      try Sys.writeAll(archive.raw, try BusyboxArchive.make())
      try Sys.lseek(archive.raw, 0, SEEK_SET)
      try await fixture.engine.images.load(DescriptorSource(archive)) { _ in }
      try await body(fixture)
    } catch { failure = error }
    for container in try fixture.containers.list(ListOptions(all: true)) {
      try? await fixture.containers.remove(container.id, force: true)
    }
    // While the engine is there: what goes behind its answers has its time.
    try await Leftovers.expectNone(folder, butWaiting: true)
    await fixture.engine.stop()
    try await Leftovers.expectNone(folder)
    let mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self)
    #expect(!mounts.contains(folder), "mounts are left")
    try await fixture.clean()
    if let failure { throw failure }
  }

  private static func start(_ folder: String, bridge: String) async throws -> Engine {
    var configuration = EngineConfiguration(
      dataRoot: folder + "/data", execRoot: folder + "/run", shimProgram: try shim())
    configuration.networks.bridgeName = bridge
    configuration.networks.poolSize = 1
    var logger = Logger(label: "test")
    logger.logLevel = .error
    return try await Engine.start(configuration, logger: logger)
  }

  /// Beside the test's own program.
  private static func shim() throws -> String {
    let own = try Sys.readlink("/proc/self/exe")
    var candidates = [own] + CommandLine.arguments
    candidates = candidates.compactMap { path in
      path.lastIndex(of: "/").map { String(path[..<$0]) + "/berth-shim" }
    }
    return try #require(candidates.first { Sys.exists($0) }, "berth-shim isn't built beside the tests")
  }

  /// The daemon goes and another comes, on the same roots.
  func restart(meanwhile: () async throws -> Void = {}) async throws {
    await engine.stop()
    try await meanwhile()
    engine = try await Self.start(folder, bridge: bridge)
  }

  private func clean() async throws {
    var links = try NetlinkSocket(.route)
    if let link = try links.link(named: bridge) {
      var batch = NetlinkBatch()
      batch.deleteLink(link.index)
      try links.execute(batch)
    }
    // What a test that ended early left of the networks: the table is named after the exec root (FNV-1a).
    let hash = (folder + "/run").utf8.reduce(UInt32(2_166_136_261)) { ($0 ^ UInt32($1)) &* 16_777_619 }
    let name = "berth-\(String(hash & 0xffff | 0x10000, radix: 16).dropFirst())"
    var tables = try NetlinkSocket(.netfilter)
    if try tables.tables(.inet).contains(name) {
      var transaction = NftTransaction()
      transaction.deleteTable(.inet, name)
      try tables.commit(transaction)
    }
    // What goes behind the answers has a moment to go.
    for _ in 0..<100 {
      do {
        try Sys.removeTree(folder)
        break
      } catch { try await Task.sleep(for: .milliseconds(50)) }
    }
  }

  // MARK: Doing

  func create(
    _ command: [String], name: String = "", _ change: (inout ContainerConfig, inout HostConfig) -> Void = { _, _ in }
  ) async throws -> String {
    var config = ContainerConfig()
    config.image = "busybox"
    config.cmd = command
    var host = HostConfig()
    host.networkMode = "none"
    change(&config, &host)
    return try await containers.create(name: name, config: config, hostConfig: host).id
  }

  /// Creates, starts and waits.
  func run(
    _ command: [String], _ change: (inout ContainerConfig, inout HostConfig) -> Void = { _, _ in }
  ) async throws -> (id: String, code: Int32) {
    let id = try await create(command, change)
    let wait = try containers.wait(id, .nextExit)
    try await containers.start(id)
    return (id, try await wait.result().statusCode)
  }

  func log(_ id: String) async throws -> String {
    var bytes: [UInt8] = []
    for try await chunk in try await containers.logs(id, LogOptions(stdout: true, stderr: true)) { bytes += chunk }
    return Self.unframed(bytes)
  }

  static func unframed(_ bytes: [UInt8]) -> String {
    var output: [UInt8] = []
    var rest = bytes[...]
    while rest.count >= 8 {
      let header = Array(rest.prefix(8))
      let length = Int(header[4]) << 24 | Int(header[5]) << 16 | Int(header[6]) << 8 | Int(header[7])
      output += rest.dropFirst(8).prefix(length)
      rest = rest.dropFirst(8 + length)
    }
    return String(decoding: output, as: UTF8.self)
  }
}

/// What an engine could leave behind on the host.
struct Leftovers: Equatable {
  var groups: [String] = []
  var shims: [String] = []

  /// `butWaiting`: without the shims that a living engine keeps for containers to come, in whose place for an id are dashes.
  init(_ folder: String, butWaiting: Bool = false) throws {
    for entry in try Sys.entries(of: "/proc") where entry.name.allSatisfy(\.isNumber) {
      // One that ended meanwhile is no leftover.
      guard let bytes = try? Sys.readFile("/proc/\(entry.name)/cmdline") else { continue }
      let command = String(decoding: bytes, as: UTF8.self)
      if butWaiting, command.contains("/containers/---") { continue }
      if command.contains(folder) { shims.append(command) }
    }
    let parent = try Cgroup(path: Cgroups.defaultParent(execRoot: folder + "/run"), layout: .probe())
    groups = try parent.children()
  }

  var isEmpty: Bool { groups.isEmpty && shims.isEmpty }

  /// Clean-up goes on behind the answers: it has ten seconds.
  static func expectNone(_ folder: String, butWaiting: Bool = false) async throws {
    for _ in 0..<100 {
      if try Leftovers(folder, butWaiting: butWaiting).isEmpty { break }
      try await Task.sleep(for: .milliseconds(100))
    }
    let left = try Leftovers(folder, butWaiting: butWaiting)
    #expect(left.isEmpty, "\(left)")
    if butWaiting { return }
    try Cgroup(path: Cgroups.defaultParent(execRoot: folder + "/run"), layout: .probe()).remove()
  }
}
