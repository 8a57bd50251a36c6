import CLinux
import ContainerRuntime
import Kernel
import OCI
import Seccomp
import Testing

/// The filter is the last thing before the program.
struct FilterTests {
  let sandbox: Sandbox

  init() throws { sandbox = try Sandbox() }

  /// Everything is allowed but these calls, which fail with ENOTEMPTY, an error they never have by themselves.
  private func filter(denying names: [String]) throws -> String {
    let profile = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [.init(names: names, action: "SCMP_ACT_ERRNO", errnoRet: UInt32(ENOTEMPTY))])
    let path = sandbox.directory + "/filter.bpf"
    try Sys.replaceFile(path, with: try Seccomp.compile(profile).bytes, durable: false)
    return path
  }

  @Test(arguments: [false, true]) func theProgramIsFiltered(_ noNewPrivileges: Bool) throws {
    let path = try filter(denying: ["mkdir", "mkdirat"])
    let outcome = try sandbox.sh("mkdir /x; grep -E '^(Seccomp|NoNewPrivs|CapEff)' /proc/self/status") {
      $0.seccompFilter = path
      $0.spec.process?.noNewPrivileges = noNewPrivileges
    }
    #expect(outcome.output.contains("Directory not empty"), "\(outcome)")
    #expect(outcome.output.contains("Seccomp:\t2") && outcome.output.contains("CapEff:\t00000000a80425fb"))
    #expect(outcome.output.contains("NoNewPrivs:\t\(noNewPrivileges ? 1 : 0)"))
  }

  /// What the runtime itself does to become the program needn't be in the user's filter.
  @Test(arguments: [false, true]) func theRuntimesOwnCallsNeedNotBeAllowed(_ initProcess: Bool) throws {
    let path = try filter(denying: [
      "setresuid", "setresgid", "setgroups", "prctl", "mount", "chdir", "getcwd", "close_range", "seccomp", "fork",
      "clone3", "sendmsg",
      "setsid", "pivot_root", "openat2",
    ])
    let outcome = try sandbox.run(
      sandbox.plan(["cat", "/etc/passwd"]) {
        $0.seccompFilter = path
        $0.initProcess = initProcess
        $0.user = "ann"
        $0.spec.process?.noNewPrivileges = true
      })
    #expect(outcome.code == 0 && outcome.output.hasPrefix("root:"), "\(outcome)")
  }

  @Test func anExecIsFilteredByItsOwn() throws {
    let path = try filter(denying: ["mkdir", "mkdirat"])
    let outcome = try sandbox.run(
      sandbox.plan(["sleep", "100"]),
      execs: [
        sandbox.exec(["mkdir", "/a"]) { $0.seccompFilter = path }, sandbox.exec(["mkdir", "/b"]),
      ], options: ["--kill"])
    #expect(outcome.execs.map(\.code) == [1, 0], "\(outcome)")
  }

  @Test func aFileThatIsNoFilterIsRefused() throws {
    try Sys.replaceFile(sandbox.directory + "/odd", with: [1, 2, 3], durable: false)
    let outcome = try sandbox.sh("true") { $0.seccompFilter = sandbox.directory + "/odd" }
    #expect(outcome.failure?.step == "seccomp" && !outcome.groupRemains)
    try Sys.replaceFile(sandbox.directory + "/nonsense", with: [UInt8](repeating: 0xFF, count: 16), durable: false)
    let bad = try sandbox.sh("true") { $0.seccompFilter = sandbox.directory + "/nonsense" }
    #expect(bad.failure?.step == "seccomp" && !bad.groupRemains, "\(bad)")
  }

  @Test func dockersDefaultFilterLetsAShellWork() throws {
    let profile = Seccomp.dockerDefault(capabilities: Sandbox.docker, kernel: try Kernel.version())
    let path = sandbox.directory + "/default.bpf"
    try Sys.replaceFile(path, with: try Seccomp.compile(profile).bytes, durable: false)
    let outcome = try sandbox.sh("ls / > /dev/null && mount -t tmpfs x /tmp; echo $?") { $0.seccompFilter = path }
    #expect(outcome.output.contains("permission denied") && outcome.output.hasSuffix("1\n"), "\(outcome)")
  }
}
