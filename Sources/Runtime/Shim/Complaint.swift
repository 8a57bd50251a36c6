import CLinux
import Kernel

/// What the shim has to say to whoever reads its standard error: it has no other log.
enum Complaint {
  nonisolated(unsafe) static var container = ""  // SAFETY: set once, at the start of a program with one thread

  static func tell(_ message: String) {
    let line = "berth-shim \(container.prefix(12)): \(message)\n"
    // Nobody is left to tell of a failure of this.
    try? Sys.writeAll(2, line)
  }
}
