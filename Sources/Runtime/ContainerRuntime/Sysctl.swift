import CLinux
import Kernel
import OCI

/// Kernel parameters of a container's own namespaces.
enum Sysctl {
  /// Refuses what would change the host (as runc does, with its words).
  static func validate(_ parameters: [String: String], _ spec: RuntimeSpec) throws(LaunchFailure) {
    let linux = spec.linux
    for name in parameters.keys.sorted() {
      guard !name.split(whereSeparator: { $0 == "/" || $0 == "." }).isEmpty,
        !path(name).split(separator: "/").contains("..")
      else { throw ConfigurationCheck.refusal("linux.sysctl", "\"\(name)\" is no parameter") }
      let dotted = path(name).split(separator: "/").joined(separator: ".")
      let kind: RuntimeSpec.NamespaceKind? =
        if ipc.contains(dotted) || dotted.hasPrefix("fs.mqueue.") { .ipc } else if dotted.hasPrefix("net.") {
          .network
        } else if dotted
          == "kernel.domainname"
        { .uts } else { nil }
      guard let kind, linux.namespace(kind) != nil else {
        throw LaunchFailure(
          step: "sysctl", errno: EINVAL, object: name,
          message: "linux.sysctl: sysctl \"\(name)\" is not in a separate kernel namespace")
      }
      // Two values for one thing: whichever comes last would win in silence.
      if dotted == "kernel.domainname", let domain = spec.domainname, !domain.isEmpty, domain != parameters[name] {
        throw LaunchFailure(
          step: "sysctl", errno: EINVAL, object: name,
          message: "sysctl \"\(name)\" conflicts with the domainname \"\(domain)\" of the configuration")
      }
    }
  }

  static func apply(_ parameters: [String: String], through proc: borrowing ProcFS, _ stage: Stage)
    throws(LaunchFailure)
  {
    for (name, value) in parameters.sorted(by: { $0.key < $1.key }) {
      do throws(SyscallError) {
        try proc.write(value, to: "sys/" + path(name))
      } catch {
        throw stage.failure(error.errno.rawValue, name, "write sysctl \(name) = \(value): \(error.errno)")
      }
    }
  }

  /// `net.ipv4.ip_forward`, or with slashes when a part holds a dot (`net/ipv4/conf/eth0.1/forwarding`): the first separator
  /// says which (sysctl.d(5)).
  private static func path(_ name: String) -> String {
    guard let first = name.first(where: { $0 == "." || $0 == "/" }), first == "." else { return name }
    return String(name.map { $0 == "." ? "/" : $0 == "/" ? "." : $0 })
  }

  private static let ipc: Set<String> = [
    "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax", "kernel.shmmni",
    "kernel.shm_rmid_forced",
  ]
}
