import CLinux
import Kernel

/// Pid 1 of a container with `--init`: passes signals on, reaps, and ends as its child did.
///
/// The caller has blocked all signals. It is the init stage going on, with no exec of anything: there is no file of it in the container. It holds no descriptors,
/// has the program's capabilities and no more, and can't be attached to (it is not dumpable).
enum TinyInit {
  static func run(child: pid_t) -> Never {
    _ = try? Sys.prctl(15, UInt(bitPattern: name))  // PR_SET_NAME
    _ = try? Sys.closeRange(from: 0)
    // In the host's pid namespace we aren't pid 1: orphans come to us only so.
    if getpid() != 1 { _ = try? Sys.prctl(36, 1) }  // PR_SET_CHILD_SUBREAPER
    while true {
      if let code = reap(child) { _exit(code) }
      guard let signal = try? Sys.waitForSignal() else { continue }
      // What the terminal or a child sends to init itself means nothing to the program.
      if signal == SIGCHLD || signal == SIGTTIN || signal == SIGTTOU { continue }
      _ = try? Sys.kill(child, signal)
    }
  }

  private static let name: Int = {
    let text: StaticString = "init\0"
    return Int(bitPattern: text.utf8Start)
  }()

  /// Reaps all that ended; the code if the child was among them.
  private static func reap(_ child: pid_t) -> Int32? {
    while let ended = try? Sys.waitAny() {
      if ended.pid == child { return ended.exit.code }
    }
    return nil
  }
}
