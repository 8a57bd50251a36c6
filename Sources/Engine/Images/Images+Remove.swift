import Snapshots
import Archive

import Errdefs
import Metadata
import OCI
import Synchronization

extension Images {
  /// `docker rmi`: takes away a name, or the image with its last name. `force` as Docker's. Answers what was done, in order.
  /// The rules are moby's (daemon/images/image_delete.go).
  public func remove(_ name: String, force: Bool = false, prune: Bool = true) async throws -> [ImageDeletion] {
    try await onThread(changes) { [self] in try removeNow(name, force: force, prune: prune) }
  }

  func removeNow(_ name: String, force: Bool, prune: Bool) throws -> [ImageDeletion] {
    let image = try resolve(name)
    let uses = imageUses()
    var done: [ImageDeletion] = []
    var isQuiet = false
    if !image.id.description.hasPrefix(name), !image.id.hex.hasPrefix(name) {
      // A name was given: it goes first, unless the image would be left without one while a container has it.
      if !force, Self.isSingle(names(of: image)), let use = uses.first(where: { $0.image == image.id }) {
        throw EngineError.conflict(
          "conflict: unable to remove repository reference \"\(name)\" (must force) - container \(use.containerID.prefix(12)) is using its "
            + "referenced image \(image.id.short)")
      }
      let reference: Reference
      do throws(ReferenceError) { reference = Self.key(try Reference(name)) } catch {
        throw EngineError.invalidParameter(error.description)
      }
      try untag(reference, image, &done)
      var rest = table.withLock { $0.names(of: image.id) }
      // The repository's digests mean nothing without a tag of it.
      if reference.digest == nil, !rest.contains(where: { $0.digest == nil && $0.name == reference.name }) {
        for digest in rest where digest.name == reference.name { try untag(digest, image, &done) }
        rest = table.withLock { $0.names(of: image.id) }
      }
      if !rest.isEmpty { return done }
      isQuiet = true
    } else if Self.isSingle(names(of: image)) {
      if let conflict = conflict(image, uses, checks: force ? .hard : .hardAndStopped) { throw conflict.error }
      for reference in names(of: image) { try untag(reference, image, &done) }
    }
    try delete(image.id, uses, force: force, prune: prune, isQuiet: isQuiet, &done)
    return done
  }

  private func names(of image: Image) -> [Reference] { image.references + image.digests }

  private func untag(_ reference: Reference, _ image: Image, _ done: inout [ImageDeletion]) throws {
    try change { table, transaction in
      table.removeName(reference)
      try transaction.deleteImageName(reference.description)
    }
    tell("untag", image.id.description, name: image.id.description, labels: image.config.config.labels ?? [:])
    done.append(.untagged(reference.familiar))
  }

  /// At most one tag, and digests of its repository alone.
  private static func isSingle(_ names: [Reference]) -> Bool {
    if names.count <= 1 { return true }
    let tags = names.filter { $0.digest == nil }
    let repositories = Set(names.filter { $0.digest != nil }.map(\.name))
    guard tags.count <= 1 else { return false }
    return repositories.count == 1 && repositories.contains((tags.first ?? names[0]).name)
  }

  // MARK: conflicts

  private struct Conflict {
    var error: EngineError
    var isUsed: Bool
  }

  private enum Checks { case hard, hardAndStopped, all }

  private func conflict(_ image: Image, _ uses: [ImageUse], checks: Checks) -> Conflict? {
    func conflict(_ reason: String, force: String, isUsed: Bool = false) -> Conflict {
      Conflict(error: .conflict("conflict: unable to delete \(image.id.short) (\(force)) - \(reason)"), isUsed: isUsed)
    }
    let (children, names) = table.withLock { ($0.children(of: image.id), $0.names(of: image.id)) }
    if !children.isEmpty { return conflict("image has dependent child images", force: "cannot be forced") }
    if let use = uses.first(where: { $0.image == image.id && $0.isRunning }) {
      return conflict(
        "image is being used by running container \(use.containerID.prefix(12))", force: "cannot be forced",
        isUsed: true)
    }
    if checks == .hard { return nil }
    if checks == .all, !names.isEmpty {
      return conflict("image is referenced in multiple repositories", force: "must be forced")
    }
    if let use = uses.first(where: { $0.image == image.id && !$0.isRunning }) {
      return conflict(
        "image is being used by stopped container \(use.containerID.prefix(12))", force: "must be forced", isUsed: true)
    }
    return nil
  }

  // MARK: deletion

  private func delete(
    _ id: Digest, _ uses: [ImageUse], force: Bool, prune: Bool, isQuiet: Bool, _ done: inout [ImageDeletion]
  ) throws {
    let before = table.withLock { $0 }
    guard let image = before.images[id] else { return }
    if let conflict = conflict(image, uses, checks: force ? .hard : .all) {
      // Told only when the image is in nobody's way, or in somebody's hands.
      if isQuiet, !before.names(of: id).isEmpty || conflict.isUsed { return }
      throw conflict.error
    }
    for reference in before.names(of: id) { try untag(reference, image, &done) }
    let gone = try change { table, transaction in
      table.remove(id)
      try transaction.deleteImage(id.description)
      let users = table.layerUsers()
      let gone = Set(image.layers).filter { users[$0] == nil }
      for layer in gone {
        table.layers[layer] = nil
        try transaction.deleteLayer(layer.description)
      }
      return gone
    }
    tell("delete", id.description, name: id.description, labels: image.config.config.labels ?? [:])
    done.append(.deleted(id.description))
    for chain in releasedChains(of: image, uses) { done.append(.deleted(chain.description)) }
    collect(
      layers: gone,
      blobs: [id] + gone.compactMap { before.layers[$0]?.blob?.digest }
        + (before.entries[id].map { $0.manifests + $0.indexes } ?? []).map(\.digest))
    if prune, let parent = image.parent, before.images[parent] != nil {
      try delete(parent, uses, force: false, prune: true, isQuiet: true, &done)
    }
  }

  /// The chain ids that no other image begins with, topmost first: what Docker tells as deleted layers. A container keeps them all.
  private func releasedChains(of image: Image, _ uses: [ImageUse]) -> [Digest] {
    if uses.contains(where: { $0.image == image.id }) { return [] }
    let kept = table.withLock { table in Set(table.images.values.flatMap { Self.chains($0.layers) }) }
    return Self.chains(image.layers).filter { !kept.contains($0) }.reversed()
  }

  /// image-spec, config.md, "Layer ChainID": each the digest of the chain below and the layer's own, bottom first.
  static func chains(_ layers: [Digest]) -> [Digest] {
    var chains: [Digest] = []
    for layer in layers {
      chains.append(chains.last.map { Digest(hashing: "\($0) \(layer)".utf8) } ?? layer)
    }
    return chains
  }
}
