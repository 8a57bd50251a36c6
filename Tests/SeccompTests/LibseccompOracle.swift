import CLinux
import Kernel
import OCI
import Testing

@testable import Seccomp

/// libseccomp's own program for a profile, made by a small C program as runc does it. Needs a C compiler and libseccomp's headers.
enum LibseccompOracle {
  /// The program, without a name, or why there is none.
  static let tool: Result<SharedDescriptor, Reason> = {
    guard Sys.exists("/usr/include/seccomp.h") else {
      return .failure(Reason("no /usr/include/seccomp.h (libseccomp-dev)"))
    }
    guard let compiler = ["/usr/bin/cc", "/usr/bin/gcc", "/usr/bin/clang"].first(where: { Sys.exists($0) }) else {
      return .failure(Reason("no C compiler"))
    }
    let base = "/tmp/berth-seccomp-oracle-\(getpid())"
    do {
      try Sys.replaceFile(base + ".c", with: Array(source.utf8), durable: false)
      let result = try run([compiler, "-o", base, base + ".c", "-lseccomp"], input: "")
      try Sys.unlink(base + ".c")
      guard result.code == 0 else { return .failure(Reason("compiling it failed with \(result.code)")) }
      let program = SharedDescriptor(try Sys.open(base))
      try Sys.unlink(base)
      return .success(program)
    } catch { return .failure(Reason("\(error)")) }
  }()

  struct Reason: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  /// libseccomp's program for the profile without the names that it doesn't know or has wrong, and that profile.
  static func compile(_ profile: RuntimeSpec.Seccomp) throws -> (program: [UInt8], profile: RuntimeSpec.Seccomp) {
    let tool = "/proc/self/fd/\(try tool.get().raw)"
    let names = Set(profile.syscalls.flatMap(\.names)).sorted()
    let known = try run(
      [tool], input: names.map { "name \($0) \(SyscallTable.shared.number($0, .x32) ?? 0)\n" }.joined())
    try #require(known.code == 0)
    let unknown = Set(String(decoding: known.output, as: UTF8.self).split(separator: "\n").map(String.init))
    var profile = profile
    profile.syscalls = profile.syscalls.map { rule in
      var rule = rule
      rule.names.removeAll { unknown.contains($0) }
      return rule
    }.filter { !$0.names.isEmpty }

    func action(_ name: String, _ errno: UInt32?) throws -> UInt32 {
      try Seccomp.verdict(action: name, errno: errno, (name, name))
    }
    let defaultVerdict = try action(profile.defaultAction, profile.defaultErrnoRet)
    var text = "default \(defaultVerdict)\n"
    for architecture in profile.architectures { text += "arch \(architecture.dropFirst(10).lowercased())\n" }
    let operators = ["NE": 1, "LT": 2, "LE": 3, "EQ": 4, "GE": 5, "GT": 6, "MASKED_EQ": 7]
    for rule in profile.syscalls {
      let verdict = try action(rule.action, rule.errnoRet)
      if verdict == defaultVerdict { continue }
      let several = Set(rule.args.map(\.index)).count < rule.args.count
      for name in rule.names {
        for group in several ? rule.args.map({ [$0] }) : [rule.args] {
          text += "rule \(name) \(verdict) \(group.count)"
          for argument in group {
            let op = try #require(operators[String(argument.op.dropFirst(9))])
            text += " \(argument.index) \(op) \(argument.value) \(argument.valueTwo)"
          }
          text += "\n"
        }
      }
    }
    let result = try run([tool], input: text + "export\n")
    try #require(result.code == 0, "libseccomp refused the profile: \(result.code)")
    return (result.output, profile)
  }

  /// Runs a program with a text on its standard input.
  static func run(_ words: [String], input: String) throws -> (code: Int32, output: [UInt8]) {
    let file = try Sys.memfd("input")
    try Sys.writeAll(file.raw, input)
    try Sys.lseek(file.raw, 0, SEEK_SET)
    let output = try Sys.memfd("output")
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { (word: String) in strdup(word) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/bin:/bin"), nil]
    defer { free(environment[0]) }
    // The test process has threads: nothing between clone and exec may allocate.
    let (pid, pidfd) = try Sys.clone3(flags: 0)
    if pid == 0 {
      dup2(file.raw, 0)
      dup2(output.raw, 1)
      if let program = arguments[0] { execve(program, &arguments, &environment) }
      _exit(126)
    }
    let child = Descriptor(owning: pidfd)
    let exit = try #require(try Sys.wait(pidfd: child.raw))
    try Sys.lseek(output.raw, 0, SEEK_SET)
    return (exit.code, try Sys.readAll(output.raw))
  }

  private static let source = """
    #include <seccomp.h>
    #include <stdio.h>
    #include <string.h>
    #include <inttypes.h>
    int main(void) {
      char word[64], name[128];
      scmp_filter_ctx filter = NULL;
      while (scanf("%63s", word) == 1) {
        if (!strcmp(word, "name")) {
          int number, theirs;
          scanf("%127s %d", name, &number);
          theirs = seccomp_syscall_resolve_name_arch(SCMP_ARCH_X32, name);
          // 2.5 and older have some of x32's numbers wrong
          if (seccomp_syscall_resolve_name(name) == __NR_SCMP_ERROR || (number && theirs != number)) printf("%s\\n", name);
        } else if (!strcmp(word, "default")) {
          uint32_t action;
          scanf("%" SCNu32, &action);
          if (!(filter = seccomp_init(action))) return 2;
        } else if (!strcmp(word, "arch")) {
          scanf("%127s", name);
          uint32_t arch = seccomp_arch_resolve_name(name);
          if (!arch) return 3;
          int e = seccomp_arch_add(filter, arch);
          if (e && e != -17) return 4;
        } else if (!strcmp(word, "rule")) {
          uint32_t action;
          unsigned count;
          scanf("%127s %" SCNu32 " %u", name, &action, &count);
          struct scmp_arg_cmp args[6];
          for (unsigned i = 0; i < count; i++) {
            unsigned index, op;
            uint64_t a, b;
            scanf("%u %u %" SCNu64 " %" SCNu64, &index, &op, &a, &b);
            args[i] = (struct scmp_arg_cmp){index, (enum scmp_compare)op, a, b};
          }
          int e = seccomp_rule_add_array(filter, action, seccomp_syscall_resolve_name(name), count, args);
          if (e) { fprintf(stderr, "%s: %d\\n", name, e); return 5; }
        } else if (!strcmp(word, "export")) {
          return seccomp_export_bpf(filter, 1) ? 6 : 0;
        } else return 7;
      }
      return 0;
    }
    """
}
