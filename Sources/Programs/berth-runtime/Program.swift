import CLinux
import Kernel

/// The OCI runtime's command line, runc's: over `ContainerRuntime`, which `berth-shim` uses directly.
///
/// Only `--version` is there yet. Everything else is refused with status 1 and says so, for callers must not take a container
/// for started.
@main struct Program {
  static func main() {
    switch CommandLine.arguments.dropFirst().first {
    case "--version", "-v":
      try? Sys.writeAll(1, "berth-runtime version 0.1.0\nspec: 1.2.0\n")
    // No closure here: `main` is the main actor's, and a closure would bring the concurrency runtime along to check that.
    case let command?: refuse("\"\(command)\"")
    case nil: refuse("running without a command")
    }
  }

  private static func refuse(_ what: String) -> Never {
    try? Sys.writeAll(2, "berth-runtime: \(what) is not built yet\n")
    exit(1)
  }
}
