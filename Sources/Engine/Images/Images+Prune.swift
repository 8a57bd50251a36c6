import Errdefs
import Logging
import OCI
import Synchronization

extension Images {
  /// `docker image prune`: filters `dangling` (true unless told otherwise), `until`, `label`, `label!`. Answers what went, and the bytes that
  /// came free. What a container uses stays, without a word.
  public func prune(filters: [String: [String]] = [:]) async throws -> (deletions: [ImageDeletion], reclaimed: Int64) {
    let filter = try ImageFilter(filters, accepting: ["dangling", "until", "label", "label!"])
    let danglingOnly = try filter.bool("dangling") ?? true
    let until = try filter.until()
    return try await onThread(changes) { [self] in
      let before = table.withLock { $0 }
      var deletions: [ImageDeletion] = []
      for image in before.images.values.sorted(by: { $0.id < $1.id }) {
        let names = before.names(of: image.id)
        if names.isEmpty, !before.children(of: image.id).isEmpty { continue }
        if let until, image.created > until { continue }
        let labels = image.config.config.labels ?? [:]
        guard filter.labels("label", match: labels), filter.labels("label!", avoid: labels) else { continue }
        if danglingOnly, !image.references.isEmpty { continue }
        for name in names.isEmpty ? [image.id.hex] : names.map(\.description) {
          do {
            deletions += try removeNow(name, force: false, prune: true)
          } catch let error as EngineError where error.kind == .conflict || error.kind == .notFound {
            logger.debug("image stays", metadata: ["image": "\(name)", "reason": "\(error)"])
          }
        }
      }
      let after = table.withLock { $0 }
      let reclaimed = before.layers.reduce(Int64(0)) { $0 &+ (after.layers[$1.key] == nil ? $1.value.size : 0) }
      tell("prune", "", ["reclaimed": "\(reclaimed)"])
      return (deletions, reclaimed)
    }
  }
}
