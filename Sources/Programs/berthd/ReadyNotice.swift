import CLinux
import Kernel

/// Tells systemd where the daemon stands (sd_notify(3)), when it was started by it.
enum ReadyNotice {
  static func send(_ text: String) {
    guard let path = getenv("NOTIFY_SOCKET").map({ String(cString: $0) }), path.hasPrefix("/") else { return }
    // Nobody waits for it: a manager that can't be told times out and says so.
    guard let socket = try? Sys.socket(AF_UNIX, Sys.sockDatagram), (try? Sys.connect(socket.raw, path: path)) != nil
    else { return }
    _ = try? Sys.writeAll(socket.raw, text)
  }
}
