extension Command {
  static let completion = Command(
    name: "completion", usage: "SHELL",
    summary: "Generate the autocompletion script for the specified shell (bash, zsh, fish)",
    arguments: .exactly(1)
  ) { invocation in
    switch invocation.arguments[0] {
    case "bash": invocation.output.print(CompletionScript.bash)
    case "zsh": invocation.output.print(CompletionScript.zsh)
    case "fish": invocation.output.print(CompletionScript.fish)
    default: throw CommandFailure("unknown shell: \(invocation.arguments[0]) (bash, zsh and fish are known)")
    }
  }
}

/// Scripts for shells, made of the table of commands. Containers and images are asked for by `berth ps` and `berth
/// images`.
private enum CompletionScript {
  /// Each command's words with its flags.
  private static var rows: [(words: String, command: Command)] {
    CommandTree.commands.filter { !$0.hidden }.map { ($0.name, $0.make()) }
      + CommandTree.groups.flatMap { group in group.commands.map { ("\(group.name) \($0.name)", $0.make()) } }
  }

  private static func flags(_ command: Command) -> String {
    (command.flags.filter { !$0.hidden }.map { "--\($0.name)" } + ["--help"]).sorted().joined(separator: " ")
  }

  private static var names: String {
    (CommandTree.commands.filter { !$0.hidden }.map(\.name) + CommandTree.groups.map(\.name) + ["help"]).sorted()
      .joined(separator: " ")
  }

  static var bash: String {
    var text =
      "# bash completion of berth\n_berth() {\n  local current=${COMP_WORDS[COMP_CWORD]} command=\"\" words=\"\" index\n"
    text += "  for ((index = 1; index < COMP_CWORD; index++)); do\n"
    text += "    [[ ${COMP_WORDS[index]} == -* ]] || command=\"${command:+$command }${COMP_WORDS[index]}\"\n  done\n"
    text += "  case \"$command\" in\n    \"\") words=\"\(names)\" ;;\n"
    for group in CommandTree.groups {
      text += "    \(group.name)) words=\"\(group.commands.map(\.name).joined(separator: " "))\" ;;\n"
    }
    for (words, command) in rows {
      text += "    \"\(words)\" | \"\(words) \"*)\n      words=\"\(flags(command))\"\n"
      if command.usage.contains("CONTAINER") {
        text += "      [[ $current == -* ]] || words=\"$(berth ps -a --format '{{.Names}}' 2>/dev/null)\"\n"
      } else if command.usage.contains("IMAGE") {
        text +=
          "      [[ $current == -* ]] || words=\"$(berth images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)\"\n"
      }
      text += "      ;;\n"
    }
    text += "  esac\n  COMPREPLY=($(compgen -W \"$words\" -- \"$current\"))\n}\n"
    return text + "complete -o default -F _berth berth\n"
  }

  static var zsh: String { "#compdef berth\nautoload -U +X bashcompinit && bashcompinit\n" + bash }

  static var fish: String {
    func quoted(_ text: String) -> String { "'" + text.replacing("'", with: "\\'").replacing("\n", with: " ") + "'" }
    var text = "# fish completion of berth\ncomplete -c berth -f\n"
    for entry in CommandTree.commands where !entry.hidden {
      text += "complete -c berth -n __fish_use_subcommand -a \(entry.name) -d \(quoted(entry.make().summary))\n"
    }
    for group in CommandTree.groups {
      text += "complete -c berth -n __fish_use_subcommand -a \(group.name) -d \(quoted(group.summary))\n"
      let names = group.commands.map(\.name).joined(separator: " ")
      for entry in group.commands {
        text +=
          "complete -c berth -n '__fish_seen_subcommand_from \(group.name); and not __fish_seen_subcommand_from \(names)'"
        text += " -a \(entry.name) -d \(quoted(entry.make().summary))\n"
      }
    }
    for (words, command) in rows {
      let condition = words.split(separator: " ").map { "__fish_seen_subcommand_from \($0)" }.joined(
        separator: "; and ")
      for flag in command.flags where !flag.hidden {
        let first = flag.help.split(separator: "\n").first.map(String.init) ?? ""
        text += "complete -c berth -n '\(condition)' -l \(flag.name)\(flag.short.map { " -s \($0)" } ?? "")"
        text += "\(flag.kind == .bool ? "" : " -r") -d \(quoted(first))\n"
      }
      if command.usage.contains("CONTAINER") {
        text += "complete -c berth -n '\(condition)' -a \"(berth ps -a --format '{{.Names}}' 2>/dev/null)\"\n"
      } else if command.usage.contains("IMAGE") {
        text +=
          "complete -c berth -n '\(condition)' -a \"(berth images --format '{{.Repository}}:{{.Tag}}' 2>/dev/null)\"\n"
      }
    }
    return text
  }
}
