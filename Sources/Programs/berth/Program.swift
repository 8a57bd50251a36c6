import CLinux
import Commands

@main
struct Program {
  static func main() {
    exit(Commands.main(Array(CommandLine.arguments.dropFirst())))
  }
}
