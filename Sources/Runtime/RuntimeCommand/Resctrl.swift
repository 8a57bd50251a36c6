import CLinux
import Kernel
import OCI

/// `linux.intelRdt`: a group of the resctrl file system, which shares out caches and memory bandwidth
/// (config-linux.md; the kernel's filesystems/resctrl.rst).
///
/// ```
/// /sys/fs/resctrl/<closID or the container's id>/{schemata,tasks}
///                                               mon_groups/<id>/tasks     with enableMonitoring
/// ```
struct Resctrl {
  let group: String
  /// What the end of the container removes, in that order: never a group that was named by closID.
  let removed: [String]
  private let monitoring: String?
  private let schemata: [String]

  static let root = "/sys/fs/resctrl"

  init(_ asked: RuntimeSpec.IntelRDT, id: String) throws(CommandError) {
    guard Sys.exists(Self.root + "/schemata") else {
      throw CommandError("linux.intelRdt: no resctrl file system is mounted on this host")
    }
    let name = asked.closID ?? id
    guard name == "/" || !name.isEmpty && name != "." && name != ".." && !name.contains("/") && !name.contains("\n")
    else {
      throw CommandError("linux.intelRdt.closID: \"\(name)\" is no group's name")
    }
    group = name == "/" ? Self.root : Self.root + "/" + name
    schemata = try Self.lines(asked)
    if asked.closID != nil, name != "/", schemata.isEmpty, !Sys.exists(group) {
      throw CommandError(
        "linux.intelRdt.closID: group \"\(name)\" isn't there, and no schema was given to make it with")
    }
    monitoring = asked.enableMonitoring ? "\(group)/mon_groups/\(id)" : nil
    removed = (monitoring.map { [$0] } ?? []) + (asked.closID == nil ? [group] : [])
  }

  /// `L3:0=ff;1=ff`, `MB:0=20;1=70`. `memBwSchema` and `l3CacheSchema` come after `schemata`.
  static func lines(_ asked: RuntimeSpec.IntelRDT) throws(CommandError) -> [String] {
    var lines: [String] = []
    let given = asked.schemata.enumerated().map { ("schemata[\($0.offset)]", $0.element) }
    for (field, text) in given + [
      ("l3CacheSchema", asked.l3CacheSchema ?? ""), ("memBwSchema", asked.memBwSchema ?? ""),
    ] {
      for line in text.split(separator: "\n") {
        let parts = line.split(separator: ":", maxSplits: 1)
        guard parts.count == 2, parts[1].contains("=") else {
          throw CommandError("linux.intelRdt.\(field): \"\(line)\" is no schema")
        }
        lines.append(String(line))
      }
    }
    return lines
  }

  /// Makes the group and puts the container's first process into it, whose children follow.
  func apply(_ pid: Int32) throws(CommandError) {
    try attempt("linux.intelRdt: make \(group)") { () throws(SyscallError) in
      do throws(SyscallError) { try Sys.mkdir(group) } catch  where error.errno == .fileExists {}
      if let monitoring { try Sys.mkdirAll(monitoring, mode: 0o755) }
    }
    try Self.write(schemata, group)
    try Self.add(pid, group, monitoring)
  }

  static func write(_ schemata: [String], _ group: String) throws(CommandError) {
    for line in schemata {
      try attempt("linux.intelRdt: write \"\(line)\" to \(group)/schemata") { () throws(SyscallError) in
        try Sys.writeFile(group + "/schemata", line + "\n")
      }
    }
  }

  static func add(_ pid: Int32, _ group: String, _ monitoring: String? = nil) throws(CommandError) {
    for directory in [group, monitoring ?? group] {
      try attempt("linux.intelRdt: join \(directory)") { () throws(SyscallError) in
        try Sys.writeFile(directory + "/tasks", "\(pid)\n")
      }
    }
  }

  static func remove(_ groups: [String]) throws(CommandError) {
    for group in groups {
      try attempt("remove \(group)") { () throws(SyscallError) in
        do throws(SyscallError) { try Sys.rmdir(group) } catch  where error.errno == .noSuchFile {}
      }
    }
  }
}
