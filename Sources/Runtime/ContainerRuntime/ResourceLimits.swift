import CLinux
import Kernel
import OCI

/// The process's own limits (setrlimit(2)).
enum ResourceLimits {
  /// Names to numbers, all of them, before anything is made.
  static func resolve(_ limits: [RuntimeSpec.Rlimit]) throws(LaunchFailure) -> [(
    limit: RuntimeSpec.Rlimit, number: Int32
  )] {
    var result: [(RuntimeSpec.Rlimit, Int32)] = []
    for (index, limit) in limits.enumerated() {
      func refuse(_ member: String, _ text: String) -> LaunchFailure {
        ConfigurationCheck.refusal("process.rlimits[\(index)]\(member)", text)
      }
      guard let number = numbers[limit.type] else { throw refuse(".type", "unknown rlimit \"\(limit.type)\"") }
      // config.md: a duplicate is an error.
      guard !result.contains(where: { $0.1 == number }) else { throw refuse(".type", "\(limit.type) is given twice") }
      guard limit.soft <= limit.hard else {
        throw refuse("", "\(limit.type): the soft limit \(limit.soft) is above the hard limit \(limit.hard)")
      }
      result.append((limit, number))
    }
    return result
  }

  /// Where raising isn't permitted (no CAP_SYS_RESOURCE), what is possible is kept and the rest reported.
  static func apply(_ limits: [(limit: RuntimeSpec.Rlimit, number: Int32)], in stage: Stage) throws(LaunchFailure) {
    for (limit, number) in limits {
      do throws(SyscallError) {
        do throws(SyscallError) {
          try Sys.setrlimit(number, soft: limit.soft, hard: limit.hard)
        } catch  where error.errno == .notPermitted {
          let present = try Sys.getrlimit(number)
          let hard = min(limit.hard, present.hard)
          try Sys.setrlimit(number, soft: min(limit.soft, hard), hard: hard)
          stage.warn(
            "\(limit.type): raising the hard limit to \(text(limit.hard)) isn't permitted here, it stays at \(text(hard))"
          )
        }
      } catch {
        throw stage.failure(
          error.errno.rawValue, limit.type, "set \(limit.type) to \(limit.soft):\(limit.hard): \(error.errno)")
      }
    }
  }

  private static func text(_ value: UInt64) -> String { value == .max ? "unlimited" : String(value) }

  private static let numbers: [String: Int32] = [
    "RLIMIT_CPU": 0, "RLIMIT_FSIZE": 1, "RLIMIT_DATA": 2, "RLIMIT_STACK": 3, "RLIMIT_CORE": 4, "RLIMIT_RSS": 5,
    "RLIMIT_NPROC": 6, "RLIMIT_NOFILE": 7, "RLIMIT_MEMLOCK": 8, "RLIMIT_AS": 9, "RLIMIT_LOCKS": 10,
    "RLIMIT_SIGPENDING": 11,
    "RLIMIT_MSGQUEUE": 12, "RLIMIT_NICE": 13, "RLIMIT_RTPRIO": 14, "RLIMIT_RTTIME": 15,
  ]
}
