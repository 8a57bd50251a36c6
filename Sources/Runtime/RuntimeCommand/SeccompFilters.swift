import Kernel
import OCI
import Seccomp

/// Compiled filters, kept by their profile's content: engines give all their containers the same one.
enum SeccompFilters {
  /// The file of the compiled form; compiled now if it isn't there yet.
  static func path(_ profile: RuntimeSpec.Seccomp, root: String) throws(CommandError) -> String {
    let directory = root + "/.seccomp"
    let path = "\(directory)/\(Seccomp.key(profile)).bpf"
    guard !Sys.exists(path) else { return path }
    let program: SeccompProgram
    do throws(SeccompError) { program = try Seccomp.compile(profile) } catch {
      throw CommandError("linux.seccomp: \(error.message)")
    }
    try attempt("keep the seccomp filter") { () throws(SyscallError) in
      try Sys.mkdirAll(directory, mode: 0o700)
      // Two at once write the same bytes; each renames its own file.
      let temporary = "\(path).\(Sys.realtimeNanoseconds())"
      try Sys.replaceFile(temporary, with: program.bytes, mode: 0o600, durable: false)
      try Sys.rename(temporary, to: path)
    }
    return path
  }
}
