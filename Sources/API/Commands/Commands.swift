import CLinux
import EngineClient
import Kernel

/// The commands of `berth`, docker's habits: flags, columns, templates, exit codes and error texts are docker 28's.
///
/// Owns: the table of commands (`CommandTree`), its argument parser (`Flag`, `FlagParser`, `HelpText`), output
/// (`Output`, `TabWriter`, `TableFormat`, `Template`), the reading of a container's options (`ContainerOptions`),
/// attached streams (`AttachedStreams`), and the start of the daemon when none answers (`DaemonStart`). One command a
/// file, named as the verb.
///
/// One thread; poll(2) where several things are awaited. A command that fails throws `CommandFailure` or `ClientError`;
/// only `Commands.main` exits.
///
/// Must not: know how the daemon does anything, import Foundation or NIO, or ask the daemon for what it doesn't need.
public enum Commands {
  /// The version that `berth --version` tells.
  public static let version = "0.1.0"

  /// Runs the program with its arguments (without its own name) and answers the exit status.
  public static func main(_ arguments: [String]) -> Int32 {
    // sendfile(2) to a daemon that closed would kill us; `Output` gives stdout's EPIPE its usual meaning.
    cl_ignore_signal(SIGPIPE)
    let context = Context()
    var status: Int32 = 0
    do {
      try run(arguments, context)
    } catch let failure as CommandFailure {
      context.output.flush()
      if !failure.message.isEmpty { context.printError(failure.message) }
      status = failure.status
    } catch {
      context.output.flush()
      context.printError("\(error)")
      status = 1
    }
    context.output.flush()
    return status
  }

  private static func run(_ arguments: [String], _ context: Context) throws {
    var globals = FlagParser(flags: CommandTree.globalFlags, interspersed: false)
    do throws(FlagError) {
      try globals.parse(arguments)
    } catch {
      throw CommandFailure(
        "\(error)\n\nUsage:  berth [OPTIONS] COMMAND [ARG...]\n\nRun 'berth --help' for more information", status: 125)
    }
    try context.setGlobals(globals.values)
    if globals.values.bool("version") {
      context.output.print("Berth version \(version)\n")
      return
    }
    var words = globals.arguments[...]
    if globals.values.helpRequested || words.isEmpty {
      context.output.print(HelpText.root())
      return
    }
    if words.first == "help" {
      words.removeFirst()
      guard let found = CommandTree.find(words) else {
        throw CommandFailure("unknown help topic: \(words.joined(separator: " "))")
      }
      context.output.print(HelpText.of(found))
      return
    }
    guard let found = CommandTree.find(words) else {
      if let plugin = words.first.flatMap({ Plugin($0, config: globals.values.string("config")) }) {
        try plugin.run(Array(words), context)
      }
      throw CommandTree.unknown(words)
    }
    words = found.rest
    guard let command = found.command else {
      if let word = words.first, !word.hasPrefix("-") {
        throw CommandFailure(
          "berth: unknown command: \(found.path) \(word)\n\nUsage:  \(found.path)\n\nRun '\(found.path) --help' for more information",
          status: 1)
      }
      if words.isEmpty {
        context.printError(String(HelpText.of(found).dropLast()))
      } else {
        context.output.print(HelpText.of(found))
      }
      return
    }
    try execute(command, path: found.path, Array(words), context)
  }

  private static func execute(_ command: Command, path: String, _ words: [String], _ context: Context) throws {
    var parser = FlagParser(flags: command.flags, interspersed: command.interspersed)
    do throws(FlagError) {
      try parser.parse(words)
    } catch {
      throw CommandFailure(
        "\(error)\n\nUsage:  \(command.useLine(path))\n\nRun '\(path) --help' for more information", status: 125)
    }
    if parser.values.helpRequested {
      if parser.deprecatedHelp { context.output.line("Flag shorthand -h has been deprecated, use --help") }
      context.output.print(HelpText.of(command, path: path))
      return
    }
    if let complaint = command.arguments.complaint(parser.arguments.count, path: path, useLine: command.useLine(path)) {
      throw CommandFailure(complaint, status: 1)
    }
    try command.run(Invocation(context: context, path: path, values: parser.values, arguments: parser.arguments))
  }
}
