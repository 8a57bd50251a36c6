public import OCI

/// System call filters: from a profile to a program of classic BPF.
///
/// Owns: the compiler (`compile`), Docker's default profile (`dockerDefault`), the reader of Docker's profile files
/// (`profile(json:)`), the system call numbers of each architecture (`SyscallTable…`, used by the daemon only) and the loading of a
/// program (`load`, all that the shim needs).
///
/// ```
/// <exec-root>/seccomp/<key>.bpf     written by the daemon: the program's `struct sock_filter`s, 8 bytes each, host order
/// ```
///
/// Profiles are pure values and compilation is a pure function: equal profiles give equal programs and equal `key`s.
///
/// Must not: depend on libseccomp (1.3 ms a filter), import Foundation, keep state.
public enum Seccomp {
  /// Compiles a profile for the architecture of this machine and its sub-architectures that the profile names.
  ///
  /// Names that no table knows are left out, as libseccomp's users do. An empty `architectures` means the native one.
  public static func compile(_ profile: RuntimeSpec.Seccomp, native: Architecture = .native) throws(SeccompError) -> SeccompProgram {
    throw SeccompError("not built yet")
  }

  /// Docker's default profile for a process with these capabilities (`CAP_CHOWN`, bounding set) on this kernel.
  public static func dockerDefault(
    capabilities: [String], kernel: (major: Int, minor: Int), native: Architecture = .native
  ) -> RuntimeSpec.Seccomp {
    RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW")
  }

  /// A profile in Docker's format (`archMap`, `includes`, `excludes`, `minKernel`) or the OCI's, as `--security-opt seccomp=FILE`
  /// sends it, with its conditions decided.
  public static func profile(
    json: JSON, capabilities: [String], kernel: (major: Int, minor: Int), native: Architecture = .native
  ) throws(SeccompError) -> RuntimeSpec.Seccomp {
    throw SeccompError("not built yet")
  }

  /// SHA-256 of the profile's content and of the compiler's version, in hexadecimal: the name of its compiled form.
  public static func key(_ profile: RuntimeSpec.Seccomp, native: Architecture = .native) -> String { "" }
}

/// A profile that can't be compiled or read; says where and why.
public struct SeccompError: Error, Sendable, Equatable, CustomStringConvertible {
  public let message: String
  public init(_ message: String) { self.message = message }
  public var description: String { message }
}
