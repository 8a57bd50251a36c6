import OCI
import Testing

@testable import Seccomp

@Suite struct ProfileTests {
  private func read(_ text: String, capabilities: [String] = [], kernel: (Int, Int) = (6, 12)) throws
    -> RuntimeSpec.Seccomp
  {
    try Seccomp.profile(json: try JSON.parse(text), capabilities: capabilities, kernel: kernel, native: .x86_64)
  }

  @Test func conditionsOfARuleAreDecided() throws {
    let text = """
      {"defaultAction": "SCMP_ACT_ERRNO", "defaultErrnoRet": 5,
       "archMap": [{"architecture": "SCMP_ARCH_AARCH64", "subArchitectures": ["SCMP_ARCH_ARM"]},
                   {"architecture": "SCMP_ARCH_X86_64", "subArchitectures": ["SCMP_ARCH_X86"]},
                   {"architecture": "SCMP_ARCH_RISCV64", "subArchitectures": null}],
       "syscalls": [
        {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": null, "comment": "always", "includes": {}, "excludes": {}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["futex"], "action": "SCMP_ACT_ALLOW", "excludes": {"minKernel": "4.8"}},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN", "CAP_SYS_BOOT"]}},
        {"names": ["clone3"], "action": "SCMP_ACT_ERRNO", "errnoRet": 38, "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["set_tls"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["arm64"]}},
        {"names": ["arch_prctl"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["amd64", "x32"]}},
        {"name": "close", "action": "SCMP_ACT_ALLOW", "excludes": {"arches": ["amd64"]}},
        {"name": "open", "action": "SCMP_ACT_ALLOW", "args": [{"index": 1, "value": 18446744073709551615, "valueTwo": 2, "op": "SCMP_CMP_NE"}]}
       ]}
      """
    let profile = try read(text)
    #expect(profile.defaultErrnoRet == 5)
    #expect(profile.architectures == ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])
    #expect(profile.syscalls.map(\.names) == [["read"], ["ptrace"], ["clone3"], ["arch_prctl"], ["open"]])
    #expect(profile.syscalls[2].errnoRet == 38)
    #expect(profile.syscalls[4].args == [.init(index: 1, value: .max, valueTwo: 2, op: "SCMP_CMP_NE")])
    #expect(
      try read(text, capabilities: ["CAP_SYS_ADMIN", "CAP_SYS_BOOT"], kernel: (3, 19)).syscalls.map(\.names)
        == [["read"], ["futex"], ["mount"], ["arch_prctl"], ["open"]])
    #expect(try read(text, kernel: (4, 8)).syscalls.contains { $0.names == ["ptrace"] })
    #expect(try read(text, kernel: (4, 7)).syscalls.contains { $0.names == ["ptrace"] } == false)
  }

  @Test(arguments: [
    #"{"defaultAction": 1}"#,
    #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"name": "a", "names": ["b"], "action": "SCMP_ACT_KILL"}]}"#,
    #"{"defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86"], "archMap": [{"architecture": "SCMP_ARCH_X86_64"}]}"#,
    #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["b"], "action": "SCMP_ACT_KILL", "includes": {"minKernel": "new"}}]}"#,
    #"[]"#, #"{"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [{"names": ["b"], "args": [{"index": -1}]}]}"#,
  ]) func faultyProfilesAreRefused(_ text: String) {
    #expect(throws: SeccompError.self) { try read(text) }
  }

  @Test func anEmptyProfileAllows() throws {
    #expect(try read("{}") == RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW"))
  }

  @Test func keysTellProfilesApart() throws {
    let profile = Seccomp.dockerDefault(capabilities: dockerCapabilities, kernel: (6, 12))
    #expect(Seccomp.key(profile) == Seccomp.key(profile))
    #expect(Seccomp.key(profile).count == 64)
    var keys: Set<String> = [Seccomp.key(profile), Seccomp.key(profile, native: .aarch64)]
    keys.insert(Seccomp.key(Seccomp.dockerDefault(capabilities: [], kernel: (6, 12))))
    var other = profile
    other.flags = ["SECCOMP_FILTER_FLAG_LOG"]
    keys.insert(Seccomp.key(other))
    other = profile
    other.syscalls[1].args.append(.init(index: 1, value: 2, op: "SCMP_CMP_EQ"))
    keys.insert(Seccomp.key(other))
    other = RuntimeSpec.Seccomp(defaultAction: "A", syscalls: [.init(names: ["ab", "c"], action: "X")])
    keys.insert(Seccomp.key(other))
    other.syscalls[0].names = ["a", "bc"]
    keys.insert(Seccomp.key(other))
    #expect(keys.count == 7)
  }

  @Test func sha256IsRight() {
    func hex(_ text: String) -> String {
      SHA256.digest(Array(text.utf8)).map { String(UInt16($0) | 0x100, radix: 16).dropFirst() }.joined()
    }
    #expect(hex("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
    #expect(hex("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    #expect(
      hex("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")
        == "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1")
    #expect(
      hex(String(repeating: "a", count: 1000)) == "41edece42d63e8d9bf515a9ba6932e1c20cbc9f5a5d134645adb5db1b9737ea3")
  }

  @Test func theTableHasTheNumbersOfThisMachinesHeaders() {
    let table = SyscallTable.shared
    #expect(
      table.number("read", .x86_64) == 0 && table.number("read", .x86) == 3 && table.number("read", .aarch64) == 63)
    #expect(table.number("execve", .x32) == (520 as UInt32 | 0x4000_0000))
    #expect(table.number("set_tls", .arm) == 0xf0005)
    #expect(table.number("socketcall", .x86_64) == nil)
    #expect(table.number("no_such_call", .x86) == nil)
    // every call since 5.1 has one number
    for (name, number) in ["clone3": 435, "openat2": 437, "cachestat": 451, "mseal": 462, "rseq_slice_yield": 471]
      as [String: UInt32]
    {
      for architecture in [Seccomp.Architecture.x86_64, .x86, .aarch64, .arm] {
        #expect(table.number(name, architecture) == number)
      }
    }
    #expect(Seccomp.Architecture.allCases.allSatisfy { table.all($0).count > 300 })
  }
}
