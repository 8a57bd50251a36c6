import ContainerRuntime
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
  private let filters = Mutex<[String: Filter]>([:])

  /// What a launch plan or an exec's needs of a profile.
  struct Filter {
    let path: String
    let flags: UInt32
    let listener: SeccompListener?
  }

  /// Makes the directory.
  init(directory: String, kernel: (major: Int, minor: Int)) throws {
    self.directory = directory
    self.kernel = kernel
    try Sys.mkdirAll(directory, mode: 0o700)
  }

  /// The filter, in a file; `nil`: unconfined. Compiles (milliseconds) when it is new.
  func filter(_ choice: SecurityOptions.SeccompChoice, capabilities: [String]) throws -> Filter? {
    let name: String
    switch choice {
    case .unconfined: return nil
    case .standard: name = "standard:" + capabilities.sorted().joined(separator: ",")
    case .profile(let text): name = text + ":" + capabilities.sorted().joined(separator: ",")
    }
    if let filter = filters.withLock({ $0[name] }) { return filter }
    let profile = try profile(choice, capabilities: capabilities)
    let path = directory + "/" + Seccomp.key(profile) + ".bpf"
    let flags: UInt32
    do { flags = try Seccomp.flags(profile) } catch {
      throw EngineError.invalidParameter("compile the seccomp profile: \(error)", cause: error)
    }
    let notifies = flags & SeccompProgram.newListener != 0
    let listenerPath = profile.listenerPath ?? ""
    guard !notifies || !listenerPath.isEmpty else {
      throw EngineError.invalidParameter("linux.seccomp.listenerPath: is missing, and a rule has SCMP_ACT_NOTIFY")
    }
    let filter = Filter(
      path: path, flags: flags,
      listener: notifies ? SeccompListener(path: listenerPath, metadata: profile.listenerMetadata) : nil)
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
    filters.withLock { filters in
      // Profiles of users are without number; those of the engine are few.
      if filters.count > 256 { filters.removeAll() }
      filters[name] = filter
    }
    return filter
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
