import CLinux
import Kernel
import OCI
import Rootfs

extension ContainerRuntime.Stdio {
  /// Gives pipes of ours to the root of a user namespace, who hands them on to the process's user (`ProcessStage`): what the host's root
  /// owns can't be given away in there, and `/dev/stdout` would stay closed. What isn't a pipe is somebody's file.
  func give(to root: (uid: UInt32, gid: UInt32)?) throws(LaunchFailure) {
    guard let root else { return }
    do throws(SyscallError) {
      for descriptor in Set([input, output, error]) where descriptor >= 0 {
        let status = try Sys.fstat(descriptor)
        guard status.st_mode & mode_t(S_IFMT) == mode_t(S_IFIFO), status.st_uid == geteuid() else { continue }
        try Sys.chown(descriptor, root.uid, root.gid)
      }
    } catch {
      throw LaunchFailure(
        step: "stdio", errno: error.errno.rawValue, object: error.object,
        message: "give standard streams to the user namespace: \(error)")
    }
  }

  /// The host's ids of root in a process's user namespace (user_namespaces(7)).
  static func root(ofProcess pid: Int32) throws(SyscallError) -> (uid: UInt32, gid: UInt32)? {
    func mappings(_ file: String) throws(SyscallError) -> [RuntimeSpec.IDMapping] {
      String(decoding: try Sys.readFile("/proc/\(pid)/\(file)"), as: UTF8.self).split(separator: "\n").compactMap {
        line in
        let numbers = line.split(separator: " ").compactMap { UInt32($0) }
        return numbers.count == 3
          ? RuntimeSpec.IDMapping(containerID: numbers[0], hostID: numbers[1], size: numbers[2]) : nil
      }
    }
    return MountedTree.Owners(users: try mappings("uid_map"), groups: try mappings("gid_map")).outside(0, 0)
  }
}
