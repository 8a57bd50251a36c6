import Synchronization

/// Sizes of trees for `system/df`, so that not each call walks them: writable trees of containers and volumes have no quota whose counter
/// could be read (images' sizes are recorded when their layers are written).
///
/// A size holds as long as its `stamp` (a container's state and the times of its start and end) and for a while: of what may be written to
/// now, ten seconds, or a hundred times as long as the walk took if that is more; of what lies still, ten times that. Whoever writes through the API
/// (`PUT /containers/{id}/archive`) makes all be forgotten.
///
/// Locks: one `Mutex`, held for no walk; two calls at once may walk twice.
final class SizeCache: Sendable {
  typealias Size = (written: Int64, total: Int64)

  private struct Entry {
    var size: Size
    var stamp: String
    var expires: ContinuousClock.Instant
  }

  private let entries = Mutex<[String: Entry]>([:])

  func size(_ key: String, stamp: String, changes: Bool, _ measure: () async throws -> Size) async throws -> Size {
    let start = ContinuousClock.now
    let known = entries.withLock { entries in
      entries[key].flatMap { $0.stamp == stamp && $0.expires > start ? $0.size : nil }
    }
    if let known { return known }
    let size = try await measure()
    let end = ContinuousClock.now
    let seconds = max(Duration.seconds(10), (end - start) * 100) * (changes ? 1 : 10)
    entries.withLock { $0[key] = Entry(size: size, stamp: stamp, expires: end + min(seconds, .seconds(3600))) }
    return size
  }

  func forgetAll() { entries.withLock { $0 = [:] } }

  /// What wasn't asked for lately belongs to what was removed.
  func forgetUnused() {
    let now = ContinuousClock.now
    entries.withLock { entries in
      if entries.count > 64 { entries = entries.filter { $0.value.expires > now } }
    }
  }
}
