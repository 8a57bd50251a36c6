/// The table of commands: top-level verbs, and groups that hold the same ones under their objects.
enum CommandTree {
  struct Entry: Sendable {
    let name: String
    var aliases: [String] = []
    var hidden = false
    let make: @Sendable () -> Command
  }

  struct Group: Sendable {
    let name: String
    let summary: String
    let commands: [Entry]

    func find(_ name: String) -> Entry? { commands.first { $0.name == name || $0.aliases.contains(name) } }
  }

  /// What the first words of a command line name.
  struct Found {
    let path: String
    var command: Command?
    var group: Group?
    let rest: ArraySlice<String>
  }

  static let globalFlags = [
    Flag(.string, "config", "Location of client config files"),
    Flag(.string, "context", short: "c", hidden: true, "Name of the context to use to connect to the daemon"),
    Flag(.bool, "debug", short: "D", "Enable debug mode"),
    Flag(.list, "host", short: "H", "Daemon socket to connect to"),
    Flag(
      .string, "log-level", short: "l", default: "info",
      "Set the logging level (\"debug\", \"info\", \"warn\", \"error\", \"fatal\")"),
    // A unix socket has no TLS; clients' scripts may say so all the same.
    Flag(.bool, "tls", hidden: true, "Use TLS; implied by --tlsverify"),
    Flag(.string, "tlscacert", hidden: true, "Trust certs signed only by this CA"),
    Flag(.string, "tlscert", hidden: true, "Path to TLS certificate file"),
    Flag(.string, "tlskey", hidden: true, "Path to TLS key file"),
    Flag(.bool, "tlsverify", hidden: true, "Use TLS and verify the remote"),
    Flag(.bool, "version", short: "v", "Print version information and quit"),
  ]

  /// Shown first in help, in this order.
  static let common = ["run", "exec", "ps", "pull", "push", "images", "search", "version", "info"]

  private static let attach = Entry(name: "attach") { .attach }
  private static let commit = Entry(name: "commit") { .commit }
  private static let cp = Entry(name: "cp") { .cp }
  private static let create = Entry(name: "create") { .create }
  private static let diff = Entry(name: "diff") { .diff }
  private static let events = Entry(name: "events") { .events }
  private static let exec = Entry(name: "exec") { .exec }
  private static let export = Entry(name: "export") { .export }
  private static let history = Entry(name: "history") { .history }
  private static let `import` = Entry(name: "import") { .import }
  private static let info = Entry(name: "info") { .info }
  private static let kill = Entry(name: "kill") { .kill }
  private static let load = Entry(name: "load") { .load }
  private static let logs = Entry(name: "logs") { .logs }
  private static let pause = Entry(name: "pause") { .pause }
  private static let port = Entry(name: "port") { .port }
  private static let pull = Entry(name: "pull") { .pull }
  private static let push = Entry(name: "push") { .push }
  private static let rename = Entry(name: "rename") { .rename }
  private static let restart = Entry(name: "restart") { .restart }
  private static let rm = Entry(name: "rm", aliases: ["remove"]) { .rm }
  private static let run = Entry(name: "run") { .run }
  private static let save = Entry(name: "save") { .save }
  private static let start = Entry(name: "start") { .start }
  private static let stats = Entry(name: "stats") { .stats }
  private static let stop = Entry(name: "stop") { .stop }
  private static let tag = Entry(name: "tag") { .tag }
  private static let top = Entry(name: "top") { .top }
  private static let unpause = Entry(name: "unpause") { .unpause }
  private static let update = Entry(name: "update") { .update }
  private static let wait = Entry(name: "wait") { .wait }

  static let commands: [Entry] = [
    attach, commit, cp, create, diff, events, exec, export, history, Entry(name: "images") { .images }, `import`, info,
    Entry(name: "inspect") { .inspect }, kill, load, Entry(name: "login") { .login }, Entry(name: "logout") { .logout },
    logs,
    pause, port, Entry(name: "ps") { .ps }, pull, push, rename,
    restart, rm,
    Entry(name: "rmi") { .rmi }, run, save, Entry(name: "search") { .search }, start, stats, stop, tag, top, unpause,
    update,
    Entry(name: "version") { .version }, wait, Entry(name: "completion", hidden: true) { .completion },
    Entry(name: "docs", hidden: true) { .docs },
  ]

