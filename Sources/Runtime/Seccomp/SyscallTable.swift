/// The numbers of the system calls on each architecture, by libseccomp's names.
///
/// Used to compile a profile, so by the daemon and by `berth-runtime`, not by the shim. The rows are parsed once.
struct SyscallTable: Sendable {
  static let shared = SyscallTable(rows)

  private let numbers: [Seccomp.Architecture: [String: UInt32]]

  private init(_ rows: StaticString) {
    let columns: [Seccomp.Architecture] = [.x86_64, .x32, .x86, .aarch64, .arm]
    var numbers: [[String: UInt32]] = columns.map { _ in Dictionary(minimumCapacity: 500) }
    let text = rows.withUTF8Buffer { Array($0) }
    for row in text.split(separator: UInt8(ascii: ";")) {
      let fields = row.split(whereSeparator: { $0 == 0x20 || $0 == 0x0a })
      guard fields.count == columns.count + 1 else { continue }
      let name = String(decoding: fields[0], as: UTF8.self)
      for (index, field) in fields.dropFirst().enumerated() {
        var number: UInt32 = 0
        for digit in field where (0x30...0x39).contains(digit) { number = number &* 10 &+ UInt32(digit - 0x30) }
        if field.first != UInt8(ascii: "-") { numbers[index][name] = number }
      }
    }
    self.numbers = Dictionary(uniqueKeysWithValues: zip(columns, numbers))
  }

  /// The number that `struct seccomp_data.nr` has for this call, bit 30 of x32 included; nil when the architecture lacks it.
  func number(_ name: String, _ architecture: Seccomp.Architecture) -> UInt32? {
    guard let number = numbers[architecture]?[name] else { return nil }
    return architecture == .x32 ? number | Seccomp.x32Bit : number
  }

  /// Every name and number of an architecture.
  func all(_ architecture: Seccomp.Architecture) -> [String: UInt32] {
    (numbers[architecture] ?? [:]).mapValues { architecture == .x32 ? $0 | Seccomp.x32Bit : $0 }
  }

  /// x86 reaches sockets and System V IPC by numbers of their own and, older, as sub-calls of `socketcall` and `ipc`
  /// (linux/net.h, linux/ipc.h): the multiplexer and the value of its first argument. A rule must cover both ways.
  static func multiplexed(_ name: String, _ architecture: Seccomp.Architecture) -> (number: UInt32, call: UInt64)? {
    guard architecture == .x86 else { return nil }
    if let index = socketCalls.firstIndex(of: name) { return (102, UInt64(index) + 1) }
    if let call = ipcCalls[name] { return (117, call) }
    return nil
  }

  private static let socketCalls = [
    "socket", "bind", "connect", "listen", "accept", "getsockname", "getpeername", "socketpair", "send", "recv",
    "sendto",
    "recvfrom", "shutdown", "setsockopt", "getsockopt", "sendmsg", "recvmsg", "accept4", "recvmmsg", "sendmmsg",
  ]
  private static let ipcCalls: [String: UInt64] = [
    "semop": 1, "semget": 2, "semctl": 3, "semtimedop": 4, "msgsnd": 11, "msgrcv": 12, "msgget": 13, "msgctl": 14,
    "shmat": 21,
    "shmdt": 22, "shmget": 23, "shmctl": 24,
  ]
}
