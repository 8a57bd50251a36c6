/// One option of a command.
struct Flag: Sendable {
  /// What values it takes; the raw value is what help shows after its name.
  enum Kind: String, Sendable {
    case bool
    case string
    case list
    /// A list whose values may hold several, divided by commas.
    case strings
    case int
    case uint
    case uint16
    case bytes
    case decimal
    case duration
    case map
    case filter
    case mount
    case network
    case ulimit
    case gpuRequest = "gpu-request"
  }

  let kind: Kind
  let name: String
  let short: Character?
  /// As help shows it; empty when it is the kind's zero.
  let defaultText: String
  let help: String
  let hidden: Bool

  init(
    _ kind: Kind, _ name: String, short: Character? = nil, default: String = "", hidden: Bool = false, _ help: String
  ) {
    self.kind = kind
    self.name = name
    self.short = short
    defaultText = `default`
    self.help = help
    self.hidden = hidden
  }

  /// `-m, --memory`, as errors name it.
  var title: String { short.map { "-\($0), --\(name)" } ?? "--\(name)" }

  /// Why the text is no value of this kind, in Go's words; nil when it is one.
  func complaint(_ text: String) -> String? {
    switch kind {
    case .bool:
      return GoNumber.bool(text) == nil ? "strconv.ParseBool: parsing \(GoText.quote(text)): invalid syntax" : nil
    case .int: return GoNumber.complaint(text, bits: 64, signed: true)
    case .uint: return GoNumber.complaint(text, bits: 64, signed: false)
    case .uint16: return GoNumber.complaint(text, bits: 16, signed: false)
    case .bytes:
      if name == "memory-swap" && text == "-1" { return nil }
      return ByteSize.complaint(text)
    case .duration: return GoDuration.parse(text) == nil ? "time: invalid duration \(GoText.quote(text))" : nil
    case .decimal: return Decimal.nano(text) == nil ? "failed to parse \(text) as a rational number" : nil
    case .filter: return text.contains("=") ? nil : "bad format of filter (expected name=value)"
    case .mount: return Flag.failure { _ = try MountOption.parse(text) }
    case .network: return Flag.failure { _ = try NetworkOption(parsing: text) }
    case .ulimit: return Flag.failure { _ = try DeviceOptions.ulimit(text) }
    case .gpuRequest: return Flag.failure { _ = try DeviceOptions.gpus(text) }
    case .map where name == "sysctl": return Flag.isSysctl(text) ? nil : "sysctl '\(text)' is not allowed"
    case .list: return listComplaint(text)
    default: return nil
    }
  }

  /// Lists whose values docker's parser looks at.
  private func listComplaint(_ text: String) -> String? {
    switch name {
    case "attach":
      let isStream = ["stdin", "stdout", "stderr"].contains(text.lowercased())
      return isStream ? nil : "valid streams are STDIN, STDOUT and STDERR"
    case "blkio-weight-device": return Flag.failure { _ = try DeviceOptions.weight(text) }
    case "device-read-bps", "device-write-bps":
      return Flag.failure { _ = try DeviceOptions.throttle(text, bytes: true) }
    case "device-read-iops", "device-write-iops":
      return Flag.failure { _ = try DeviceOptions.throttle(text, bytes: false) }
    case "device-cgroup-rule": return Flag.failure { _ = try DeviceOptions.rule(text) }
    case "env": return text.isEmpty || text.hasPrefix("=") ? "invalid environment variable: \(text)" : nil
    case "label": return text.hasPrefix("=") ? "invalid label '\(text)': empty name" : nil
    case "dns":
      return InternetAddress.isValid(text.trimmed()) ? nil : "IP address is not correctly formatted: \(text.trimmed())"
    case "add-host":
      let (host, address) = text.cut(text.contains("=") ? "=" : ":")
      guard let address, !host.isEmpty else { return "bad format for add-host: \(GoText.quote(text))" }
      let bare = address.hasPrefix("[") && address.hasSuffix("]") ? String(address.dropFirst().dropLast()) : address
      let isAddress = bare == "host-gateway" || InternetAddress.isValid(bare)
      return isAddress ? nil : "invalid IP address in add-host: \(GoText.quote(address))"
    default: return nil
    }
  }

  /// The sysctls of a container's own namespaces.
  private static func isSysctl(_ text: String) -> Bool {
    let (name, value) = text.cut("=")
    guard value != nil else { return false }
    let known = [
      "kernel.msgmax", "kernel.msgmnb", "kernel.msgmni", "kernel.sem", "kernel.shmall", "kernel.shmmax",
      "kernel.shmmni",
      "kernel.shm_rmid_forced", "kernel.domainname", "kernel.hostname",
    ]
    return known.contains(name) || name.hasPrefix("net.") || name.hasPrefix("fs.mqueue.")
  }

  private static func failure(_ body: () throws -> Void) -> String? {
    do { try body() } catch { return (error as? CommandFailure)?.message ?? "\(error)" }
    return nil
  }

  static let formatHelp = """
    Format output using a custom template:
    'table':            Print output in table format with column headers (default)
    'table TEMPLATE':   Print output in table format using the given Go template
    'json':             Print in JSON format
    'TEMPLATE':         Print output using the given Go template.
    Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates
    """
  static let inspectFormatHelp = """
    Format output using a custom template:
    'json':             Print in JSON format
    'TEMPLATE':         Print output using the given Go template.
    Refer to https://docs.docker.com/go/formatting/ for more information about formatting output with templates
    """
}
