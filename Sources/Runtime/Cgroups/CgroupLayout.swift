public import Kernel
public import OCI

/// What this host mounts of control groups, as `/proc/self/mountinfo` tells. Mount points are never assumed.
public struct CgroupLayout: Sendable, Equatable {
  /// v1: every controller in a hierarchy of v1. Hybrid: so, and a v2 tree beside them. v2: one tree.
  public enum Mode: String, Sendable { case v1, hybrid, v2 }

  /// One v1 hierarchy; co-mounted controllers (`cpu,cpuacct`) share one.
  public struct Hierarchy: Sendable, Equatable {
    public let controllers: [String]
    public let mountPoint: String

    public init(controllers: [String], mountPoint: String) {
      self.controllers = controllers
      self.mountPoint = mountPoint
    }
  }

  public let mode: Mode
  /// The v1 hierarchies with at least one controller, in the order of mounting; named ones (`name=systemd`) are left out.
  public let hierarchies: [Hierarchy]
  /// The mount point of the v2 tree: always there in the modes v2 and hybrid.
  public let unified: String?
  /// What the v2 tree controls at its root (`cgroup.controllers`).
  public let unifiedControllers: [String]

  public init(mode: Mode, hierarchies: [Hierarchy], unified: String?, unifiedControllers: [String]) {
    self.mode = mode
    self.hierarchies = hierarchies
    self.unified = unified
    self.unifiedControllers = unifiedControllers
  }

  /// No hierarchy at all: groups of it are nowhere, and everything about them succeeds. For who may make none.
  public static let none = CgroupLayout(mode: .v1, hierarchies: [], unified: nil, unifiedControllers: [])

  /// Reads the layout of this host as the calling process sees it; ENODEV when no cgroup file system is mounted.
  public static func probe() throws(SyscallError) -> CgroupLayout {
    let mounts = try Sys.readFile("/proc/self/mountinfo")
    let controllers = try Sys.readFile("/proc/cgroups")
    var layout = parse(mountinfo: mounts, cgroups: controllers)
    guard let found = layout else { throw SyscallError("find", "a mounted cgroup file system", .noSuchDevice) }
    if let unified = found.unified {
      let text = try Sys.readFile(unified + "/cgroup.controllers")
      layout = CgroupLayout(
        mode: found.mode, hierarchies: found.hierarchies, unified: unified,
        unifiedControllers: String(decoding: text, as: UTF8.self).split(whereSeparator: \.isWhitespace).map(String.init)
      )
    }
    return layout ?? found
  }

