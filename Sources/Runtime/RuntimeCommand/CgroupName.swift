/// `linux.cgroupsPath` of the cgroupfs driver; systemd's is `SystemdDriver`'s.
enum CgroupName {
  /// The path within the hierarchies.
  static func path(_ given: String?, id: String) -> String { given.flatMap { $0.isEmpty ? nil : $0 } ?? "/" + id }
}
