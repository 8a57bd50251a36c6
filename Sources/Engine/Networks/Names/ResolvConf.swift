import Kernel
import Netlink

/// resolv.conf(5), as far as Docker reads it: name servers, search domains and options. Lines of other kinds are dropped.
struct ResolvConf: Sendable, Equatable {
  var nameservers: [String] = []
  var search: [String] = []
  var options: [String] = []

  init(file bytes: [UInt8]) {
    for line in String(decoding: bytes, as: UTF8.self).split(whereSeparator: \.isNewline) {
      let words = line.prefix { $0 != "#" && $0 != ";" }.split(whereSeparator: \.isWhitespace).map(String.init)
      guard let key = words.first else { continue }
      let values = Array(words.dropFirst())
      switch key {
      case "nameserver": if let first = values.first { nameservers.append(first) }
      // the last of them counts, `domain` is a list of one
      case "search", "domain": search = values
      case "options": options += values
      default: break
      }
    }
  }

  /// The IPv4 name servers of the host: no subnet may cover them.
  static var addresses: [IPv4Address] {
    ResolvConf(file: (try? Sys.readFile("/etc/resolv.conf", limit: 1 << 20)) ?? []).nameservers.compactMap {
      IPv4Address($0)
    }
  }

  /// A container has a loopback of its own: what listens on the host's can't be reached.
  static func isLoopback(_ server: String) -> Bool {
    if let address = IPv4Address(server) { return address.isLoopback }
    return server == "::1" || server.hasPrefix("::ffff:127.")
  }
}
