import CLinux
import Kernel

extension Command {
  static let docs = Command(
    name: "docs", usage: "DIRECTORY", summary: "Write the manual pages of all commands into a directory",
    arguments: .exactly(1)
  ) { invocation in
    let directory = invocation.arguments[0]
    try Sys.mkdirAll(directory)
    var pages = [("berth", ManualPage.root)]
    for entry in CommandTree.commands where !entry.hidden {
      pages.append(("berth-\(entry.name)", ManualPage.of(entry.make(), path: "berth \(entry.name)")))
    }
    for group in CommandTree.groups {
      for entry in group.commands {
        let path = "berth \(group.name) \(entry.name)"
        pages.append(("berth-\(group.name)-\(entry.name)", ManualPage.of(entry.make(), path: path)))
      }
    }
    for (name, text) in pages {
      try Sys.replaceFile("\(directory)/\(name).1", with: Array(text.utf8), durable: false)
    }
    invocation.output.line("\(pages.count) pages")
  }
}

/// A command's page of section 1 in mdoc(7), made of what its help knows.
private enum ManualPage {
  static var root: String {
    var text = head("berth", "a small, fast container engine")
    text += ".Sh SYNOPSIS\n.Nm berth\n.Op Ar options\n.Ar command\n.Sh DESCRIPTION\n"
    text += ".Nm\nruns containers, with the habits of\n.Xr docker 1 .\n"
    text +=
      "When nothing answers on the default socket it starts\n.Xr berthd 8\nitself.\n.Sh COMMANDS\n.Bl -tag -width Ds\n"
    for entry in CommandTree.commands where !entry.hidden {
      text += ".It Cm \(entry.name)\n\(line(entry.make().summary))"
    }
    for group in CommandTree.groups {
      text += ".It Cm \(group.name)\n\(line(group.summary))"
      text += group.commands.map { ".Cm \($0.name)" }.joined(separator: " ,\n") + " .\n"
    }
    text += ".El\n" + options(CommandTree.globalFlags)
    text += ".Sh ENVIRONMENT\n.Bl -tag -width Ds\n"
    text +=
      ".It Ev BERTH_HOST , DOCKER_HOST\nThe daemon's socket, unless\n.Fl H\nnames one; the first that is set counts.\n"
    text += ".It Ev DOCKER_API_VERSION\nThe version of the API to speak; the daemon's newest by default.\n"
    text += ".It Ev DOCKER_CONFIG\nWhere credentials for registries are, in place of\n.Pa ~/.docker .\n.El\n"
    text += ".Sh FILES\n.Bl -tag -width Ds\n.It Pa /run/berth/berth.sock\nThe default socket.\n"
    return text + ".It Pa /var/log/berthd.log\nWhat a daemon says that\n.Nm\nhas started.\n.El\n" + exit
  }

  static func of(_ command: Command, path: String) -> String {
    var text = head(path.replacing(" ", with: "-"), command.summary)
    text += ".Sh SYNOPSIS\n.Nm \"\(path)\"\n"
    if !command.usage.isEmpty { text += line(command.usage) }
    text += ".Sh DESCRIPTION\n" + line(sentence(command.description ?? command.summary))
    if !command.aliases.isEmpty {
      text +=
        ".Pp\nIt is also known as\n" + command.aliases.map { ".Ic berth \($0)" }.joined(separator: " ,\n") + " .\n"
    }
    return text + options(command.flags) + ".Sh SEE ALSO\n.Xr berth 1\n"
  }

  private static func head(_ name: String, _ summary: String) -> String {
    ".Dd $Mdocdate$\n.Dt \(name.uppercased()) 1\n.Os\n.Sh NAME\n.Nm \(name)\n.Nd \(escaped(summary))\n"
  }

  private static func options(_ flags: [Flag]) -> String {
    let shown = flags.filter { !$0.hidden }.sorted { $0.name < $1.name }
    guard !shown.isEmpty else { return "" }
    var text = ".Sh OPTIONS\n.Bl -tag -width Ds\n"
    for flag in shown {
      let short = flag.short.map { "Fl \($0) , " } ?? ""
      text += ".It \(short)Fl -\(flag.name)\(flag.kind == .bool ? "" : " Ar \(flag.kind.rawValue)")\n"
      text += line(sentence(flag.help.split(separator: "\n").map { $0.trimmed() }.joined(separator: "\n")))
      if !flag.defaultText.isEmpty { text += line("The default is \(flag.defaultText).") }
    }
    return text + ".El\n"
  }

  private static var exit: String {
    ".Sh EXIT STATUS\n.Bl -tag -width Ds\n.It 125\nThe engine failed, or the command line is wrong.\n"
      + ".It 126\nThe container's command can't be run.\n.It 127\nThe container's command isn't there.\n.El\n"
      + "Otherwise\n.Cm run ,\n.Cm exec ,\n.Cm attach\nand\n.Cm start Fl a\nend with the status of the container's command.\n"
  }

  private static func sentence(_ text: String) -> String {
    text.hasSuffix(".") || text.hasSuffix(")") || text.isEmpty ? text : text + "."
  }

  private static func line(_ text: String) -> String {
    text.split(separator: "\n").map { escaped(String($0)) + "\n" }.joined()
  }

  /// Nothing in a text is a request, an escape or a macro.
  private static func escaped(_ text: String) -> String {
    let plain = text.replacing("\\", with: "\\e").replacing("-", with: "\\-")
    return plain.hasPrefix(".") || plain.hasPrefix("'") ? "\\&" + plain : plain
  }
}
