import CLinux
import EngineClient
import Kernel

/// Signals that reach us are the container's: they are taken from a signalfd(2) and sent on through the daemon.
final class ProxiedSignals {
  private let descriptor: Descriptor
  private let client: EngineClient
  private let container: String
  private let proxies: Bool
  private var terminations = 0

  private static let names: [Int32: String] = [
    SIGHUP: "HUP", SIGINT: "INT", SIGQUIT: "QUIT", SIGUSR1: "USR1", SIGUSR2: "USR2", SIGALRM: "ALRM", SIGTERM: "TERM",
    SIGCONT: "CONT", SIGTSTP: "TSTP", SIGWINCH: "WINCH",
  ]

  /// `proxy` false: only the terminal's size is watched, and signals do to us what they do.
  init(_ client: EngineClient, container: String, proxy: Bool) throws {
    descriptor = try Sys.signalfd(proxy ? Array(ProxiedSignals.names.keys) : [SIGWINCH])
    self.client = client
    self.container = container
    proxies = proxy
  }

  var fd: Int32 { descriptor.raw }

  /// Takes what has arrived. A daemon that can't pass a signal on is no reason to leave the container.
  func forward(onResize: (() throws -> Void)?) throws {
    while let signal = try next() {
      if signal == SIGWINCH, let onResize {
        try onResize()
      } else if proxies, let name = ProxiedSignals.names[signal] {
        if signal == SIGINT || signal == SIGTERM { terminations += 1 }
        // A container that doesn't mind them must not hold its user.
        guard terminations < 3 else {
          throw CommandFailure("got 3 SIGTERM/SIGINTs, forcefully exiting", status: 1)
        }
        _ = try? client.post("/containers/\(container)/kill", query: ["signal": name])
      }
    }
  }

  private func next() throws -> Int32? {
    var info = signalfd_siginfo()
    do {
      let count = try withUnsafeMutableBytes(of: &info) { try Sys.read(descriptor.raw, $0) }
      return count == MemoryLayout<signalfd_siginfo>.size ? Int32(bitPattern: info.ssi_signo) : nil
    } catch let error as SyscallError where error.errno == .wouldBlock { return nil }
  }
}
