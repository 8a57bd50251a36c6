import Kernel

/// The engines that Berth is compared with: `BERTH_PEERS_COMMAND exec` when that is set, else `scripts/peers exec` when its tree is
/// installed. They see /tmp as it is and this machine's root at /host.
enum Peers {
  static let command: (path: String, prefix: [String])? = {
    if let command = ProcessEnvironment.current["BERTH_PEERS_COMMAND"] { return (command, ["exec"]) }
    let cache =
      ProcessEnvironment.current["XDG_CACHE_HOME"] ?? (ProcessEnvironment.current["HOME"] ?? "/root") + "/.cache"
    let home = ProcessEnvironment.current["BERTH_PEERS"] ?? cache + "/berth-peers"
    guard Sys.exists(home + "/complete"), let root = try? projectRoot() else { return nil }
    return (root + "/scripts/peers", ["exec"])
  }()

  static let absence = "no peers: scripts/peers install brings podman, docker, containerd, crun and runc"
}
