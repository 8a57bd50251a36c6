import CLinux
import Kernel
import OCI

/// The five sets of a process as bits (capabilities(7)).
struct CapabilitySets: Sendable, Equatable {
  var bounding: UInt64 = 0
  var effective: UInt64 = 0
  var inheritable: UInt64 = 0
  var permitted: UInt64 = 0
  var ambient: UInt64 = 0

  init() {}

  /// Names that Linux doesn't know are left out.
  init(_ capabilities: RuntimeSpec.Capabilities) {
    bounding = Self.bits(capabilities.bounding)
    effective = Self.bits(capabilities.effective)
    inheritable = Self.bits(capabilities.inheritable)
    permitted = Self.bits(capabilities.permitted)
    ambient = Self.bits(capabilities.ambient)
  }

  private static func bits(_ names: [String]) -> UInt64 {
    var bits: UInt64 = 0
    for name in names {
      if let number = ContainerRuntime.capabilityNames.firstIndex(of: name) { bits |= 1 << UInt64(number) }
    }
    return bits
  }

  /// The names that Linux doesn't know, each once.
  static func unknown(_ capabilities: RuntimeSpec.Capabilities) -> [String] {
    let names =
      capabilities.bounding + capabilities.effective + capabilities.inheritable + capabilities.permitted
      + capabilities.ambient
    return Set(names).subtracting(ContainerRuntime.capabilityNames).sorted()
  }

  /// Leaves out what we don't have ourselves (older kernels, a confined engine); answers the names.
  mutating func confine(to ours: UInt64) -> [String] {
    let missing = (bounding | effective | inheritable | permitted | ambient) & ~ours
    bounding &= ours
    permitted &= ours
    effective &= permitted
    inheritable &= ours
    ambient &= permitted & inheritable
    return ContainerRuntime.capabilityNames.indices.filter { missing & (1 << UInt64($0)) != 0 }.map {
      ContainerRuntime.capabilityNames[$0]
    }
  }

  static let sysAdmin: UInt64 = 1 << 21
}

extension ContainerRuntime {
  /// By number (linux/capability.h).
  public static let capabilityNames: [String] = [
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
}
