import CLinux
import Kernel
import OCI
import Testing

@testable import Seccomp

@Suite struct LoadTests {
  /// Runs calls under a filter in a child; answers 0 or the errno of each. -1: the child didn't live to tell.
  private func outcomes(_ program: SeccompProgram, _ calls: [(number: UInt32, arguments: [Int])]) throws -> [Int32] {
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    var flat: [Int] = []
    for call in calls { flat += [Int(call.number)] + (call.arguments + [0, 0, 0, 0, 0, 0]).prefix(6) }
    // The test process has threads: the child may not allocate, so what Swift makes at first use is made before.
    #expect(throws: SyscallError.self) {
      try SeccompProgram(bytes: [0xff, 0xff, 0, 0, 0, 0, 0, 0], flags: .max).load()
    }
    let (pid, pidfd) = try Sys.clone3(flags: 0)
    if pid == 0 {
      flat.withUnsafeBufferPointer { flat in
        if cl_prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 { _exit(2) }
        do throws(SyscallError) { try program.load() } catch { _exit(3) }
        var index = 0
        while index < flat.count {
          let result = cl_syscall(
            flat[index], flat[index + 1], flat[index + 2], flat[index + 3], flat[index + 4], flat[index + 5],
            flat[index + 6])
          var outcome = result < 0 ? cl_errno() : 0
          if write(pipe.write, &outcome, 4) != 4 { _exit(4) }
          index += 7
        }
      }
      _exit(0)
    }
    let child = Descriptor(owning: pidfd)
    close(pipe.write)
    let bytes = try Sys.readAll(reader.raw)
    let exit = try #require(try Sys.wait(pidfd: child.raw))
    let told = bytes.withUnsafeBytes { buffer in
      stride(from: 0, to: buffer.count - buffer.count % 4, by: 4).map {
        buffer.loadUnaligned(fromByteOffset: $0, as: Int32.self)
      }
    }
    if exit == .exited(0) { #expect(told.count == calls.count) } else { print("the child ended: \(exit)") }
    return told + [Int32](repeating: -1, count: calls.count - told.count)
  }

  private func number(_ name: String) throws -> UInt32 { try #require(SyscallTable.shared.number(name, .native)) }

  @Test func theKernelTakesDockersProfileAndRefusesWhatItForbids() throws {
    let program = try Seccomp.compile(Seccomp.dockerDefault(capabilities: dockerCapabilities, kernel: (6, 12)))
    let cases: [(String, [Int], Int32)] = [
      ("getpid", [], 0),
      ("io_uring_setup", [1, 0], EPERM),
      ("clone3", [0, 0], ENOSYS),
      ("unshare", [0], EPERM),
      ("mount", [0, 0, 0, 0, 0], EPERM),
      ("bpf", [0, 0, 0], EPERM),
      ("keyctl", [0, 0, 0], EPERM),
      ("clone", [0x1000_0000], EPERM),
      ("socket", [1, 1, 0], 0),
      ("socket", [38, 5, 0], EPERM),
      ("socket", [40, 1, 0], EPERM),
      ("personality", [0xffff_ffff], 0),
      ("personality", [0x40000], EPERM),
      ("userfaultfd", [0], EPERM),
    ]
    let outcomes = try outcomes(program, try cases.map { (try number($0.0), $0.1) } + [(600, [])])
    for (index, expected) in cases.enumerated() {
      #expect(outcomes[index] == expected.2, "\(expected.0) \(expected.1)")
    }
    #expect(outcomes.last == ENOSYS)
  }

  @Test func argumentsOf64BitsBindInTheKernel() throws {
    let profile = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ALLOW",
      syscalls: [
        .init(
          names: ["getpriority"], action: "SCMP_ACT_ERRNO", errnoRet: 77,
          args: [
            .init(index: 1, value: 0x1_0000_0000, op: "SCMP_CMP_GE"), .init(index: 0, value: 0, op: "SCMP_CMP_EQ"),
          ]),
        .init(names: ["getppid"], action: "SCMP_ACT_ERRNO", errnoRet: 0),
      ])
    let call = try number("getpriority")
    let outcomes = try outcomes(
      try Seccomp.compile(profile),
      [(call, [0, 0xffff_ffff_0]), (call, [0, 0]), (call, [1, 0x1_0000_0000]), (try number("getppid"), [])])
    #expect(outcomes[0] == 77)
    #expect(outcomes[1] == 0)
    #expect(outcomes[2] != 77)
    #expect(outcomes[3] == 0)
  }

  @Test func aKilledProcessIsKilled() throws {
    let profile = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ALLOW", syscalls: [.init(names: ["getppid"], action: "SCMP_ACT_KILL_PROCESS")])
    let outcomes = try outcomes(
      try Seccomp.compile(profile), [(try number("getpid"), []), (try number("getppid"), [])])
    #expect(outcomes == [0, -1])
  }

  @Test func whatIsNoProgramIsntLoaded() {
    #expect(throws: SyscallError.self) { try SeccompProgram(bytes: []).load() }
    #expect(throws: SyscallError.self) { try SeccompProgram(bytes: [1, 2, 3]).load() }
  }
}
