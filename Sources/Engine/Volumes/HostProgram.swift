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
      pid = try spawn(program, arguments, errors: writer.raw)
    }
    let pidfd = try Sys.pidfdOpen(pid)
    let output = Result { try Sys.readAll(reader.raw, limit: 1 << 20) }
    let status = try Sys.wait(pidfd: pidfd.raw)?.code ?? 0
    guard status != 0 else { return }
    let lines = String(decoding: (try? output.get()) ?? [], as: UTF8.self).split(separator: "\n")
    throw Failure(description: "\(program): exit status \(status): \(lines.last ?? "no message")")
  }

  private static func spawn(_ program: String, _ arguments: [String], errors: Int32) throws(SyscallError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    posix_spawn_file_actions_addopen(&actions, 1, "/dev/null", O_WRONLY, 0)
    posix_spawn_file_actions_adddup2(&actions, errors, 2)
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    let words: [UnsafeMutablePointer<CChar>?] = ([program] + arguments).map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let environment: [UnsafeMutablePointer<CChar>?] = [
      strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), strdup("LC_ALL=C.UTF-8"), nil,
    ]
    defer { for variable in environment { free(variable) } }
    var pid: pid_t = 0
    let result = posix_spawn(&pid, program, &actions, nil, words, environment)
    guard result == 0 else { throw SyscallError("posix_spawn", program, Errno(rawValue: result)) }
    return pid
  }
}
