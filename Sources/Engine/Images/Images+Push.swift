import Snapshots
import Archive
import ContentStore
import Dispatch
public import Errdefs
import Kernel
import Metadata
public import OCI
public import Registry
import Synchronization

extension Images {
  /// What `docker push` checks before its first line. A name without a tag stands for all tags of the repository here.
  public func preparePush(_ reference: Reference, platform: Platform? = nil, credentials: Credentials?)
    throws(EngineError)
    -> PreparedPush
  {
    guard reference.digest == nil else { throw .invalidParameter("cannot push a digest reference") }
    let table = table.withLock { $0 }
    let names: [Reference]
    if reference.tag != nil {
      guard table.names[reference] != nil else {
        throw .notFound("An image does not exist locally with the tag: \(reference.familiarName)")
      }
      names = [reference]
    } else {
      names = table.names.keys.filter { $0.name == reference.name && $0.tag != nil }
        .sorted { $0.description < $1.description }
      guard !names.isEmpty else {
        throw .notFound("An image does not exist locally with the tag: \(reference.familiarName)")
      }
    }
    for name in names {
      let image = try Self.resolve(name.description, in: table)
      guard image.missingLayers.isEmpty else {
        throw .system("image \(name.familiar) is damaged: pull or load it again")
      }
      if let platform, !platform.runs(image.platform), sibling(of: image, platform) == nil {
        throw .notFound(
          "image with reference \(name.familiar) was found but does not provide the specified platform (\(platform))")
      }
    }
    return PreparedPush(
      images: self, repository: registry.repository(reference, credentials: credentials), names: names,
      platform: platform)
  }

