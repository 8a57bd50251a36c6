/// Control groups: the limits, the counters and the membership of one container, on cgroup v1, hybrid and v2.
///
/// Owns: `CgroupLayout` (what this host mounts, probed once), `Cgroup` (one group, by its path: create, enter, limit, measure,
/// freeze, kill, remove), `CgroupPool` (groups made ahead of time), the conversions between v1's and v2's units, and the eBPF
/// program of v2's device rules.
///
/// A `Cgroup` is a name and holds no state: the kernel's directories are the state, and any process may act on them by the path.
///
/// ```
/// /sys/fs/cgroup/memory/berth/<id>      v1 and hybrid: one directory a controller, all with the same path
/// /sys/fs/cgroup/unified/berth/<id>     hybrid: the v2 tree, in place of v1's freezer: cgroup.freeze, cgroup.kill, cgroup.events
/// /sys/fs/cgroup/berth/<id>             v2
///                berth/.spare-<pid>-<n> a group of `CgroupPool` that no container has yet
/// ```
///
/// Life cycle: absent → created (limits written, empty) → populated → empty → removed. Whoever made it, daemon or shim, any of
/// them may remove it; removing what is absent succeeds.
///
/// Must not: assume mount points or controllers (a missing one gives a warning, never silence); write `cgroup.procs` on the way
/// of a start (12 ms after any idle moment: the kernel's threadgroup lock waits for an RCU grace period); poll or sleep where the
/// kernel can tell; know of containers, import Foundation, or start threads.
public enum Cgroups {
  /// The parent of a daemon's groups: `/berth`, and for a daemon beside the default one a name made of its exec root, so that
  /// neither sweeps the other's.
  public static func defaultParent(execRoot: String) -> String {
    if execRoot == "/run/berth" { return "/berth" }
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    for byte in execRoot.utf8 { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
    return "/berth-" + String(hash, radix: 16)
  }
}
