import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// Namespaces by the path of their file.
@Suite(.serialized)
struct JoinTests {
  let sandbox: Sandbox
  init() throws { sandbox = try Sandbox() }

  /// A process that waits in namespaces of its own: `unshare(1)`'s flags.
  private final class Holder {
    let pid: pid_t
    init(_ flags: String) throws {
      var pid: pid_t = 0
      let words = ["unshare"] + flags.split(separator: " ").map(String.init) + ["sleep", "100"]
      var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
      defer { for argument in arguments { free(argument) } }
      let result = posix_spawnp(&pid, "unshare", nil, nil, &arguments, cl_environ())
      try #require(result == 0)
      self.pid = pid
      // unshare executes sleep once it is done.
      while try Sys.readlink("/proc/\(pid)/exe").hasSuffix("/unshare")
        || (try Sys.readlink("/proc/\(pid)/exe")) == (try Sys.readlink("/proc/self/exe"))
      {
        sched_yield()
      }
    }
    func path(_ kind: RuntimeSpec.NamespaceKind) -> String { "/proc/\(pid)/ns/\(kind.procName)" }
    deinit {
      _ = kill(pid, SIGKILL)
      waitpid(pid, nil, 0)
    }
  }

  private func join(_ plan: inout LaunchPlan, _ kind: RuntimeSpec.NamespaceKind, _ path: String) {
    plan.spec.linux.namespaces.removeAll { $0.kind == kind }
    plan.spec.linux.namespaces.append(.init(kind, path: path))
  }

  @Test func aUserNamespaceByPathOwnsTheContainersOwnNamespaces() throws {
    let holder = try Holder("--user --uts --ipc")
    for file in ["uid_map", "gid_map"] { try Sys.writeFile("/proc/\(holder.pid)/\(file)", "0 100000 65536") }
    try Sys.chown(sandbox.rootfs, 100_000, 100_000)
    let outcome = try sandbox.run(
      sandbox.plan(
        [
          "sh", "-c",
          "readlink /proc/self/ns/user; readlink /proc/self/ns/uts; cat /proc/self/uid_map; hostname; touch /made; id -u",
        ]) {
          $0.spec.hostname = nil
          join(&$0, .user, holder.path(.user))
          join(&$0, .uts, holder.path(.uts))
          join(&$0, .ipc, holder.path(.ipc))
        }, execs: [sandbox.exec(["sh", "-c", "readlink /proc/self/ns/user; id -u"])])
    #expect(outcome.code == 0 && outcome.failure == nil, "\(outcome)")
    #expect(outcome.output.contains(try Sys.readlink(holder.path(.user))))
    #expect(outcome.output.contains(try Sys.readlink(holder.path(.uts))))
    #expect(try Sys.status(sandbox.rootfs + "/made").st_uid == 100_000)
  }

  @Test func ourOwnUserNamespaceByPathIsNoMistake() throws {
    let outcome = try sandbox.run(
      sandbox.plan(["id", "-u"]) { join(&$0, .user, "/proc/self/ns/user") },
      execs: [sandbox.exec(["id", "-u"])])
    #expect(outcome.code == 0 && outcome.failure == nil, "\(outcome)")
  }

  @Test func aMountNamespaceByPathGetsTheContainersMountsAndTheHostKeepsItsOwn() throws {
    let holder = try Holder("--mount --propagation private")
    let outcome = try sandbox.sh("readlink /proc/self/ns/mnt; ls /") { join(&$0, .mount, holder.path(.mount)) }
    #expect(outcome.code == 0 && outcome.failure == nil && outcome.mounts.isEmpty, "\(outcome)")
    #expect(outcome.output.contains(try Sys.readlink(holder.path(.mount))))
    #expect(!outcome.output.contains("boot"))
  }

  @Test func aPathThatIsNoSuchNamespaceIsRefused() throws {
    let outcome = try sandbox.sh("true") { join(&$0, .ipc, "/proc/self/ns/uts") }
    #expect(outcome.failure?.message.contains("open ipc namespace") == true, "\(outcome)")
    let absent = try sandbox.sh("true") { join(&$0, .user, "/proc/1/ns/none") }
    #expect(absent.failure?.step == "namespaces", "\(absent)")
  }
}