  /// One image by its own manifest, or, where the tag came as an index and all of that index's images are here, all of them and the index.
  fileprivate func push(
    _ name: Reference, _ platform: Platform?, _ repository: Repository,
    _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws {
    var image = try resolve(name.description)
    let tag = name.tag ?? "latest"
    if let platform, let sibling = sibling(of: image, platform) { image = sibling }
    let id = image.id
    let index = platform == nil ? try await onThread(work) { [self] in try wholeIndex(of: id) } : nil
    var pushed: ContentDescriptor
    if let index {
      for child in index.children {
        _ = try await push(child.image, child.manifest, as: child.manifest.description, name, repository, progress)
      }
      try await repository.put(index.bytes, mediaType: index.descriptor.mediaType, as: tag)
      pushed = index.descriptor
      try await onThread(work) { [self] in try remember(nil, digest: index.descriptor.digest, of: id, as: name) }
    } else {
      pushed = try await push(image, nil, as: tag, name, repository, progress)
    }
    progress(.status("\(tag): digest: \(pushed.digest) size: \(pushed.size)"))
    progress(.pushed(tag: tag, digest: pushed.digest, size: pushed.size))
    tell("push", name.familiar, name: name.familiarName)
  }

  private struct WholeIndex: Sendable {
    var descriptor: ContentDescriptor
    var bytes: [UInt8]
    var children: [(image: Image, manifest: Digest)]
  }

  /// The newest index that the image came in and whose every manifest is an image that is whole here. Blocks.
  private func wholeIndex(of id: Digest) throws -> WholeIndex? {
    let table = table.withLock { $0 }
    for descriptor in (table.entries[id]?.indexes ?? []).reversed() {
      guard let bytes = try? content.read(descriptor.digest), let index = try? ImageIndex(decoding: bytes) else {
        continue
      }
      var children: [(image: Image, manifest: Digest)] = []
      for manifest in index.manifests {
        let owner = table.entries.first { $0.value.manifests.contains { $0.digest == manifest.digest } }
        guard let owner, let image = table.images[owner.key], image.missingLayers.isEmpty else { break }
        children.append((image, manifest.digest))
      }
      if !children.isEmpty, children.count == index.manifests.count {
        return WholeIndex(descriptor: descriptor, bytes: bytes, children: children)
      }
    }
    return nil
  }

  /// The image for a platform that came by the same index.
  private func sibling(of image: Image, _ platform: Platform) -> Image? {
    let table = table.withLock { $0 }
    let indexes = Set((table.entries[image.id]?.indexes ?? []).map(\.digest))
    if platform.runs(image.platform), platform.normalised.variant == image.platform.normalised.variant { return image }
    return table.entries.filter { $0.value.indexes.contains { indexes.contains($0.digest) } }
      .compactMap { table.images[$0.key] }.filter { platform.runs($0.platform) && $0.missingLayers.isEmpty }
      .min { $0.id < $1.id }
  }

  /// Brings layers, configuration and manifest, in this order: what the reference names at the end is whole.
  private func push(
    _ image: Image, _ manifest: Digest?, as reference: String, _ name: Reference, _ repository: Repository,
    _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws -> ContentDescriptor {
    let pin = Pin(self)
    let plan: PushPlan
    do {
      plan = try await onThread(work) { [self] in
        for layer in image.layers { pin.hold(layer) }
        let plan = try pushPlan(image, pin, manifest: manifest)
        if let manifest, plan.descriptor.digest != manifest {
          throw EngineError.system("a layer of \(manifest) isn't here any more: pull it again")
        }
        return plan
      }
      for layer in plan.layers.reversed() {
        progress(.transfer(id: layer.diffID.short, status: "Preparing"))
      }
      let sources = mountSources(plan.layers, name)
      try await withThrowingTaskGroup(of: Void.self) { group in
        for layer in plan.layers.reversed() {
          group.addTask { [self] in
            try await push(layer.blob, id: layer.diffID.short, repository, sources[layer.diffID], progress)
          }
        }
        try await group.waitForAll()
      }
      if try await !repository.contains(plan.config.digest) {
        let (file, _) = try await onThread(work) { [content] in try content.open(plan.config.digest) }
        _ = try await repository.upload(plan.config, file) { _ in }
      }
      try await repository.put(plan.manifest, mediaType: plan.descriptor.mediaType, as: reference)
      if manifest == nil {
        try await onThread(work) { [self] in
          try content.write(plan.manifest)
          try remember(plan.descriptor, digest: plan.descriptor.digest, of: image.id, as: name)
        }
      }
    } catch {
      try await onThread(work) { pin.release() }
      throw error
    }
    try await onThread(work) { pin.release() }
    return ContentDescriptor(
      mediaType: plan.descriptor.mediaType, digest: plan.descriptor.digest, size: Int64(plan.manifest.count))
  }

  private func push(
    _ blob: ContentDescriptor, id: String, _ repository: Repository, _ source: String?,
    _ progress: @escaping @Sendable (ImageProgress) -> Void
  ) async throws {
    try await registry.uploads.withSlot(onWait: { progress(.transfer(id: id, status: "Waiting")) }) {
      if try await repository.contains(blob.digest) {
        return progress(.transfer(id: id, status: "Layer already exists"))
      }
      let (file, _) = try await onThread(work) { [content] in try content.open(blob.digest) }
      let step = max(512 << 10, blob.size / 100)
      let told = Mutex<Int64>(-1)
      let upload = try await repository.upload(blob, file, mountFrom: source) { count in
        let isDue = told.withLock { told in
          guard told < 0 || count - told >= step || count < told else { return false }
          told = count
          return true
        }
        if isDue { progress(.transfer(id: id, status: "Pushing", current: count, total: blob.size)) }
      }
      switch upload {
      case .pushed: progress(.transfer(id: id, status: "Pushed"))
      case .mounted(let from): progress(.transfer(id: id, status: "Mounted from \(from)"))
      }
    }
  }

  /// For each layer another repository of the same registry that is known to have it: one that an image with the layer was pulled from or
  /// pushed to.
  private func mountSources(_ layers: [PushPlan.Layer], _ name: Reference) -> [Digest: String] {
    let table = table.withLock { $0 }
    var sources: [Digest: String] = [:]
    for image in table.images.values {
      guard let other = image.digests.first(where: { $0.domain == name.domain && $0.path != name.path }) else {
        continue
      }
      for layer in image.layers { sources[layer] = other.path }
    }
    return sources.filter { entry in layers.contains { $0.diffID == entry.key } }
  }

  /// The manifest that the image came with, when all that it names is here; else one of what is here. Blocks.
  private func pushPlan(_ image: Image, _ pin: Pin, manifest wanted: Digest?) throws -> PushPlan {
    let table = table.withLock { $0 }
    guard let entry = table.entries[image.id] else { throw EngineError.notFound("No such image: \(image.id)") }
    for descriptor in entry.manifests.reversed() where wanted == nil || descriptor.digest == wanted {
      pin.hold(descriptor.digest)
      guard let bytes = try? content.read(descriptor.digest), let manifest = try? ImageManifest(decoding: bytes),
        manifest.layers.count == image.layers.count
      else { continue }
      for layer in manifest.layers { pin.hold(layer.digest) }
      guard manifest.layers.allSatisfy({ content.contains($0.digest) }) else { continue }
      pin.hold(manifest.config.digest)
      return PushPlan(
        layers: zip(image.layers, manifest.layers).map { PushPlan.Layer(diffID: $0, blob: $1) },
        config: manifest.config,
        manifest: bytes, descriptor: descriptor)
    }
    var layers: [PushPlan.Layer] = []
    for diffID in image.layers {
      guard let blob = try packed(diffID, pin) else {
        throw EngineError.system("layer \(diffID) isn't kept as an archive")
      }
      layers.append(PushPlan.Layer(diffID: diffID, blob: blob))
    }
    let (_, size) = try content.open(image.id)
    pin.hold(image.id)
    // Docker's own types where nothing needs more: every registry takes them.
    let isDocker = layers.allSatisfy { !$0.blob.mediaType.hasSuffix("zstd") }
    let config = ContentDescriptor(
      mediaType: isDocker ? MediaType.dockerConfig : MediaType.ociConfig, digest: image.id, size: size)
    let manifest = ImageManifest(
      mediaType: isDocker ? MediaType.dockerManifest : MediaType.ociManifest, config: config,
      layers: layers.map { layer in
        var blob = layer.blob
        if isDocker { blob.mediaType = MediaType.dockerLayer + (blob.mediaType.hasSuffix("gzip") ? ".gzip" : "") }
        return blob
      })
    let bytes = manifest.json.encoded()
    return PushPlan(
      layers: zip(image.layers, manifest.layers).map { PushPlan.Layer(diffID: $0, blob: $1) }, config: config,
      manifest: bytes,
      descriptor: ContentDescriptor(
        mediaType: manifest.mediaType, digest: Digest(hashing: bytes), size: Int64(bytes.count)))
  }

  /// The layer as a blob that is worth sending: one that was loaded as a plain tar is compressed once, and kept so from then on.
  private func packed(_ diffID: Digest, _ pin: Pin) throws -> ContentDescriptor? {
    guard let entry = table.withLock({ $0.layers[diffID] }), let blob = entry.blob else { return nil }
    pin.hold(blob.digest)
    guard blob.mediaType == MediaType.ociLayer || blob.mediaType == MediaType.dockerLayer else { return blob }
    let (file, size) = try content.open(blob.digest)
    let ingest = try content.ingest()
    try refusing("compress layer \(diffID)") {
      try GzipWriter.compress(FileRangeSource(file, length: size)) { try ingest.write($0) }
    }
    let digest = ingest.finish()
    pin.hold(digest)
    if !content.contains(digest) { try ingest.commit(expecting: digest) }
    let packed = ContentDescriptor(mediaType: MediaType.ociLayer + "+gzip", digest: digest, size: ingest.size)
    try changes.sync {
      try change { table, transaction in
        guard var entry = table.layers[diffID], entry.blob == blob else { return }
        entry.blob = packed
        table.layers[diffID] = entry
        try transaction.putLayer(diffID.description, record: entry.record)
      }
    }
    return packed
  }

  /// The registry knows the image by this digest now.
  private func remember(_ manifest: ContentDescriptor?, digest: Digest, of id: Digest, as name: Reference) throws {
    try changes.sync {
      try change { table, transaction in
        guard var entry = table.entries[id] else { return }
        if let manifest {
          entry.manifests = entry.manifests.filter { $0.digest != manifest.digest }.suffix(7) + [manifest]
        }
        table.put(id, entry)
        let digest = name.with(digest: digest)
        table.setName(digest, to: id)
        try transaction.putImage(id.description, record: entry.record)
        try transaction.setImageName(digest.description, image: id.description)
      }
    }
  }
}

/// What goes to the registry.
private struct PushPlan: Sendable {
  struct Layer: Sendable {
    var diffID: Digest
    var blob: ContentDescriptor
  }
  /// Bottom first.
  var layers: [Layer]
  var config: ContentDescriptor
  var manifest: [UInt8]
  var descriptor: ContentDescriptor
}

/// A push whose images are here.
public struct PreparedPush: Sendable {
  let images: Images
  let repository: Repository
  let names: [Reference]
  let platform: Platform?

  public func run(progress: @escaping @Sendable (ImageProgress) -> Void) async throws {
    progress(.status("The push refers to repository [\(names[0].name)]"))
    for name in names {
      do { try await images.push(name, platform, repository, progress) } catch let error as RegistryError {
        throw error.plain
      }
    }
  }
}
