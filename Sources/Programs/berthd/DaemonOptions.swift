import CLinux
import Containers
import Kernel
import Networks
import OCI
import Registry
import Snapshots

/// What the daemon was told on its command line and in its configuration file, with dockerd's names.
struct DaemonOptions {
  var dataRoot = "/var/lib/berth"
  var execRoot = "/run/berth"
  /// Empty: `unix://<exec-root>/berth.sock`.
  var hosts: [String] = []
  /// Empty: `<exec-root>/berthd.pid`.
  var pidFile = ""
  var logLevel = "info"
  var debug = false
  var labels: [String] = []
  var bridge = ""
  var bridgeAddress = ""
  var mtu: Int?
  var defaultBinding = ""
  var addressRange: String?
  var bridgeAddress6: String?
  var addressRange6: String?
  var enablesV6 = false
  var reachesPeers = true
  var masquerades = true
  var setsForwarding = true
  var carries = true
  var respectsHostFirewall = false
  var addressPools: [AddressPoolBase] = []
  var hostGateway: String?
  var dns: [String] = []
  var dnsSearch: [String] = []
  var dnsOptions: [String] = []
  var logDriver = ""
  var logOptions: [String: String] = [:]
  var ulimits: [HostResources.Ulimit] = []
  var usesInit = false
  var noNewPrivileges = false
  /// Bytes; nil: the default.
  var shmSize: Int64?
  /// Of containers that say nothing; empty: the default.
  var ipcMode = ""
  /// `default`, `user[:group]`; empty: containers' ids are the host's.
  var remap = ""
  /// A file with a profile, `builtin` or `unconfined`; empty is `builtin`.
  var seccompProfile = ""
  var registries = Registry.Configuration()
  /// What of the host containers may bind; in the configuration file only.
  var bindPolicy = BindPolicy()
  /// Of removed volumes; nil: the default.
  var volumeTrashHours: Int64?
  var layerFormat = LayerFormat.directory
  var showsVersion = false
  var showsHelp = false

  /// What was set on the command line: the file may not say it again.
  private var given: Set<String> = []
  private var namesCertificates = false

  struct Failure: Error, CustomStringConvertible {
    let description: String
  }

  private enum Kind { case text, list, number, toggle, map, policy, pools }

  /// By the name in the configuration file, which is that of the flag but for lists' plurals.
  private static let known: [String: Kind] = [
    "data-root": .text, "exec-root": .text, "hosts": .list, "pidfile": .text, "log-level": .text, "debug": .toggle,
    "labels": .list, "bridge": .text, "bip": .text, "mtu": .number, "ip": .text,
    "ipv6": .toggle, "bip6": .text, "fixed-cidr": .text, "fixed-cidr-v6": .text, "icc": .toggle, "ip-masq": .toggle,
    "ip-forward": .toggle, "iptables": .toggle, "ip6tables": .toggle, "userland-proxy": .toggle,
    "default-address-pools": .pools, "host-gateway-ip": .text, "host-firewall": .text, "dns": .list,
    "dns-search": .list,
    "dns-opts": .list, "log-driver": .text, "log-opts": .map, "default-ulimits": .map, "init": .toggle,
    "no-new-privileges": .toggle, "seccomp-profile": .text, "registry-mirrors": .list, "insecure-registries": .list,
    "max-concurrent-downloads": .number, "max-concurrent-uploads": .number, "max-download-attempts": .number,
    "default-shm-size": .text, "default-ipc-mode": .text, "userns-remap": .text, "storage-driver": .text,
    "bind-mount-policy": .policy, "volume-trash-hours": .number, "registries-conf": .text,
    "registry-certs-dirs": .list, "signature-policy": .text,
  ]
  private static let plurals = [
    "host": "hosts", "label": "labels", "dns-opt": "dns-opts", "log-opt": "log-opts",
    "default-ulimit": "default-ulimits", "default-address-pool": "default-address-pools",
    "registry-mirror": "registry-mirrors", "insecure-registry": "insecure-registries",
    "registry-certs-dir": "registry-certs-dirs",
  ]
  private static let letters = [
    "H": "host", "D": "debug", "l": "log-level", "b": "bridge", "v": "version", "h": "help",
    "s": "storage-driver",
  ]

