import Errdefs
import Kernel
import OCI
import Seccomp
import Synchronization

/// Compiled system call filters: `<exec-root>/seccomp/<key>.bpf`, made once a profile and capability set, then only named.
final class SeccompCache: Sendable {
  private let directory: String
  private let kernel: (major: Int, minor: Int)
  /// By choice and capabilities.
  private let paths = Mutex<[String: String]>([:])

  /// Makes the directory.
  init(directory: String, kernel: (major: Int, minor: Int)) throws {
    self.directory = directory
    self.kernel = kernel
    try Sys.mkdirAll(directory, mode: 0o700)
  }

  /// The file of the filter; `nil`: unconfined. Compiles (milliseconds) when it is new.
  func path(_ choice: SecurityOptions.SeccompChoice, capabilities: [String]) throws -> String? {
    let name: String
    switch choice {
    case .unconfined: return nil
    case .standard: name = "standard:" + capabilities.sorted().joined(separator: ",")
    case .profile(let text): name = text + ":" + capabilities.sorted().joined(separator: ",")
    }
    if let path = paths.withLock({ $0[name] }) { return path }
    let profile = try profile(choice, capabilities: capabilities)
    let path = directory + "/" + Seccomp.key(profile) + ".bpf"
    if !Sys.exists(path) {
      let program: SeccompProgram
      do { program = try Seccomp.compile(profile) } catch {
        throw EngineError.invalidParameter("compile the seccomp profile: \(error)", cause: error)
      }
      // Two starts may compile the same profile at once: each writes its own, the last rename wins, the bytes are equal.
      let temporary = path + "." + String(UInt64.random(in: 0 ... .max), radix: 16)
      try Sys.replaceFile(temporary, with: program.bytes, mode: 0o600, durable: false)
      try Sys.rename(temporary, to: path)
    }
    paths.withLock { paths in
      // Profiles of users are without number; those of the engine are few.
      if paths.count > 256 { paths.removeAll() }
      paths[name] = path
    }
    return path
  }

  private func profile(_ choice: SecurityOptions.SeccompChoice, capabilities: [String]) throws -> RuntimeSpec.Seccomp {
    guard case .profile(let text) = choice else {
      return Seccomp.dockerDefault(capabilities: capabilities, kernel: kernel)
    }
    let json: JSON
    do { json = try JSON.parse(text) } catch {
      throw EngineError.invalidParameter("decoding seccomp profile failed: \(error)")
    }
    do { return try Seccomp.profile(json: json, capabilities: capabilities, kernel: kernel) } catch {
      throw EngineError.invalidParameter("decoding seccomp profile failed: \(error)")
    }
  }
}
