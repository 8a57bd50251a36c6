import CLinux
import Kernel
import OCI
import Seccomp

/// Executes a program to which the kernel denies calls, by a seccomp filter: an older kernel, or a container engine's profile.
///
///     launch-probe deny CALL[,CALL…]=ERRNO [CALL…=ERRNO] -- PROGRAM [ARGUMENT…]
///
/// `ioctl:VALUE` denies that one request of ioctl(2). The errno is a number.
enum Denial {
  struct Failure: Error { let message: String }

  static func run(_ arguments: ArraySlice<String>) throws -> Never {
    let parts = arguments.split(separator: "--", maxSplits: 1, omittingEmptySubsequences: false)
    guard parts.count == 2, let program = parts[1].first else { throw Failure(message: "no program") }
    var rules: [RuntimeSpec.Seccomp.Rule] = []
    for word in parts[0] {
      let halves = word.split(separator: "=", maxSplits: 1)
      guard halves.count == 2, let errno = UInt32(halves[1]) else { throw Failure(message: word) }
      for call in halves[0].split(separator: ",") {
        let words = call.split(separator: ":", maxSplits: 1)
        let arguments: [RuntimeSpec.Seccomp.Argument] =
          words.count == 2
          ? [.init(index: 1, value: UInt64(words[1]) ?? 0, op: "SCMP_CMP_EQ")] : []
        rules.append(
          .init(names: [String(words[0])], action: "SCMP_ACT_ERRNO", errnoRet: errno, args: arguments))
      }
    }
    let profile = RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW", syscalls: rules)
    _ = try Seccomp.compile(profile).load()
    var environment: [String] = []
    if var entry = cl_environ() {
      while let text = entry.pointee {
        environment.append(String(cString: text))
        entry += 1
      }
    }
    throw Sys.execve(program, Array(parts[1]), environment)
  }
}
