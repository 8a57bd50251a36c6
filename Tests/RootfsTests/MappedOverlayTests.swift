import CLinux
import Kernel
import Synchronization
import Testing

@testable import Rootfs

/// An overlay of id-mapped layers, by the way of this kernel and by that of those before 6.15. On a thread of its own, since it takes on
/// other ids and a mount namespace for a moment.
struct MappedOverlayTests {
  private final class Outcome: Sendable { let error = Mutex<String?>("the thread didn't come to its end") }

  /// A process that does nothing in a user namespace where 0 is 200000 outside.
  private func sleeper() throws -> (pid: pid_t, namespace: SharedDescriptor) {
    var pid: pid_t = 0
    let words = ["unshare", "-U", "sleep", "60"]
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) }
    arguments.append(nil)
    defer { for argument in arguments { free(argument) } }
    let code = posix_spawn(&pid, "/usr/bin/unshare", nil, nil, &arguments, nil)
    guard code == 0 else { throw SyscallError("posix_spawn", "unshare", Errno(rawValue: code)) }
    let own = try Sys.status("/proc/self/ns/user").st_ino
    while try Sys.status("/proc/\(pid)/ns/user").st_ino == own { sched_yield() }
    for file in ["uid_map", "gid_map"] { try Sys.writeFile("/proc/\(pid)/\(file)", "0 200000 1000\n") }
    return (pid, SharedDescriptor(try Sys.open("/proc/\(pid)/ns/user")))
  }

  @Test(arguments: [false, true]) func filesKeepTheirIDsOnTheDisk(attached: Bool) throws {
    // Not on an overlay: it can't be mapped.
    let folder = "/tmp/berth-mapped-\(getpid())-\(attached)"
    for name in ["one", "two", "top/upper", "top/work"] { try Sys.mkdirAll("\(folder)/\(name)") }
    defer { try? Sys.removeTree(folder) }
    try Sys.replaceFile("\(folder)/one/file", with: [1], durable: false)
    try Sys.chown("\(folder)/one/file", 7, 8)
    let (pid, namespace) = try sleeper()
    defer {
      kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
    let before = try Sys.readlink("/proc/thread-self/ns/mnt")
    let outcome = Outcome()
    let thread = try Thread(name: "overlay") {
      do {
        try Sys.unshare(CLONE_FS)
        let mount = try Rootfs.overlay(
          lower: ["\(folder)/one", "\(folder)/two"], upper: "\(folder)/top/upper", work: "\(folder)/top/work",
          volatile: false, mappedBy: namespace, root: (200_000, 200_000), attached: attached)
        let file = try Sys.status("file", at: mount.raw)
        guard [file.st_uid, file.st_gid] == [200_007, 200_008] else {
          throw SyscallError("fstat", "\(file.st_uid):\(file.st_gid)", .invalidArgument)
        }
        guard try Sys.readlink("/proc/thread-self/ns/mnt") == before else {
          throw SyscallError("setns", "mount namespace", .invalidArgument)
        }
        try Rootfs.takeFileSystemIDs(200_003, 200_004)
        try Sys.mkdir("made", at: mount.raw)
        try Sys.unlink("file", at: mount.raw)
        outcome.error.withLock { $0 = nil }
      } catch { outcome.error.withLock { $0 = "\(error)" } }
    }
    thread.join()
    #expect(outcome.error.withLock { $0 } == nil)
    let made = try Sys.status("\(folder)/top/upper/made")
    #expect([made.st_uid, made.st_gid] == [3, 4])
    let mounts = String(decoding: try Sys.readFile("/proc/self/mountinfo"), as: UTF8.self)
    #expect(!mounts.contains(folder))
  }
}
