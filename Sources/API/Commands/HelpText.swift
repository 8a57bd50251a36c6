import CLinux
import Kernel
import Terminal

/// The help of commands in docker's layout.
enum HelpText {
  static func of(_ found: CommandTree.Found) -> String {
    if let command = found.command { return of(command, path: found.path) }
    if let group = found.group { return of(group, path: found.path) }
    return root()
  }

  static func of(_ command: Command, path: String) -> String {
    var text = "Usage:  \(command.useLine(path))\n\n\(command.description ?? command.summary)\n"
    if !command.aliases.isEmpty {
      text += "\nAliases:\n  \(command.aliases.map { "berth \($0)" }.joined(separator: ", "))\n"
    }
    let options = flags(command.flags)
    if !options.isEmpty { text += "\nOptions:\n\(options)" }
    return text
  }

  static func of(_ group: CommandTree.Group, path: String) -> String {
    var text = "Usage:  \(path) COMMAND\n\n\(group.summary)\n\nCommands:\n"
    text += list(group.commands.filter { !$0.hidden }.map { ($0.name, $0.make().summary) })
    return text + "\nRun '\(path) COMMAND --help' for more information on a command.\n"
  }

  static func root() -> String {
    let entries = CommandTree.commands.filter { !$0.hidden }
    let common = CommandTree.common.compactMap { name in entries.first { $0.name == name } }
    let others = entries.filter { entry in !CommandTree.common.contains(entry.name) }
    return "Usage:  berth [OPTIONS] COMMAND\n\nA small, fast container engine\n"
      + "\nCommon Commands:\n" + list(common.map { ($0.name, $0.make().summary) })
      + "\nManagement Commands:\n" + list(CommandTree.groups.map { ($0.name, $0.summary) })
      + "\nCommands:\n" + list(others.map { ($0.name, $0.make().summary) })
      + "\nGlobal Options:\n" + flags(CommandTree.globalFlags)
      + "\nRun 'berth COMMAND --help' for more information on a command.\n"
  }

  private static func list(_ rows: [(String, String)]) -> String {
    let width = max(11, rows.map(\.0.count).max() ?? 0)
    return rows.map { "  \($0.0)\(String(repeating: " ", count: width - $0.0.count + 1))\($0.1)\n" }.joined()
  }

  /// The options, aligned, wrapped to the terminal's width (80 when there is none) as pflag does.
  static func flags(_ flags: [Flag]) -> String {
    let shown = flags.filter { !$0.hidden }.sorted { $0.name < $1.name }
    let heads = shown.map { flag in
      (flag.short.map { "  -\($0), --\(flag.name)" } ?? "      --\(flag.name)")
        + (flag.kind == .bool ? "" : " \(flag.kind.rawValue)")
    }
    let indent = (heads.map(\.count).max() ?? 0) + 3
    let width = (terminalWidth() ?? 80) - 1
    var text = ""
    for (flag, head) in zip(shown, heads) {
      var help = flag.help
      if !flag.defaultText.isEmpty {
        help += flag.kind == .string ? " (default \"\(flag.defaultText)\")" : " (default \(flag.defaultText))"
      }
      text +=
        head + String(repeating: " ", count: indent - head.count) + wrap(help, indent: indent, width: width) + "\n"
    }
    return text
  }

  private static func terminalWidth() -> Int? {
    (try? WindowSize(of: 0)).map { Int($0.width) }
  }

  /// pflag's `wrap`: the first line is indented already.
  static func wrap(_ text: String, indent: Int, width: Int) -> String {
    var indent = indent
    var room = width - indent
    var output = ""
    var rest = Array(text.utf8)[...]
    if room < 24 {
      indent = 16
      room = width - indent
      output += "\n" + String(repeating: " ", count: indent)
    }
    let margin = String(repeating: " ", count: indent)
    func indented(_ line: ArraySlice<UInt8>) -> String {
      String(decoding: line, as: UTF8.self).split(separator: "\n", omittingEmptySubsequences: false).joined(
        separator: "\n" + margin)
    }
    if room < 24 { return output + indented(rest) }
    let slop = 5
    room -= slop
    output += indented(takeLine(&rest, room, slop))
    while !rest.isEmpty { output += "\n" + margin + indented(takeLine(&rest, room, slop)) }
    return output
  }

  private static func takeLine(_ rest: inout ArraySlice<UInt8>, _ room: Int, _ slop: Int) -> ArraySlice<UInt8> {
    func all() -> ArraySlice<UInt8> {
      defer { rest = [] }
      return rest
    }
    guard room + slop <= rest.count else { return all() }
    let head = rest.prefix(room)
    guard let space = head.lastIndex(where: { $0 == 0x20 || $0 == 0x09 || $0 == 0x0A }), space > head.startIndex else {
      return all()
    }
    var cut = space
    if let newLine = head.lastIndex(of: 0x0A), newLine > head.startIndex, newLine < space { cut = newLine }
    defer { rest = rest[(cut + 1)...] }
    return rest[..<cut]
  }
}
