import CLinux
import Kernel

/// A program of the host's, run to its end: for what only it can do, and never on the way of a container's start.
enum HostProgram {
  struct Failure: Error, CustomStringConvertible { let description: String }

  /// Throws with its last line of standard error when its status isn't 0.
  static func run(_ program: String, _ arguments: [String]) throws {
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let pid: pid_t
    do {
      let writer = Descriptor(owning: pipe.write)
      pid = try Sys.spawn(
        program, [program] + arguments, environment: ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"],
        errors: writer.raw)
    }
    let pidfd = try Sys.pidfdOpen(pid)
    let output = Result { try Sys.readAll(reader.raw, limit: 1 << 20) }
    let status = try Sys.wait(pidfd: pidfd.raw)?.code ?? 0
    guard status != 0 else { return }
    let lines = String(decoding: (try? output.get()) ?? [], as: UTF8.self).split(separator: "\n")
    throw Failure(description: "\(program): exit status \(status): \(lines.last ?? "no message")")
  }
}
