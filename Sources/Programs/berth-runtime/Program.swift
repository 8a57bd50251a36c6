import CLinux
import RuntimeCommand

/// The OCI runtime with runc's command line.
@main struct Program {
  static func main() { exit(RuntimeCommand.main(CommandLine.arguments)) }
}
