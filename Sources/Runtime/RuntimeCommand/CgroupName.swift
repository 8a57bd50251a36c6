/// `linux.cgroupsPath`, by either driver.
enum CgroupName {
  /// The path within the hierarchies. With systemd's driver `SLICE:PREFIX:NAME` is the scope `PREFIX-NAME.scope` in that slice
  /// (runc's docs/systemd.md).
  static func path(_ given: String?, id: String, systemd: Bool) throws(CommandError) -> String {
    guard systemd else { return given.flatMap { $0.isEmpty ? nil : $0 } ?? "/" + id }
    throw CommandError("the systemd cgroup driver is not built yet: use cgroupfs (without --systemd-cgroup)")
  }
}