  /// Reads flags, then the file, which is `/etc/berth/daemon.json` when there is one and none was named.
  init(_ arguments: [String]) throws {
    var file: String?
    var rest = arguments[...]
    while let argument = rest.popFirst() {
      guard argument.hasPrefix("-"), argument != "-" else {
        throw Failure(description: "unknown argument: \(argument)")
      }
      let isLong = argument.hasPrefix("--")
      let body = argument.drop { $0 == "-" }
      var name = String(body.prefix { $0 != "=" })
      var value =
        body.contains("=") ? String(body[body.index(after: body.firstIndex(of: "=") ?? body.startIndex)...]) : nil
      if !isLong, value == nil, name.count > 1 {
        // -Hunix://…
        value = String(name.dropFirst())
        name = String(name.prefix(1))
      }
      if !isLong { name = Self.letters[name] ?? name }
      if name == "version" {
        showsVersion = true
        continue
      }
      if name == "help" {
        showsHelp = true
        continue
      }
      let key = Self.plurals[name] ?? name
      guard
        name == "config-file"
          || (Self.known[key] != nil && (Self.plurals[name] != nil || !Self.plurals.values.contains(name)))
      else { throw Failure(description: "unknown flag: \(argument)") }
      if Self.known[key] == .toggle {
        try set(toggle: key, try Self.bool(value ?? "true", name))
      } else {
        guard let text = value ?? rest.popFirst() else {
          throw Failure(description: "flag needs an argument: \(argument)")
        }
        if name == "config-file" { file = text } else { try set(key, text, name: "--\(name)") }
      }
      given.insert(key)
    }
    guard !showsHelp, !showsVersion else { return }
    try read(file: file)
    if pidFile.isEmpty { pidFile = "\(execRoot)/berthd.pid" }
    if hosts.isEmpty { hosts = ["unix://\(execRoot)/berth.sock"] }
    for (name, path) in [("data-root", dataRoot), ("exec-root", execRoot)] where !path.hasPrefix("/") {
      throw Failure(description: "\(name) \"\(path)\" isn't an absolute path")
    }
    if debug { logLevel = "debug" }
  }

  private mutating func set(toggle key: String, _ value: Bool) throws {
    switch key {
    case "debug": debug = value
    case "init": usesInit = value
    case "no-new-privileges": noNewPrivileges = value
    case "ipv6": enablesV6 = value
    case "icc": reachesPeers = value
    case "ip-masq": masquerades = value
    case "ip-forward": setsForwarding = value
    case "userland-proxy": carries = value
    case "iptables", "ip6tables":
      guard value else {
        throw Failure(
          description: "\(key)=false is not built: the rules are in a table of Berth's own and touch no others")
      }
    default: break
    }
  }