  static let groups: [Group] = [
    Group(
      name: "container", summary: "Manage containers",
      commands: [
        attach, commit, cp, create, diff, exec, export, Entry(name: "inspect") { .containerInspect }, kill, logs,
        Entry(name: "ls", aliases: ["ps", "list"]) { .ps }, pause, port, Entry(name: "prune") { .containerPrune },
        rename, restart,
        rm, run, start, stats, stop, top, unpause, update, wait,
      ]),
    Group(
      name: "image", summary: "Manage images",
      commands: [
        history, `import`, Entry(name: "inspect") { .imageInspect }, load,
        Entry(name: "ls", aliases: ["list"]) { .images },
        Entry(name: "prune") { .imagePrune }, pull, push, Entry(name: "rm", aliases: ["rmi", "remove"]) { .rmi }, save,
        tag,
      ]),
    Group(
      name: "manifest", summary: "Show manifests and manifest lists of registries",
      commands: [Entry(name: "inspect") { .manifestInspect }, Entry(name: "referrers") { .manifestReferrers }]),
    Group(
      name: "network", summary: "Manage networks",
      commands: [
        Entry(name: "audit") { .networkAudit }, Entry(name: "connect") { .networkConnect },
        Entry(name: "create") { .networkCreate },
        Entry(name: "disconnect") { .networkDisconnect }, Entry(name: "inspect") { .networkInspect },
        Entry(name: "ls", aliases: ["list"]) { .networkLs }, Entry(name: "prune") { .networkPrune },
        Entry(name: "rm", aliases: ["remove"]) { .networkRm },
      ]),
    Group(
      name: "system", summary: "Manage Berth",
      commands: [
        Entry(name: "check") { .systemCheck }, Entry(name: "df") { .systemDf }, events, info,
        Entry(name: "prune") { .systemPrune },
      ]),
    Group(
      name: "volume", summary: "Manage volumes",
      commands: [
        Entry(name: "clone") { .volumeClone }, Entry(name: "create") { .volumeCreate },
        Entry(name: "export") { .volumeExport }, Entry(name: "import") { .volumeImport },
        Entry(name: "inspect") { .volumeInspect },
        Entry(name: "ls", aliases: ["list"]) { .volumeLs }, Entry(name: "prune") { .volumePrune },
        Entry(name: "rename") { .volumeRename }, Entry(name: "restore") { .volumeRestore },
        Entry(name: "rm", aliases: ["remove"]) { .volumeRm }, Entry(name: "snapshot") { .volumeSnapshot },
        Entry(name: "snapshots") { .volumeSnapshots }, Entry(name: "undelete") { .volumeUndelete },
        Entry(name: "update") { .volumeUpdate },
      ]),
  ]

  /// Nil when the first word names nothing. A group whose second word names nothing has no command and the word in
  /// `rest`.
  static func find(_ words: ArraySlice<String>) -> Found? {
    guard let first = words.first else { return Found(path: "berth", rest: []) }
    let rest = words.dropFirst()
    if let entry = commands.first(where: { $0.name == first }) {
      return Found(path: "berth \(first)", command: entry.make(), rest: rest)
    }
    guard let group = groups.first(where: { $0.name == first }) else { return nil }
    if let second = rest.first, let entry = group.find(second) {
      return Found(path: "berth \(first) \(second)", command: entry.make(), rest: rest.dropFirst())
    }
    return Found(path: "berth \(first)", group: group, rest: rest)
  }

  /// Docker's commands that there is nothing behind, and what to do instead.
  private static let absent: [String: String] = [
    "build": "images can't be built yet: build elsewhere, save the image, and `berth load` it here",
    "builder": "images can't be built yet: there is no build cache",
    "checkpoint": "checkpoints are not built yet",
    "compose": "compose is a plugin that isn't installed: put docker-compose into ~/.docker/cli-plugins",
    "buildx": "buildx is a plugin that isn't installed, and images can't be built yet",
    "context": "contexts are not supported: choose the daemon by -H, BERTH_HOST or DOCKER_HOST",
    "plugin": "plugins of the daemon are not supported",
    "trust": "content trust is not supported",
  ]
  private static let swarm: Set<String> = ["config", "node", "secret", "service", "stack", "swarm"]

  static func unknown(_ words: ArraySlice<String>) -> CommandFailure {
    let word = words.first ?? ""
    if let reason = absent[word] { return CommandFailure("berth \(word): \(reason)") }
    if swarm.contains(word) {
      return CommandFailure("berth \(word): swarm is not supported: run Kubernetes for more than one host")
    }
    return CommandFailure(
      "berth: unknown command: berth \(words.first ?? "")\n\nRun 'berth --help' for more information")
  }
}
