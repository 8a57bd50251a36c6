import CLinux
import Shim

@main struct Program {
  static func main() { exit(Shim.main(CommandLine.arguments)) }
}
