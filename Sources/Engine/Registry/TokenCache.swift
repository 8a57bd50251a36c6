import NIOCore
import Synchronization

/// Authorizations that a registry accepted lately, by host, user and scope; gone when they expire.
final class TokenCache: Sendable {
  struct Key: Hashable {
    var host: String
    var scope: String
    var credentials: Credentials?
  }

  private struct Entry {
    var authorization: String
    var expires: NIODeadline
  }

  private let entries = Mutex<[Key: Entry]>([:])
  private static let maximum = 1024

  func authorization(_ key: Key) -> String? {
    entries.withLock { entries in
      guard let entry = entries[key] else { return nil }
      guard entry.expires > .now() else {
        entries[key] = nil
        return nil
      }
      return entry.authorization
    }
  }

  func set(_ key: Key, _ authorization: String, seconds: Int64) {
    entries.withLock { entries in
      let now = NIODeadline.now()
      if entries.count >= Self.maximum { entries = entries.filter { $0.value.expires > now } }
      if entries.count >= Self.maximum { entries.removeAll() }
      entries[key] = Entry(authorization: authorization, expires: now + .seconds(seconds))
    }
  }

  func remove(_ key: Key) { entries.withLock { $0[key] = nil } }
}
