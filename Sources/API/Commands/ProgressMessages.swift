import EngineClient
import OCI
import Terminal

/// Progress of load, pull, push and import, as docker's client shows it: bars on a terminal, plain lines elsewhere.
struct ProgressMessages {
  private let fd: Int32
  private let isTerminal: Bool
  private var lines: [String] = []

  init(fd: Int32) {
    self.fd = fd
    isTerminal = Terminal.isTerminal(fd)
  }

  /// Shows all messages; an error among them is thrown. `quiet`: only errors matter.
  static func show(_ response: Response, fd: Int32, quiet: Bool = false, aside: (JSON) -> Void = { _ in }) throws {
    let stream = JSONStream(response)
    var messages = ProgressMessages(fd: fd)
    while let message = try stream.next() {
      if let error = message["errorDetail"]?["message"]?.stringValue ?? message["error"]?.stringValue {
        throw CommandFailure(error)
      }
      if let value = message["aux"] { aside(value) }
      if !quiet { try messages.show(message) }
    }
  }

  private mutating func show(_ message: JSON) throws {
    let id = message["id"]?.stringValue ?? ""
    let status = message["status"]?.stringValue ?? ""
    let detail = message["progressDetail"]
    let hasProgress = (detail?["current"]?.intValue ?? 0) > 0 || (detail?["total"]?.intValue ?? 0) > 0
    if let stream = message["stream"]?.stringValue {
      try Output.write(fd, Array(stream.utf8)[...])
      return
    }
    guard isTerminal else {
      if !hasProgress, message["aux"] == nil || !status.isEmpty {
        try print((id.isEmpty ? "" : "\(id): ") + status + "\n")
      }
      return
    }
    if message["aux"] != nil && status.isEmpty { return }
    guard !id.isEmpty, detail != nil else {
      try print((id.isEmpty ? "" : "\(id): ") + status + "\n")
      lines = []
      return
    }
    var text = "\(id): \(status)"
    if hasProgress {
      text += " " + bar(current: detail?["current"]?.intValue ?? 0, total: detail?["total"]?.intValue ?? 0)
    }
    guard let index = lines.firstIndex(of: id) else {
      lines.append(id)
      try print("\u{1B}[2K\(text)\n")
      return
    }
    let up = lines.count - index
    try print("\u{1B}[\(up)A\u{1B}[2K\r\(text)\r\u{1B}[\(up)B")
  }

  private func print(_ text: String) throws { try Output.write(fd, Array(text.utf8)[...]) }

  private func bar(current: Int64, total: Int64) -> String {
    let done = HumanUnits.size(Double(current))
    guard total > 0 else { return done }
    let width = (Int((try? WindowSize(of: fd))?.width ?? 80)) > 110 ? 50 : 20
    let filled = Int(min(max(Double(current) / Double(total), 0), 1) * Double(width))
    let head = filled < width ? ">" : ""
    let bar =
      String(repeating: "=", count: filled) + head + String(repeating: " ", count: max(0, width - filled - head.count))
    return "[\(bar)]  \(done)/\(HumanUnits.size(Double(total)))"
  }
}