  private mutating func set(_ key: String, _ text: String, name: String) throws {
    switch key {
    case "data-root": dataRoot = text
    case "exec-root": execRoot = text
    case "hosts": hosts.append(text)
    case "pidfile": pidFile = text
    case "log-level":
      guard ["debug", "info", "warn", "error", "fatal"].contains(text) else {
        throw Failure(description: "invalid logging level: \(text)")
      }
      logLevel = text
    case "labels": labels.append(text)
    case "bridge": bridge = text
    case "bip": bridgeAddress = text
    case "mtu":
      guard let number = Int(text), (68...65535).contains(number) else {
        throw Failure(description: "invalid \(name): \(text) isn't an MTU")
      }
      mtu = number
    case "ip": defaultBinding = text
    case "bip6": bridgeAddress6 = text
    case "fixed-cidr": addressRange = text
    case "fixed-cidr-v6": addressRange6 = text
    case "host-gateway-ip": hostGateway = text
    case "host-firewall":
      guard ["respect", "ignore"].contains(text) else {
        throw Failure(description: "invalid \(name): \"\(text)\" is neither respect nor ignore")
      }
      respectsHostFirewall = text == "respect"
    case "default-address-pools":
      var parts: [String: String] = [:]
      for part in text.split(separator: ",") {
        let pair = part.split(separator: "=", maxSplits: 1).map { $0.filter { !$0.isWhitespace } }
        guard pair.count == 2, ["base", "size"].contains(pair[0].lowercased()) else {
          throw Failure(description: "invalid argument \"\(text)\" for \"\(name)\": must be base=NETWORK,size=PREFIX")
        }
        parts[pair[0].lowercased()] = pair[1]
      }
      addressPools.append(try Self.pool(base: parts["base"] ?? "", size: parts["size"] ?? ""))
    case "dns": dns.append(text)
    case "dns-search": dnsSearch.append(text)
    case "dns-opts": dnsOptions.append(text)
    case "log-driver": logDriver = text
    case "log-opts":
      guard let sign = text.firstIndex(of: "=") else {
        throw Failure(description: "invalid argument \"\(text)\" for \"\(name)\": must be name=value")
      }
      logOptions[String(text[..<sign])] = String(text[text.index(after: sign)...])
    case "default-ulimits": ulimits.append(try Self.ulimit(text, name))
    case "seccomp-profile": seccompProfile = text
    case "default-shm-size":
      guard let size = ByteSize.parse(text), size > 0 else {
        throw Failure(description: "invalid argument \"\(text)\" for \"\(name)\": invalid size: '\(text)'")
      }
      shmSize = size
    case "userns-remap": remap = text
    case "default-ipc-mode":
      guard ["private", "shareable"].contains(text) else {
        throw Failure(
          description: "IPC mode \"\(text)\" is not supported as default value; use \"shareable\" or \"private\"")
      }
      ipcMode = text
    case "storage-driver":
      switch text {
      case "overlay2": layerFormat = .directory
      case "erofs": layerFormat = .erofs
      default: throw Failure(description: "unknown storage driver \(text): it is overlay2 or erofs")
      }
    case "registry-mirrors":
      if let fault = Registry.Configuration.fault(ofMirror: text) { throw Failure(description: fault) }
      registries.mirrors.append(text)
    case "insecure-registries":
      guard !text.contains("://") else {
        throw Failure(description: "insecure registry \(text) should not contain '://'")
      }
      registries.insecure.append(text)
    case "registries-conf":
      guard Sys.exists(text) else { throw Failure(description: "\(name) \"\(text)\": no such file") }
      registries.registriesPath = text
    case "signature-policy":
      guard Sys.exists(text) else { throw Failure(description: "\(name) \"\(text)\": no such file") }
      registries.policyPath = text
    case "registry-certs-dirs":
      // The first that is named replaces those that are looked into by themselves.
      if !namesCertificates { registries.certificates = [] }
      namesCertificates = true
      registries.certificates.append(text)
    case "max-concurrent-downloads": registries.maximumDownloads = try Self.count(text, name)
    case "max-concurrent-uploads": registries.maximumUploads = try Self.count(text, name)
    case "max-download-attempts": registries.attempts = try Self.count(text, name)
    case "volume-trash-hours":
      guard let number = Int64(text), (0...1_000_000).contains(number) else {
        throw Failure(description: "invalid \(name): \(text) isn't a number of hours")
      }
      volumeTrashHours = number
    default: break
    }
  }

  private static func pool(base: String, size: String) throws -> AddressPoolBase {
    guard let number = Int(size) else {
      throw Failure(description: "invalid size \"\(size)\" of default address pool \(base)")
    }
    return try AddressPoolBase(base: base, size: number)
  }

