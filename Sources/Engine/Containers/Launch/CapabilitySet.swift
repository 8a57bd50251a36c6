/// The capabilities of a container by name.
enum CapabilitySet {
  /// Docker's default fourteen.
  static let standard = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FSETID", "CAP_FOWNER", "CAP_MKNOD", "CAP_NET_RAW", "CAP_SETGID", "CAP_SETUID",
    "CAP_SETFCAP", "CAP_SETPCAP", "CAP_NET_BIND_SERVICE", "CAP_SYS_CHROOT", "CAP_KILL", "CAP_AUDIT_WRITE",
  ]

  /// All, by their number (linux/capability.h up to Linux 6.18).
  static let all = [
    "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP", "CAP_LINUX_IMMUTABLE", "CAP_NET_BIND_SERVICE", "CAP_NET_BROADCAST", "CAP_NET_ADMIN", "CAP_NET_RAW",
    "CAP_IPC_LOCK", "CAP_IPC_OWNER", "CAP_SYS_MODULE", "CAP_SYS_RAWIO", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN", "CAP_SYS_BOOT", "CAP_SYS_NICE", "CAP_SYS_RESOURCE", "CAP_SYS_TIME", "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE", "CAP_AUDIT_WRITE", "CAP_AUDIT_CONTROL", "CAP_SETFCAP", "CAP_MAC_OVERRIDE", "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM", "CAP_BLOCK_SUSPEND", "CAP_AUDIT_READ", "CAP_PERFMON", "CAP_BPF", "CAP_CHECKPOINT_RESTORE",
  ]

  struct Unknown: Error, CustomStringConvertible {
    let name: String
    var description: String { "unknown capability: \"\(name)\"" }
  }

  /// `net_admin` → `CAP_NET_ADMIN`; `ALL` stays.
  static func normalize(_ names: [String]) throws(Unknown) -> [String] {
    var result: [String] = []
    for name in names {
      var upper = name.uppercased()
      if upper != "ALL", !upper.hasPrefix("CAP_") { upper = "CAP_" + upper }
      guard upper == "ALL" || all.contains(upper) else { throw Unknown(name: upper) }
      result.append(upper)
    }
    return result
  }

  /// oci/caps/utils.go `TweakCapabilities`; `available`: what the daemon itself may give away.
  static func effective(
    add: [String], drop: [String], privileged: Bool, available: Set<String> = Set(all)
  ) throws(Unknown) -> [String] {
    if privileged { return all.filter(available.contains) }
    let add = try normalize(add)
    let drop = try normalize(drop)
    if add.contains("ALL") { return all.filter { available.contains($0) && !drop.contains($0) } }
    if drop.contains("ALL") { return add }
    let kept = standard.filter { !drop.contains($0) }
    return kept + add.filter { !kept.contains($0) }
  }
}
