import CLinux
import Kernel
import OCI
import Testing

@Suite("a daemon in a chroot")
struct ChrootTests {
  /// pivot_root(2) in a chroot leaves the namespace's own root as it was, so that setns(2), which exec uses, would lead to the host's files.
  @Test("refuses to start and says why")
  func refuses() throws {
    let folder = "/tmp/berth-test-chroot-\(getpid())"
    try Sys.mkdirAll(folder)
    // Not the tree: should the mount have come out of the namespace, it would be the host's.
    defer { try? Sys.rmdir(folder) }
    let script = """
      mount --make-rprivate / && mount --rbind / \(folder) &&
      exec chroot \(folder) \(Daemon.bin)/berthd --data-root \(folder).data --exec-root \(folder).run
      """
    let result = try Command(path: "/usr/bin/unshare").run(["-m", "sh", "-c", script])
    #expect(result.status == 1 && result.err.contains("the daemon's root is a chroot"), "\(result)")
    #expect(!Sys.exists("\(folder).data"))
  }

  /// What enters a container by its namespaces sees the container's files, whatever the root of its maker was: in a chroot into a mount, where
  /// pivot_root(2) alone replaces the wrong directory, and in one into an ordinary directory, where it is EINVAL.
  @Test("berth-runtime's containers are whole in a chroot", arguments: [true, false])
  func runtime(intoMount: Bool) throws {
    let bundle = try Bundle()
    var spec = try bundle.specification("sleep 100")
    spec.root?.readonly = false
    try bundle.write(spec)
    try Sys.replaceFile(bundle.path + "/rootfs/marker", with: Array("the container\n".utf8), durable: false)
    let id = "chroot-\(getpid())"
    let tree = bundle.folder + "/tree"
    // The tree has what a runtime needs of a host; in one case it is a mount of its own.
    let mounts =
      ["/proc", "/sys", "/dev", bundle.folder]
      // for a program that isn't linked statically
      + ["/lib", "/lib64", "/usr", "/opt"].filter { Sys.exists($0) }
    let script = """
      set -e
      mount --make-rprivate /
      mkdir -p \(tree)
      \(intoMount ? "mount -t tmpfs tree \(tree)" : ":")
      \(mounts.map { "mkdir -p \(tree)\($0) && mount --\($0 == bundle.folder ? "" : "r")bind \($0) \(tree)\($0)" }.joined(separator: "\n"))
      run() { chroot \(tree) \(bundle.program) --root \(bundle.folder)/state "$@"; }
      run run -d -b \(bundle.path) \(id)
      run exec \(id) cat /marker
      run exec \(id) sh -c 'grep -c . /proc/1/mountinfo; grep -c " /\(tree.dropFirst()) " /proc/1/mountinfo || true'
      run delete -f \(id)
      """
    let result = try Command(path: "/usr/bin/unshare").run(["-m", "sh", "-c", script])
    #expect(result.status == 0, "\(result)")
    #expect(result.lines.first == "the container" && result.lines.last == "0", "\(result)")
  }
}