  /// `nofile=SOFT[:HARD]`; -1 is unlimited.
  private static func ulimit(_ text: String, _ name: String) throws -> HostResources.Ulimit {
    let parts = text.split(separator: "=", maxSplits: 1)
    let values = parts.last.map { $0.split(separator: ":", omittingEmptySubsequences: false).map { Int64($0) } } ?? []
    guard parts.count == 2, let soft = values[0], values.count < 3, let hard = values[values.count - 1] else {
      throw Failure(description: "invalid argument \"\(text)\" for \"\(name)\": must be type=soft[:hard]")
    }
    return HostResources.Ulimit(name: String(parts[0]), hard: hard, soft: soft)
  }

  private static func count(_ text: String, _ name: String) throws -> Int {
    guard let number = Int(text), (1...100).contains(number) else {
      throw Failure(description: "invalid \(name): \(text) isn't a number from 1 to 100")
    }
    return number
  }

  /// `{"allowed-roots": […], "denied-paths": […], "read-only-roots": […]}`, absolute paths.
  private static func policy(_ fields: JSONFields) throws -> BindPolicy {
    let known: Set<String> = ["allowed-roots", "denied-paths", "read-only-roots"]
    for (key, _) in fields.object.members where !known.contains(key) {
      throw Failure(description: "bind-mount-policy has no rule \"\(key)\"")
    }
    let policy = BindPolicy(
      allowedRoots: try fields.strings("allowed-roots"), deniedPaths: try fields.strings("denied-paths") ?? [],
      readOnlyRoots: try fields.strings("read-only-roots") ?? [])
    for path in (policy.allowedRoots ?? []) + policy.deniedPaths + policy.readOnlyRoots where !path.hasPrefix("/") {
      throw Failure(description: "bind-mount-policy: \"\(path)\" isn't an absolute path")
    }
    return policy
  }

  private static func bool(_ text: String, _ name: String) throws -> Bool {
    switch text {
    case "true", "1", "t", "T", "TRUE", "True": true
    case "false", "0", "f", "F", "FALSE", "False": false
    default: throw Failure(description: "invalid argument \"\(text)\" for \"--\(name)\"")
    }
  }

  private mutating func read(file: String?) throws {
    let path = file ?? "/etc/berth/daemon.json"
    if file == nil, !Sys.exists(path) { return }
    do {
      let fields = try JSONFields(try JSON.parse(try Sys.readFile(path, limit: 1 << 20)))
      for (key, _) in fields.object.members {
        guard let kind = Self.known[key] else {
          throw Failure(description: "the following directives don't match any configuration option: \(key)")
        }
        guard !given.contains(key) else {
          throw Failure(
            description: "the following directives are specified both as a flag and in the configuration file: \(key)")
        }
        switch kind {
        case .toggle: if let value = try fields.bool(key) { try set(toggle: key, value) }
        case .pools:
          addressPools += try (fields.value(key)?.arrayValue ?? []).map { entry in
            let pool = try JSONFields(entry)
            return try Self.pool(base: try pool.string("base") ?? "", size: try pool.int("size").map { "\($0)" } ?? "")
          }
        case .text: if let text = try fields.string(key) { try set(key, text, name: key) }
        case .number: if let number = try fields.int(key) { try set(key, String(number), name: key) }
        case .list: for text in try fields.strings(key) ?? [] { try set(key, text, name: key) }
        case .policy: if let policy = try fields.fields(key) { bindPolicy = try Self.policy(policy) }
        case .map:
          for (name, value) in try fields.fields(key)?.object.members ?? [] {
            // dockerd's ulimits are objects here: {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}}.
            let text =
              try value.stringValue ?? "\(JSONFields(value).int("Soft") ?? 0):\(JSONFields(value).int("Hard") ?? 0)"
            try set(key, "\(name)=\(text)", name: key)
          }
        }
      }
    } catch {
      throw Failure(description: "unable to configure the daemon with file \(path): \(error)")
    }
  }

