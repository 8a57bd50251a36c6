/// Linux's system calls, a typed function each.
///
/// Owns: `Descriptor` (a file descriptor that closes itself), `SyscallError` (which call failed on which object, and how) and
/// `Sys`, a namespace of the calls. EINTR is retried in one place (`Sys.retrying`). Every descriptor is close-on-exec.
///
/// Must not: hold state, allocate behind a call that is documented as safe between clone and exec, or know of containers.
public enum Kernel {
  /// `major.minor` of the running kernel, e.g. (6, 18).
  public static func version() throws(SyscallError) -> (major: Int, minor: Int) {
    let release = try Sys.uname().release
    let parts = release.split(whereSeparator: { !$0.isNumber })
    return (parts.first.flatMap { Int($0) } ?? 0, parts.dropFirst().first.flatMap { Int($0) } ?? 0)
  }
}
