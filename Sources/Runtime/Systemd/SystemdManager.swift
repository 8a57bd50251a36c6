import CLinux
import Kernel

/// systemd's manager: the calls of org.freedesktop.systemd1(5) that a scope takes.
public struct SystemdManager {
  private let connection: DBusConnection

  private static let name = "org.freedesktop.systemd1"
  private static let path = "/org/freedesktop/systemd1"
  private static let interface = "org.freedesktop.systemd1.Manager"

  public typealias Property = (name: String, value: DBusValue)

  /// Connects to the system's manager, or to the user's own. Everything that was tried is in the error.
  public init(isUser: Bool) throws(SystemdError) {
    var failures: [String] = []
    for (path, isDirect) in Self.places(isUser: isUser) {
      do throws(SystemdError) {
        let connection = try DBusConnection(path: path, isDirect: isDirect)
        if !isDirect {
          _ = try connection.call(
            .call(
              "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch",
              [.string("type='signal',interface='\(Self.interface)',member='JobRemoved'")]))
        }
        _ = try connection.call(.call(Self.name, Self.path, Self.interface, "Subscribe"))
        self.connection = connection
        return
      } catch { failures.append("\(error)") }
    }
    throw SystemdError("systemd can't be reached: \(failures.joined(separator: "; "))")
  }

  /// A bus that was named, then systemd's own socket, then the bus where it usually is (sd_bus_default_system(3)).
  private static func places(isUser: Bool) -> [(path: String, isDirect: Bool)] {
    func variable(_ name: String) -> String? {
      getenv(name).map { String(cString: $0) }.flatMap { $0.isEmpty ? nil : $0 }
    }
    func bus(_ name: String) -> [(path: String, isDirect: Bool)] {
      (variable(name) ?? "").split(separator: ";").compactMap { address in
        guard address.hasPrefix("unix:") else { return nil }
        let path = address.dropFirst(5).split(separator: ",").first { $0.hasPrefix("path=") }
        return path.map { (String($0.dropFirst(5)), false) }
      }
    }
    guard isUser else {
      return bus("DBUS_SYSTEM_BUS_ADDRESS") + [
        ("/run/systemd/private", true), ("/run/dbus/system_bus_socket", false),
      ]
    }
    guard let directory = variable("XDG_RUNTIME_DIR") else { return bus("DBUS_SESSION_BUS_ADDRESS") }
    return [(directory + "/systemd/private", true)] + bus("DBUS_SESSION_BUS_ADDRESS") + [(directory + "/bus", false)]
  }

  private func call(_ member: String, _ body: [DBusValue]) throws(SystemdError) -> [DBusValue] {
    try connection.call(.call(Self.name, Self.path, Self.interface, member, body))
  }

  private static func encoded(_ properties: [Property]) -> DBusValue {
    .array("(sv)", properties.map { .structure([.string($0.name), .variant($0.value)]) })
  }

  /// Makes a unit that lives as long as its processes, and waits until it is there. A failed unit of that name that systemd remembers is
  /// forgotten first.
  public func startTransientUnit(_ unit: String, _ properties: [Property]) throws(SystemdError) {
    let body: [DBusValue] = [
      .string(unit), .string("replace"), Self.encoded(properties), .array("(sa(sv))", []),
    ]
    var job: DBusValue?
    do throws(SystemdError) { job = try call("StartTransientUnit", body).first } catch {
      guard error.name == "org.freedesktop.systemd1.UnitExists" else { throw error }
      try resetFailed(unit)
      job = try call("StartTransientUnit", body).first
    }
    try wait(for: job, of: unit, "start")
  }

  /// Stops a unit with all that is in it; one that isn't there is as good.
  public func stopUnit(_ unit: String) throws(SystemdError) {
    do throws(SystemdError) {
      let job = try call("StopUnit", [.string(unit), .string("replace")]).first
      try wait(for: job, of: unit, "stop")
    } catch  where error.name == "org.freedesktop.systemd1.NoSuchUnit" { return }
    // Killed processes leave it failed, and its name taken.
    try resetFailed(unit)
  }

  private func resetFailed(_ unit: String) throws(SystemdError) {
    do throws(SystemdError) { _ = try call("ResetFailedUnit", [.string(unit)]) } catch
      where error.name == "org.freedesktop.systemd1.NoSuchUnit"
    {}
  }

  public func setProperties(of unit: String, _ properties: [Property]) throws(SystemdError) {
    guard !properties.isEmpty else { return }
    _ = try call("SetUnitProperties", [.string(unit), .boolean(true), Self.encoded(properties)])
  }

  /// Where a scope is below the hierarchies' roots; `nil` when systemd doesn't say.
  public func controlGroup(ofScope unit: String) throws(SystemdError) -> String? {
    guard case .objectPath(let object)? = try call("GetUnit", [.string(unit)]).first else { return nil }
    let answer = try connection.call(
      .call(
        Self.name, object, "org.freedesktop.DBus.Properties", "Get",
        [.string("org.freedesktop.systemd1.Scope"), .string("ControlGroup")]))
    return answer.first?.text.flatMap { $0.isEmpty ? nil : $0 }
  }

  /// Waits for the job's end, which is told by a signal: JobRemoved (u id, o job, s unit, s result).
  private func wait(for job: DBusValue?, of unit: String, _ what: String) throws(SystemdError) {
    guard case .objectPath(let path)? = job else { throw SystemdError("\(what) \(unit): systemd named no job") }
    let removed = try connection.signal { signal in
      signal.member == "JobRemoved" && signal.body.count == 4 && signal.body[1] == .objectPath(path)
    }
    let result = removed.body[3].text ?? ""
    guard result == "done" else { throw SystemdError("\(what) \(unit): the job came to \"\(result)\"") }
  }
}