  static let help = """
    Usage: berthd [OPTIONS]

    The daemon of the Berth container engine.

    Options:
      -b, --bridge string        Attach containers to this bridge
          --bip string           Address and prefix of the bridge
          --bip6 string          IPv6 address and prefix of the bridge
          --config-file string   Configuration file (default "/etc/berth/daemon.json")
          --data-root string     Root of what lasts (default "/var/lib/berth")
          --default-address-pool list
                                 Where networks have their subnets from: base=NETWORK,size=PREFIX
          --default-ipc-mode string
                                 ipc namespaces of containers that say nothing: "private" or "shareable"
                                 (default "private")
          --default-shm-size bytes
                                 Size of /dev/shm of containers that say nothing (default 64 MiB)
          --default-ulimit list  Limits of containers that set none: type=soft[:hard]
      -D, --debug                Log what happens in detail
          --dns list             DNS servers of containers
          --dns-opt list         DNS options of containers
          --dns-search list      DNS search domains of containers
          --exec-root string     Root of what lasts until the next boot (default "/run/berth")
          --fixed-cidr string    Part of the bridge's subnet that addresses are given out of
          --fixed-cidr-v6 string IPv6 subnet of the bridge
      -H, --host list            Where to listen: unix://PATH, fd://, tcp://LOOPBACK:PORT
          --host-firewall string Whether published ports obey the host's input rules: "respect" or "ignore" (default "ignore")
          --host-gateway-ip string
                                 What host-gateway means in --add-host (default: the bridge's address)
          --icc                  Let containers on the default bridge reach each other (default true)
          --init                 Run an init in containers that forwards signals and reaps processes
          --insecure-registry list
                                 Registries (host:port, or networks) that may go without TLS
          --ip string            Host address of ports that are published without one (default "0.0.0.0")
          --ip-forward           Switch the kernel's forwarding on (default true)
          --ip-masq              Let what leaves the default bridge bear the host's address (default true)
          --ipv6                 The default bridge has IPv6
          --label list           key=value labels of the daemon
      -l, --log-level string     "debug", "info", "warn", "error" (default "info")
          --log-driver string    Where containers' output goes: "json-file" or "none" (default "json-file")
          --log-opt list         name=value options of the log driver, as max-size=10m
          --max-concurrent-downloads int
                                 Layers that are pulled at once (default 3)
          --max-concurrent-uploads int
                                 Layers that are pushed at once (default 5)
          --max-download-attempts int
                                 Attempts of a layer that doesn't come on (default 5)
          --mtu int              MTU of containers' networks
          --no-new-privileges    Containers gain no privileges by set-uid programs, unless they say otherwise
          --pidfile string       File of the daemon's process id
          --seccomp-profile string  Profile of containers that name none: a file, "builtin" or "unconfined"
          --registries-conf string
                                 podman's registries.conf (default "/etc/berth/registries.conf")
          --registry-certs-dir list
                                 Directories of HOST[:PORT]/{*.crt, *.cert, *.key, hosts.toml}
                                 (default "/etc/berth/certs.d", "/etc/docker/certs.d")
      -s, --storage-driver string
                                 How layers are kept: "overlay2", as trees, or "erofs", as they are with an index
                                 that is mounted, which needs Linux 6.12 (default "overlay2")
          --registry-mirror list Mirrors of Docker Hub to pull from first
          --signature-policy string
                                 Whose images may come here, as podman's policy.json (default "/etc/berth/policy.json")
          --userns-remap string  Users of containers are those that /etc/subuid gives this user: "default"
                                 (dockremap) or user[:group]
          --userland-proxy       Carry by the daemon what the kernel can't lead to published ports (default true)
      -v, --version              Print the version and quit
          --volume-trash-hours int  How long removed volumes can be had back (default 24; 0: not at all)
    """
}
