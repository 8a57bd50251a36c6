import ContentStore
import Dispatch
import Errdefs
import Logging
import Metadata
import OCI
import Snapshots
import Synchronization

extension Images {
  /// One change: `body` alters a draft of the table and the database alike, in one durable transaction; then the draft becomes the table.
  /// On the changes' queue alone.
  func change<T>(_ body: (inout ImageTable, MetadataTransaction) throws -> T) throws -> T {
    dispatchPrecondition(condition: .onQueue(changes))
    var draft = table.withLock { $0 }
    let result = try metadata.writeBlocking(durable: true) { transaction in try body(&draft, transaction) }
    table.withLock { $0 = draft }
    return result
  }

  /// Deletes of these layers and blobs what no image has, and no load under way needs. Their rows must be gone. On the changes' queue.
  func collect(layers: some Sequence<Digest>, blobs: some Sequence<Digest>) {
    dispatchPrecondition(condition: .onQueue(changes))
    let table = table.withLock { $0 }
    let pinned = pins.withLock { Set($0.keys) }
    for layer in Set(layers) where table.layers[layer] == nil && !pinned.contains(layer) {
      snapshotter.removeLayer(layer)
    }
    // Those of images that can't be read stay, too.
    let owned = table.ownedBlobs().union(unreadable.withLock { $0 })
    for blob in Set(blobs) where !owned.contains(blob) && !pinned.contains(blob) {
      // What stays is swept at the next start.
      do throws(EngineError) { try content.remove(blob) } catch {
        logger.warning("content can't be deleted", metadata: ["digest": "\(blob)", "error": "\(error)"])
      }
    }
  }

  /// Keeps what a load or a pull needs from being collected, until its end: a lease. Made on any thread but the changes' queue.
  final class Pin: Sendable {
    private let images: Images
    private let digests = Mutex<Set<Digest>>([])

    init(_ images: Images) { self.images = images }

    /// After this the digest's layer or blob stays, if it is there. Blocks.
    func hold(_ digest: Digest) {
      guard digests.withLock({ $0.insert(digest).inserted }) else { return }
      // On the queue, so that no removal is half-way through.
      images.changes.sync { images.pins.withLock { $0[digest, default: 0] += 1 } }
    }

    /// Lets go, and deletes what came of a load that failed. Blocks.
    func release() {
      let held = digests.withLock { digests in
        defer { digests = [] }
        return digests
      }
      images.changes.sync {
        images.pins.withLock { pins in
          for digest in held {
            let left = (pins[digest] ?? 1) - 1
            pins[digest] = left > 0 ? left : nil
          }
        }
        images.collect(layers: held, blobs: held)
      }
    }
  }

  /// The same for work that waits without a thread.
  func pinning<T: Sendable>(_ digests: [Digest], _ body: (Pin) async throws -> T) async throws -> T {
    let pin = Pin(self)
    try await onThread(work) { for digest in digests { pin.hold(digest) } }
    let result: Result<T, any Error>
    do { result = .success(try await body(pin)) } catch { result = .failure(error) }
    try await onThread(work) { pin.release() }
    return try result.get()
  }
}
