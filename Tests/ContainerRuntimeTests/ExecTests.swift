import CLinux
import ContainerRuntime
import Kernel
import OCI
import Testing

/// A second program in a container.
struct ExecTests {
  let sandbox: Sandbox

  init() throws { sandbox = try Sandbox() }

  private func exec(
    _ plans: [ExecPlan], _ change: (inout LaunchPlan) -> Void = { _ in }
  ) throws -> Sandbox.Outcome {
    let outcome = try sandbox.run(sandbox.plan(["sleep", "1000"], change), execs: plans, options: ["--kill"])
    #expect(outcome.code == 137 && !outcome.groupRemains && outcome.left.isEmpty, "\(outcome)")
    return outcome
  }

  @Test func itIsInAllOfTheContainersNamespacesAndItsCgroup() throws {
    let text =
      "for n in mnt uts pid ipc net cgroup; do readlink /proc/1/ns/$n; readlink /proc/self/ns/$n; done; cat /proc/self/cgroup"
    let outcome = try exec([sandbox.exec(["sh", "-c", text])])
    let lines = outcome.output.split(separator: "\n")
    for index in 0..<6 { #expect(lines[2 * index] == lines[2 * index + 1]) }
    for line in lines.dropFirst(12) where !line.contains("freezer") { #expect(line.hasSuffix(":/"), "\(line)") }
  }

  @Test func itsStatusComesBack() throws {
    let outcome = try exec([sandbox.exec(["sh", "-c", "exit 9"]), sandbox.exec(["sh", "-c", "kill -9 $$"])])
    #expect(outcome.execs.map(\.code) == [9, 137])
  }

  @Test func failuresAreToldAndLeaveTheContainer() throws {
    let outcome = try exec([
      sandbox.exec(["nope"]), sandbox.exec(["true"]) { $0.user = "bob" },
      sandbox.exec(["true"]) { $0.process.cwd = "/nowhere" }, sandbox.exec(["true"]),
    ])
    #expect(outcome.execs[0].failure?.message == "exec: \"nope\": executable file not found in $PATH")
    #expect(outcome.execs[1].failure?.message == "unable to find user bob: no matching entries in passwd file")
    #expect(
      outcome.execs[2].failure?.message
        == "chdir to cwd (\"/nowhere\") set in config.json failed: no such file or directory")
    #expect(outcome.execs[3].code == 0)
  }

  @Test func itHasTheContainersUserUnlessToldOtherwise() throws {
    let outcome = try exec([
      sandbox.exec(["id", "-u"]), sandbox.exec(["id", "-u"]) { $0.user = "0" },
      sandbox.exec(["id", "-u"]) { $0.user = "77" },
    ]) { $0.user = "ann" }
    #expect(outcome.output == "1000\n0\n77\n")
  }

  @Test func itMayHaveATerminal() throws {
    let outcome = try exec([
      sandbox.exec(["sh", "-c", "tty; stty size; cat /proc/self/stat | cut -d' ' -f7"]) {
        $0.stdio.terminal = true
        $0.process.consoleSize = (100, 40)
      }
    ])
    #expect(outcome.output == "/dev/pts/0\r\n40 100\r\n34816\r\n", "its terminal controls it: \(outcome)")
  }

  @Test func itWorksInAUserNamespaceAndInATimeNamespace() throws {
    try Sys.chown(sandbox.rootfs, 100_000, 100_000)
    let outcome = try exec([sandbox.exec(["sh", "-c", "id -u; readlink /proc/1/ns/time; readlink /proc/self/ns/time"])])
    {
      $0.spec.linux.namespaces += [.init(.user), .init(.time)]
      $0.spec.linux.timeOffsets = ["monotonic": .init(secs: 5)]
      $0.spec.linux.uidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
      $0.spec.linux.gidMappings = [.init(containerID: 0, hostID: 100_000, size: 65536)]
    }
    let lines = outcome.output.split(separator: "\n")
    try #require(lines.count == 3, "\(outcome)")
    #expect(lines[0] == "0" && lines[1] == lines[2])
  }

  @Test func itWorksWithoutAPidNamespace() throws {
    let outcome = try exec([sandbox.exec(["hostname"])]) { $0.spec.linux.namespaces.removeAll { $0.kind == .pid } }
    #expect(outcome.output == "box\n")
  }
}
