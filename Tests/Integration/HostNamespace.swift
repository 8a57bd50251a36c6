import CLinux
import Kernel
import Testing

/// A host of the test's own: a network namespace for a daemon (`Daemon(host:)`), and a wire to another host in a second one. What a test
/// does to routes, rules and bridges stays there, and goes with its processes.
///
/// ```
/// other host, eth0   198.51.100.2, 2001:db8:51::2, which sends everything else to
/// host, wire0        198.51.100.1, 2001:db8:51::1
/// ```
final class HostNamespace: Sendable {
  static let address = "198.51.100.1"
  static let address6 = "2001:db8:51::1"
  static let otherAddress = "198.51.100.2"
  static let otherAddress6 = "2001:db8:51::2"

  private let host: RunningCommand
  private let other: RunningCommand

  init() throws {
    host = try Self.keep()
    other = try Self.keep()
    let script = """
      set -e
      ip link set lo up
      ip link add wire0 type veth peer name eth0 netns \(other.pid)
      ip addr add \(Self.address)/24 dev wire0
      ip addr add \(Self.address6)/64 dev wire0 nodad
      ip link set wire0 up
      """
    try Self.must(run(["sh", "-c", script]))
    let far = """
      set -e
      ip link set lo up
      ip addr add \(Self.otherAddress)/24 dev eth0
      ip addr add \(Self.otherAddress6)/64 dev eth0 nodad
      ip link set eth0 up
      ip route add default via \(Self.address)
      ip route add default via \(Self.address6)
      """
    try Self.must(runOther(["sh", "-c", far]))
  }

  private static func must(_ result: Command.Result) throws { try #require(result.status == 0, "\(result)") }

  /// A process in a new network namespace, which lasts as long as it.
  private static func keep() throws -> RunningCommand {
    let running = try Command(path: "/usr/bin/unshare").start(["--net", "sh", "-c", "echo; exec sleep 3600"])
    while try running.output().isEmpty { _ = try Command(path: "/bin/sleep").run(["0.01"]) }
    return running
  }

  /// A daemon in it, for the length of `body`.
  static func with<T>(flags: [String] = [], _ body: (HostNamespace, Daemon) throws -> T) throws -> T {
    let host = try HostNamespace()
    return try Daemon.with(flags: flags, through: host.launcher) { try body(host, $0) }
  }

  /// What a program is started by to be there.
  var launcher: [String] { ["/usr/bin/nsenter", "--net=/proc/\(host.pid)/ns/net", "--"] }
  private var otherLauncher: [String] { ["/usr/bin/nsenter", "--net=/proc/\(other.pid)/ns/net", "--"] }

  /// Runs a program on the host.
  func run(_ arguments: [String], input: String? = nil, deadline: UInt64 = 60) throws -> Command.Result {
    try Command(path: launcher[0]).run(Array(launcher.dropFirst()) + arguments, input: input, deadline: deadline)
  }

  /// Runs a program on the other host.
  func runOther(_ arguments: [String], input: String? = nil, deadline: UInt64 = 60) throws -> Command.Result {
    try Command(path: otherLauncher[0]).run(
      Array(otherLauncher.dropFirst()) + arguments, input: input, deadline: deadline)
  }

  /// Starts a program on the other host.
  func startOther(_ arguments: [String]) throws -> RunningCommand {
    try Command(path: otherLauncher[0]).start(Array(otherLauncher.dropFirst()) + arguments)
  }

  /// Starts a program on the host.
  func start(_ arguments: [String]) throws -> RunningCommand {
    try Command(path: launcher[0]).start(Array(launcher.dropFirst()) + arguments)
  }

  // MARK: Who answers

  /// A command of a container: a server that tells its name and whom it sees, once it says `ready` in its log.
  static func teller(_ name: String, port: Int = 80) -> [String] {
    let script = """
      mkdir -p /www/cgi-bin
      printf '#!/bin/sh\\nprintf "Content-Type: text/plain\\\\r\\\\n\\\\r\\\\n\(name) $REMOTE_ADDR"\\n' >/www/cgi-bin/who
      chmod 755 /www/cgi-bin/who
      httpd -p \(port) -h /www && echo ready
      exec sleep 1000
      """
    return ["sh", "-c", script]
  }

  /// The command that asks a teller; one second for those that aren't to answer.
  static func question(_ address: String, port: Int = 80, seconds: Int = 10) -> [String] {
    let place = address.contains(":") ? "[\(address)]" : address
    // wget's own -T crashes in Debian's static busybox
    return [
      "busybox", "timeout", "-s", "KILL", "\(seconds)", "busybox", "wget", "-q", "-O", "-",
      "http://\(place):\(port)/cgi-bin/who",
    ]
  }

  /// `name address`, without the brackets of IPv6; nil when nobody answers.
  static func answer(_ result: Command.Result) -> String? {
    guard result.status == 0 else { return nil }
    return result.line.replacing("[", with: "").replacing("]", with: "").replacing("::ffff:", with: "")
  }
}
