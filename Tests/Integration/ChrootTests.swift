import CLinux
import Kernel
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
}
