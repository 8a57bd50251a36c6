/// systemd as the owner of control groups: a container is a scope, a unit of processes that systemd didn't start itself.
///
/// Owns: the D-Bus messages that this takes (`DBusValue`, `DBusMessage`, `DBusConnection`), the calls to the manager (`SystemdManager`),
/// a scope's name, place and properties (`SystemdScope`).
///
/// ```
/// runtime                          systemd (/run/systemd/private, or the system bus)
/// AUTH EXTERNAL, BEGIN, Hello ───▶
/// Subscribe ─────────────────────▶
/// StartTransientUnit ────────────▶  a job; makes the cgroup, moves the processes into it
///                     ◀─────────── JobRemoved "done"
/// GetUnit, Get ControlGroup ─────▶  where it is
/// …
/// SetUnitProperties ─────────────▶  update
/// StopUnit ──────────────────────▶  delete
/// ```
///
/// One connection a command, of one thread, with a deadline on each answer. A peer's bytes are checked before they are indexed.
///
/// Must not: link libdbus or libsystemd, start a program, know of containers, import Foundation.
public enum Systemd {
  /// Milliseconds that a job may take, as runc has it.
  static let deadline: UInt64 = 30_000
}

/// systemd can't be reached, or refused.
public struct SystemdError: Error, Sendable, Equatable, CustomStringConvertible {
  /// D-Bus's name of the error, `org.freedesktop.systemd1.UnitExists`; empty for what isn't the peer's.
  public let name: String
  public let message: String

  public init(_ message: String, name: String = "") {
    self.name = name
    self.message = message
  }

  public var description: String { name.isEmpty ? message : "\(message) (\(name))" }
}
