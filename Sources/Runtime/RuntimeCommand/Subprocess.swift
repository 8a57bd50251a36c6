import CLinux
import Kernel

/// A program of the host's that is run to its end: `ps`, `criu`.
enum Subprocess {
  static func output(_ words: [String]) throws(CommandError) -> String {
    let (pid, output) = try attempt("run \(words[0])") { () throws(SyscallError) in
      let pipe = try Sys.pipe()
      let reader = Descriptor(owning: pipe.read)
      let writer = Descriptor(owning: pipe.write)
      let pid = try spawn(words, output: writer.raw)
      return (pid, SharedDescriptor(reader))
    }
    return try attempt("run \(words[0])") { () throws(SyscallError) in
      let text = String(decoding: try Sys.readAll(output.raw), as: UTF8.self)
      let status = try wait(pid)
      guard status == 0 else { throw SyscallError(words[0], "exit status \(status)", .invalidArgument) }
      return text
    }
  }

  /// With our own standard streams; answers the exit status.
  static func run(_ words: [String]) throws(CommandError) -> Int32 {
    try attempt("run \(words[0])") { () throws(SyscallError) in try wait(try spawn(words, output: nil)) }
  }

  private static func wait(_ pid: pid_t) throws(SyscallError) -> Int32 {
    var status: Int32 = 0
    try Sys.retrying("waitpid", "\(pid)") { waitpid(pid, &status, 0) }
    return cl_wifexited(status) != 0 ? cl_wexitstatus(status) : 128 + cl_wtermsig(status)
  }

  private static func spawn(_ words: [String], output: Int32?) throws(SyscallError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    if let output { posix_spawn_file_actions_adddup2(&actions, output, 1) }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    var arguments: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for argument in arguments { free(argument) } }
    var pid: pid_t = 0
    let result = posix_spawnp(&pid, words[0], &actions, nil, &arguments, cl_environ())
    guard result == 0 else { throw SyscallError("posix_spawn", words[0], Errno(rawValue: result)) }
    return pid
  }
}
