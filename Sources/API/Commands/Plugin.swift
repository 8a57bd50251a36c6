import CLinux
import EngineClient
import Kernel
import OCI

/// A plugin of docker's command line, `docker-compose` for `compose`: run in our place with the same words, on our daemon.
///
/// Docker's protocol (cli-plugins/manager): an executable `docker-NAME` in one of its folders gets the command line, the name of the program
/// that it extends in `DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND`, and the daemon in `DOCKER_HOST`.
struct Plugin {
  let path: String

  /// `nil` when there is none of that name. `config`: `--config`.
  init?(_ name: String, config: String) {
    let isName = !name.isEmpty && name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) }
    guard isName else { return nil }
    for directory in Self.directories(config) {
      let path = "\(directory)/docker-\(name)"
      guard let status = try? Sys.status(path), status.fileType == .regular, access(path, X_OK) == 0 else { continue }
      self.path = path
      return
    }
    return nil
  }

  /// In the order in which docker looks: its settings' own, the user's, the system's.
  private static func directories(_ config: String) -> [String] {
    var home = config
    if home.isEmpty { home = Context.environment("DOCKER_CONFIG") ?? "" }
    if home.isEmpty { home = (Context.environment("HOME") ?? "/root") + "/.docker" }
    var directories: [String] = []
    if let bytes = try? Sys.readFile(home + "/config.json", limit: 1 << 20), let json = try? JSON.parse(bytes) {
      directories = json["cliPluginsExtraDirs"]?.arrayValue?.compactMap(\.stringValue) ?? []
    }
    return directories + [
      home + "/cli-plugins", "/usr/local/lib/docker/cli-plugins", "/usr/local/libexec/docker/cli-plugins",
      "/usr/lib/docker/cli-plugins", "/usr/libexec/docker/cli-plugins",
    ]
  }

  /// Comes back only by throwing.
  func run(_ words: [String], _ context: Context) throws {
    // Starts the daemon when it is ours to start.
    _ = try context.client
    let own: Set = ["DOCKER_HOST", "DOCKER_CONTEXT", "DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND"]
    var variables: [String] = []
    for entry in try Sys.readFile("/proc/self/environ").split(separator: 0) {
      let text = String(decoding: entry, as: UTF8.self)
      if !own.contains(String(text.prefix { $0 != "=" })) { variables.append(text) }
    }
    variables.append("DOCKER_HOST=\(try context.address)")
    variables.append("DOCKER_CLI_PLUGIN_ORIGINAL_CLI_COMMAND=\(CommandLine.arguments.first ?? "berth")")
    context.output.flush()
    let failure = Sys.execve(path, [path] + words, variables)
    throw CommandFailure("\(path): \(failure.errno)")
  }
}
