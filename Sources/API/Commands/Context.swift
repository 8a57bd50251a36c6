import CLinux
import EngineClient
import Kernel

/// What a run of the program shares: its output, its environment, its connection.
final class Context {
  let output = Output()
  private(set) var debug = false
  private var hostText: String?
  private var connected: EngineClient?

  func setGlobals(_ values: FlagValues) throws {
    debug = values.bool("debug")
    let level = values.string("log-level")
    guard ["panic", "fatal", "error", "warn", "warning", "info", "debug", "trace"].contains(level.lowercased()) else {
      throw CommandFailure("Unable to parse logging level: \(level)")
    }
    let hosts = values.list("host")
    guard hosts.count <= 1 else { throw CommandFailure("specify only one -H", status: 1) }
    hostText = hosts.first
  }

  /// The address that the user chose by -H, BERTH_HOST or DOCKER_HOST; nil: the default.
  var chosenHost: String? {
    for text in [hostText, Context.environment("BERTH_HOST"), Context.environment("DOCKER_HOST")] {
      if let text, !text.isEmpty { return text }
    }
    return nil
  }

  /// The path of the daemon's socket.
  var socketPath: String {
    get throws { try chosenHost.map { try Context.host($0) }?.path ?? Host.standard.path }
  }

  /// The daemon's address with its scheme.
  var address: String { get throws { try chosenHost.map { try Context.host($0) }?.address ?? Host.standard.address } }

  private static func host(_ text: String) throws -> Host {
    do throws(HostError) { return try Host(parsing: text) } catch { throw CommandFailure(error.description) }
  }

  /// The daemon, connected; started first when it is the default one and doesn't run.
  var client: EngineClient {
    get throws {
      if let connected { return connected }
      let version = Context.environment("DOCKER_API_VERSION").flatMap { $0.isEmpty ? nil : $0 }
      let client: EngineClient
      if let text = chosenHost {
        client = EngineClient(host: try Context.host(text), apiVersion: version)
      } else {
        client = EngineClient(host: .standard, apiVersion: version)
        do {
          try client.connect()
        } catch ClientError.cannotConnect(let host, let error) {
          try DaemonStart(host: host).run(after: error, client: client, debug: debug)
        }
      }
      connected = client
      return client
    }
  }

  func printError(_ text: String) {
    do throws(SyscallError) { try Output.write(2, Array((text + "\n").utf8)[...]) } catch {
      // Nobody reads our errors: nothing is left to tell it to.
    }
  }

  static func environment(_ name: String) -> String? { getenv(name).map { String(cString: $0) } }
}
