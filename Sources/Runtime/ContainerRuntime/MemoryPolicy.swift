import CLinux
import Kernel
import OCI

/// `linux.memoryPolicy`: which memory nodes a process's pages come from (set_mempolicy(2)); checked by the parent, set by the child, kept
/// over the exec.
struct MemoryPolicy {
  private let mode: Int32
  private let nodes: [UInt64]

  // linux/mempolicy.h
  static let modes: [String: Int32] = [
    "MPOL_DEFAULT": 0, "MPOL_PREFERRED": 1, "MPOL_BIND": 2, "MPOL_INTERLEAVE": 3, "MPOL_LOCAL": 4,
    "MPOL_PREFERRED_MANY": 5, "MPOL_WEIGHTED_INTERLEAVE": 6,
  ]
  static let flags: [String: Int32] = [
    "MPOL_F_NUMA_BALANCING": 1 << 13, "MPOL_F_RELATIVE_NODES": 1 << 14, "MPOL_F_STATIC_NODES": 1 << 15,
  ]

  init(_ asked: RuntimeSpec.MemoryPolicy) throws(LaunchFailure) {
    guard var mode = Self.modes[asked.mode] else {
      throw ConfigurationCheck.refusal("linux.memoryPolicy.mode", "unknown mode \"\(asked.mode)\"")
    }
    for (index, name) in asked.flags.enumerated() {
      guard let flag = Self.flags[name] else {
        throw ConfigurationCheck.refusal("linux.memoryPolicy.flags[\(index)]", "unknown flag \"\(name)\"")
      }
      mode |= flag
    }
    nodes = asked.nodes.isEmpty ? [] : try Scheduling.processors(asked.nodes, "linux.memoryPolicy.nodes")
    let needsNodes = !["MPOL_DEFAULT", "MPOL_LOCAL", "MPOL_PREFERRED"].contains(asked.mode)
    guard !needsNodes || !nodes.isEmpty else {
      throw ConfigurationCheck.refusal("linux.memoryPolicy.nodes", "\(asked.mode) needs nodes")
    }
    self.mode = mode
  }

  func apply(_ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("linux.memoryPolicy") { () throws(SyscallError) in
      // The kernel counts the bits from 1.
      try Sys.retrying("set_mempolicy") {
        cl_set_mempolicy(mode, nodes.isEmpty ? nil : nodes, UInt(nodes.isEmpty ? 0 : nodes.count * 64 + 1))
      }
    }
  }
}

extension ContainerRuntime {
  /// What `linux.memoryPolicy` may say.
  public static var memoryPolicyModes: [String] { MemoryPolicy.modes.keys.sorted() }
  public static var memoryPolicyFlags: [String] { MemoryPolicy.flags.keys.sorted() }
}
