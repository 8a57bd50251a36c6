import CLinux
import Kernel

/// Finds the program as Go's exec.LookPath does, whose words Docker's clients know.
enum ProgramLookup {
  /// The path to execute. `environment` is the process's own.
  static func find(_ name: String, environment: [String], stage: Stage) throws(LaunchFailure) -> String {
    if name.contains("/") {
      do throws(SyscallError) {
        try check(name)
        return name
      } catch {
        let reason = error.errno == .noSuchFile ? "stat \(name): no such file or directory" : "\(error.errno)"
        throw stage.failure(error.errno.rawValue, name, "exec: \"\(name)\": \(reason)")
      }
    }
    let path = environment.last { $0.hasPrefix("PATH=") }?.dropFirst(5) ?? ""
    for directory in path.split(separator: ":", omittingEmptySubsequences: false) where !name.isEmpty && !path.isEmpty {
      let candidate = (directory.isEmpty ? "." : directory) + "/" + name
      do throws(SyscallError) {
        try check(String(candidate))
        return String(candidate)
      } catch { continue }
    }
    throw stage.failure(ENOENT, name, "exec: \"\(name)\": executable file not found in $PATH")
  }

  /// What exec itself says, in the same words.
  static func failure(_ error: SyscallError, _ path: String, _ name: String, stage: Stage) -> LaunchFailure {
    let message =
      switch error.errno {
      case .permissionDenied: "exec: \"\(name)\": permission denied"
      default: "exec \(path): \(error.errno)"
      }
    return stage.failure(error.errno.rawValue, path, message)
  }

  private static func check(_ path: String) throws(SyscallError) {
    let status = try Sys.status(path)
    guard status.st_mode & 0o170000 != 0o040000 else { throw SyscallError("exec", path, .isDirectory) }
    // AT_EACCESS is answered by faccessat2 (Linux 5.8) for the ids that exec will have.
    do throws(SyscallError) {
      try Sys.retrying("access", path) { faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) }
    } catch  where Sys.isMissing(error.errno) {
      // Real and effective ids are the same by now.
      try Sys.retrying("access", path) { cl_faccessat(AT_FDCWD, path, X_OK) }
    }
    guard status.st_mode & 0o111 != 0 else { throw SyscallError("exec", path, .permissionDenied) }
  }
}
