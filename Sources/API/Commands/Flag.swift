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
    case .map: return nil
    default: return nil
    }
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
