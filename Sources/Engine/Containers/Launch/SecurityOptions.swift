import Errdefs
import OCI

/// `HostConfig.SecurityOpt`, read (daemon/daemon_unix.go `parseSecurityOpt`).
struct SecurityOptions {
  enum SeccompChoice: Equatable {
    case standard
    case unconfined
    /// The JSON of a profile.
    case profile(String)
  }

  var noNewPrivileges = false
  /// `nil`: not said.
  var seccomp: SeccompChoice?
  var appArmor: String?
  var label: [String] = []
  var writableCgroups = false

  init(_ options: [String], noNewPrivileges: Bool = false) throws {
    self.noNewPrivileges = noNewPrivileges
    for option in options {
      if option == "no-new-privileges" {
        self.noNewPrivileges = true
        continue
      }
      if option == "disable" {
        label.append("disable")
        continue
      }
      // Before API 1.12 a colon parted them.
      guard let separator = option.firstIndex(where: { $0 == "=" || $0 == ":" }) else {
        throw EngineError.invalidParameter("invalid --security-opt 1: \"\(option)\"")
      }
      let value = String(option[option.index(after: separator)...])
      switch option[..<separator] {
      case "label": label.append(value)
      case "apparmor": appArmor = value
      case "seccomp":
        switch value {
        case "unconfined": seccomp = .unconfined
        case "builtin": seccomp = .standard
        default: seccomp = .profile(value)
        }
      case "no-new-privileges":
        guard let flag = Self.bool(value) else {
          throw EngineError.invalidParameter("invalid --security-opt 2: \"\(option)\"")
        }
        self.noNewPrivileges = flag
      case "writable-cgroups":
        guard let flag = Self.bool(value) else {
          throw EngineError.invalidParameter("invalid --security-opt 2: \"\(option)\"")
        }
        writableCgroups = flag
      default: throw EngineError.invalidParameter("invalid --security-opt 2: \"\(option)\"")
      }
    }
  }

  /// Go's `strconv.ParseBool`.
  private static func bool(_ text: String) -> Bool? {
    switch text {
    case "1", "t", "T", "true", "TRUE", "True": true
    case "0", "f", "F", "false", "FALSE", "False": false
    default: nil
    }
  }
}
