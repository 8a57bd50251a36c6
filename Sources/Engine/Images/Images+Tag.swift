import Errdefs
import Metadata
import OCI
import Synchronization

extension Images {
  /// `docker tag`: `repository` may not hold a digest; an empty tag means the repository's own, or `latest`. Moves the tag when another
  /// image has it.
  public func tag(_ source: String, repository: String, tag: String) async throws {
    let reference = try Self.reference(repository: repository, tag: tag)
    try await onThread(changes) { [self] in
      let image = try resolve(source)
      try change { table, transaction in
        table.setName(reference, to: image.id)
        table.setLastTagged(image.id, Self.now())
        try transaction.setImageName(reference.description, image: image.id.description)
        if let entry = table.entries[image.id] { try transaction.putImage(image.id.description, record: entry.record) }
      }
      tell("tag", image.id.description, name: reference.familiar, labels: image.config.config.labels ?? [:])
    }
  }

  /// The name that `repo` and `tag` of the API stand for.
  static func reference(repository: String, tag: String) throws(EngineError) -> Reference {
    let reference: Reference
    do throws(ReferenceError) {
      reference = try Reference(repository)
      guard reference.digest == nil else {
        throw ReferenceError("cannot import digest reference")
      }
      let result = tag.isEmpty ? reference.tagged : try reference.with(tag: tag)
      guard result.familiarName != "sha256" else {
        throw ReferenceError("refusing to create an ambiguous tag using digest algorithm as name")
      }
      return result
    } catch { throw .invalidParameter(error.description) }
  }
}