  /// The same with v1's hierarchy of that name, which controls nothing, where one is mounted.
  public func adding(named name: String) throws(SyscallError) -> CgroupLayout {
    let mounts = try Sys.readFile("/proc/self/mountinfo")
    for line in mounts.split(separator: UInt8(ascii: "\n")) {
      let fields = line.split(separator: UInt8(ascii: " "))
      guard let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }), dash >= 6, dash + 3 < fields.count,
        fields[dash + 1].elementsEqual("cgroup".utf8), fields[3].elementsEqual("/".utf8),
        fields[dash + 3].split(separator: UInt8(ascii: ",")).contains(where: { $0.elementsEqual("name=\(name)".utf8) })
      else { continue }
      let own = Hierarchy(controllers: ["name=\(name)"], mountPoint: Self.unescape(fields[4]))
      return CgroupLayout(
        mode: mode, hierarchies: hierarchies + [own], unified: unified, unifiedControllers: unifiedControllers)
    }
    return self
  }

  /// The layout that these two files of procfs describe, without `unifiedControllers`; nil when they show no cgroup file system.
  ///
  /// A hierarchy may be mounted several times (a bind mount in some root file system): the first mount whose root is the
  /// hierarchy's own root counts, or else the first.
  static func parse(mountinfo: [UInt8], cgroups: [UInt8]) -> CgroupLayout? {
    // v1's super options mix controllers with mount options (`rw,cpu,cpuacct`): only what the kernel lists is a controller
    var known: Set<String> = []
    for line in cgroups.split(separator: UInt8(ascii: "\n")) where line.first != UInt8(ascii: "#") {
      if let name = line.split(separator: UInt8(ascii: "\t"), maxSplits: 1).first { known.insert(text(name)) }
    }
    var hierarchies: [(controllers: [String], isRoot: Bool, mountPoint: String)] = []
    var unified: (isRoot: Bool, mountPoint: String)?
    for line in mountinfo.split(separator: UInt8(ascii: "\n")) {
      // proc_pid_mountinfo(5): id parent major:minor root mountPoint options optional… - type source superOptions
      let fields = line.split(separator: UInt8(ascii: " "))
      guard let dash = fields.firstIndex(where: { $0.elementsEqual("-".utf8) }), dash >= 6, dash + 3 < fields.count
      else { continue }
      let isRoot = fields[3].elementsEqual("/".utf8)
      if fields[dash + 1].elementsEqual("cgroup2".utf8) {
        if unified.map({ !$0.isRoot && isRoot }) ?? true { unified = (isRoot, unescape(fields[4])) }
      } else if fields[dash + 1].elementsEqual("cgroup".utf8) {
        let controllers = fields[dash + 3].split(separator: UInt8(ascii: ",")).map(text).filter(known.contains)
        guard !controllers.isEmpty else { continue }
        if let index = hierarchies.firstIndex(where: { $0.controllers == controllers }) {
          if !hierarchies[index].isRoot && isRoot { hierarchies[index] = (controllers, isRoot, unescape(fields[4])) }
        } else {
          hierarchies.append((controllers, isRoot, unescape(fields[4])))
        }
      }
    }
    guard unified != nil || !hierarchies.isEmpty else { return nil }
    return CgroupLayout(
      mode: unified == nil ? .v1 : hierarchies.isEmpty ? .v2 : .hybrid,
      hierarchies: hierarchies.map { Hierarchy(controllers: $0.controllers, mountPoint: $0.mountPoint) },
      unified: unified?.mountPoint, unifiedControllers: [])
  }

  private static func text(_ bytes: ArraySlice<UInt8>) -> String { String(decoding: bytes, as: UTF8.self) }

  /// mountinfo writes space, tab, newline and backslash as `\040` and so on.
  private static func unescape(_ field: ArraySlice<UInt8>) -> String {
    guard field.contains(UInt8(ascii: "\\")) else { return text(field) }
    var bytes: [UInt8] = []
    var rest = field
    while let byte = rest.popFirst() {
      if byte == UInt8(ascii: "\\"), rest.count >= 3, let code = UInt8(text(rest.prefix(3)), radix: 8) {
        bytes.append(code)
        rest = rest.dropFirst(3)
      } else {
        bytes.append(byte)
      }
    }
    return text(bytes[...])
  }
}

extension CgroupLayout {
  /// For a launch plan, so that a shim needn't probe: `{"mode", "hierarchies": [{"controllers", "mountPoint"}], "unified"?,
  /// "unifiedControllers"}`.
  public var json: JSON {
    var builder = JSONBuilder()
    builder.set("mode", mode.rawValue)
    builder.set(
      "hierarchies",
      .array(
        hierarchies.map { hierarchy in
          ["controllers": JSON(hierarchy.controllers), "mountPoint": .string(hierarchy.mountPoint)]
        }))
    builder.set("unified", unified)
    builder.set("unifiedControllers", unifiedControllers)
    return builder.json
  }

  public init(_ fields: JSONFields) throws(JSONError) {
    let name = try fields.required("mode", try fields.string("mode"))
    guard let mode = Mode(rawValue: name) else {
      throw JSONError(path: fields.path(of: "mode"), "v1, hybrid or v2 is expected")
    }
    self.init(
      mode: mode,
      hierarchies: try fields.list("hierarchies") { entry throws(JSONError) in
        Hierarchy(
          controllers: try entry.strings("controllers") ?? [],
          mountPoint: try entry.required("mountPoint", try entry.string("mountPoint")))
      } ?? [],
      unified: try fields.string("unified"), unifiedControllers: try fields.strings("unifiedControllers") ?? [])
    if mode != .v1 && unified == nil { throw JSONError(path: fields.path(of: "unified"), "is missing") }
  }
}
