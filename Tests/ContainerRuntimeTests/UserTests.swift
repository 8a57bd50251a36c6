import ContainerRuntime
import Kernel
import OCI
import Testing

/// Who the program is: looked up in the container's own files, as Docker does.
struct UserTests {
  let sandbox: Sandbox

  init() throws { sandbox = try Sandbox() }

  private func id(_ user: String, groups: [String] = []) throws -> Sandbox.Outcome {
    try sandbox.sh("id -u; id -g; id -G; echo $HOME") {
      $0.user = user
      $0.additionalGroups = groups
    }
  }

  @Test(arguments: [
    ("", "0\n0\n0 10\n/root\n"), ("0", "0\n0\n0 10\n/root\n"), ("ann", "1000\n1001\n1001 10\n/home/ann\n"),
    ("1000", "1000\n1001\n1001 10\n/home/ann\n"), ("ann:staff", "1000\n50\n50\n/home/ann\n"),
    ("1000:7", "1000\n7\n7\n/home/ann\n"), ("4242", "4242\n0\n0\n/\n"), ("4242:4343", "4242\n4343\n4343\n/\n"),
    (":staff", "0\n50\n50\n/root\n"),
  ])
  func aUserIsResolved(_ user: String, _ expected: String) throws { #expect(try id(user).output == expected) }

  @Test func groupsAreAdded() throws {
    #expect(try id("ann", groups: ["audio", "77"]).output == "1000\n1001\n1001 10 29 77\n/home/ann\n")
  }

  @Test(arguments: [
    ("bob", "unable to find user bob: no matching entries in passwd file"),
    ("ann:nobody", "unable to find group nobody: no matching entries in group file"),
    ("4294967296", "uids and gids must be in range 0-2147483647"),
    ("-1", "uids and gids must be in range 0-2147483647"),
    ("0:99999999999", "uids and gids must be in range 0-2147483647"),
  ])
  func whatIsNotThereIsTold(_ user: String, _ message: String) throws {
    let outcome = try id(user)
    #expect(outcome.failure?.message == message && !outcome.groupRemains)
  }

  @Test func aNumberIsNeverAName() throws {
    // CVE-2026-46680: a line whose name is a number must not give that number's user another id.
    try sandbox.write("root:x:0:0::/root:\n1234:x:0:0::/root:\n", to: "/etc/passwd")
    #expect(try id("1234").output.hasPrefix("1234\n0\n"))
  }

  @Test func oddFilesAreNoneOrRefused() throws {
    try Sys.unlink(sandbox.rootfs + "/etc/group")
    try Sys.mknod(sandbox.rootfs + "/etc/group", mode: 0o010644, device: 0)
    // Not by id(1), which would wait for the pipe's writer.
    func ids(_ user: String) throws -> String {
      try sandbox.sh("grep -E '^(Uid|Gid)' /proc/self/status | cut -f2", { $0.user = user }).output
    }
    #expect(try ids("1000") == "1000\n1001\n", "a pipe blocks nobody")
    try Sys.unlink(sandbox.rootfs + "/etc/passwd")
    try Sys.symlink("/proc/self/environ", sandbox.rootfs + "/etc/passwd")
    #expect(try ids("7") == "7\n0\n")
    try Sys.unlink(sandbox.rootfs + "/etc/passwd")
    try sandbox.write(String(repeating: "x:x:1:1::/:\n", count: 100_000), to: "/etc/passwd")
    #expect(try id("x").failure?.message == "\"/etc/passwd\" in rootfs is larger than a megabyte")
  }

  @Test func linksOfTheImageAreFollowedInsideIt() throws {
    try Sys.rename(sandbox.rootfs + "/etc/passwd", to: sandbox.rootfs + "/etc/real")
    try Sys.symlink("/etc/real", sandbox.rootfs + "/etc/passwd")
    #expect(try id("ann").output.hasPrefix("1000\n"))
  }

  @Test func theIdsOfTheConfigurationHoldWithoutALookup() throws {
    let outcome = try sandbox.sh("id -u; id -g; id -G") {
      $0.user = nil
      $0.spec.process?.user.uid = 5
      $0.spec.process?.user.gid = 6
      $0.spec.process?.user.additionalGids = [7, 8]
    }
    #expect(outcome.output == "5\n6\n6 7 8\n")
  }
}
