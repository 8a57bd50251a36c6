import ContainerRuntime
import Kernel
import OCI
import Seccomp

/// Compiled filters, kept by their profile's content: engines give all their containers the same one.
enum SeccompFilters {
  struct Filter {
    let path: String
    let flags: UInt32
    let listener: SeccompListener?
  }

  /// The file of the compiled form; compiled now if it isn't there yet.
  static func filter(_ profile: RuntimeSpec.Seccomp, root: String) throws(CommandError) -> Filter {
    let directory = root + "/.seccomp"
    let path = "\(directory)/\(Seccomp.key(profile)).bpf"
    do throws(SeccompError) {
      let flags = try Seccomp.flags(profile)
      let listener = try listener(profile, flags)
      if Sys.exists(path) { return Filter(path: path, flags: flags, listener: listener) }
      try keep(try Seccomp.compile(profile), path, in: directory)
      return Filter(path: path, flags: flags, listener: listener)
    } catch { throw CommandError(error.message) }
  }

  /// A path where it is needed, and nowhere else (config-linux.md).
  private static func listener(_ profile: RuntimeSpec.Seccomp, _ flags: UInt32) throws(SeccompError) -> SeccompListener?
  {
    let path = profile.listenerPath ?? ""
    guard !path.isEmpty else {
      guard (profile.listenerMetadata ?? "").isEmpty else {
        throw SeccompError("linux.seccomp.listenerMetadata: there is no listenerPath")
      }
      guard flags & SeccompProgram.newListener == 0 else {
        throw SeccompError("linux.seccomp.listenerPath: is missing, and a rule has SCMP_ACT_NOTIFY")
      }
      return nil
    }
    guard flags & SeccompProgram.newListener != 0 else { return nil }
    guard try Seccomp.allows("sendmsg", profile) else {
      throw SeccompError("linux.seccomp: sendmsg must be allowed, by which the filter is handed to its listener")
    }
    return SeccompListener(path: path, metadata: profile.listenerMetadata)
  }

  private static func keep(_ program: SeccompProgram, _ path: String, in directory: String) throws(SeccompError) {
    do throws(SyscallError) {
      try Sys.mkdirAll(directory, mode: 0o700)
      // Two at once write the same bytes; each renames its own file.
      let temporary = "\(path).\(Sys.realtimeNanoseconds())"
      try Sys.replaceFile(temporary, with: program.bytes, mode: 0o600, durable: false)
      try Sys.rename(temporary, to: path)
    } catch { throw SeccompError("keep the seccomp filter: \(error)") }
  }
}
