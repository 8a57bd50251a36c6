import Archive
import Errdefs
import OCI

extension ImageArchive {
  /// image-spec, image-layout.md. Of an index with several platforms, the one asked for, else the one that runs here; a name is the
  /// annotation `io.containerd.image.name`, or `org.opencontainers.image.ref.name` where that is a whole name.
  func layoutImages(platform: Platform?) throws -> [ArchivedImage] {
    let index: ImageIndex
    do throws(JSONError) { index = try ImageIndex(decoding: try json("index.json")) } catch {
      throw ArchiveError(member: "index.json", error.description)
    }
    var images: [ArchivedImage] = []
    for descriptor in index.manifests where descriptor.annotations?["vnd.docker.reference.type"] == nil {
      guard let manifest = try manifest(descriptor, platform: platform, depth: 0) else { continue }
      let name = try Self.name(descriptor.annotations ?? [:])
      let image = try image(manifest, references: name.map { [$0] } ?? [])
      // Several names of one image are several entries.
      if let known = images.firstIndex(where: { $0.id == image.id }) {
        images[known].references += image.references
      } else {
        images.append(image)
      }
    }
    guard !images.isEmpty || index.manifests.isEmpty else {
      throw EngineError.notFound("no image in the archive is for the platform \(platform ?? .host)")
    }
    return images
  }

  private func json(_ member: String) throws(JSONError) -> [UInt8] {
    do { return try document(member) } catch { throw JSONError(path: "", "\(error)") }
  }

  private static func name(_ annotations: [String: String]) throws -> Reference? {
    if let name = annotations["io.containerd.image.name"] { return try tag(name) }
    guard let name = annotations["org.opencontainers.image.ref.name"], name.contains(where: { $0 == ":" || $0 == "/" })
    else {
      // A tag without a repository names nothing here.
      return nil
    }
    return try tag(name.contains(":") ? name : name + ":latest")
  }

  /// A blob that a descriptor points to: its bytes, digest and size checked.
  private func blob(_ descriptor: ContentDescriptor) throws -> [UInt8] {
    let member = Self.member(descriptor.digest)
    let bytes = try document(member)
    guard Int64(bytes.count) == descriptor.size else {
      throw ArchiveError(member: member, "it has \(bytes.count) bytes, its descriptor says \(descriptor.size)")
    }
    return bytes
  }

  private static func member(_ digest: Digest) -> String { "blobs/sha256/\(digest.hex)" }

  /// The manifest itself, or the best of an index; `nil` when none is for the platform.
  private func manifest(_ descriptor: ContentDescriptor, platform: Platform?, depth: Int) throws -> ImageManifest? {
    guard depth < 4 else { throw ArchiveError(member: Self.member(descriptor.digest), "indexes nested too deep") }
    let member = Self.member(descriptor.digest)
    do {
      if MediaType.isIndex(descriptor.mediaType) {
        let index = try ImageIndex(decoding: try blob(descriptor))
        for choice in try choices(index, platform) {
          if let manifest = try manifest(choice, platform: platform, depth: depth + 1) { return manifest }
        }
        return nil
      }
      guard MediaType.isManifest(descriptor.mediaType) else {
        throw ArchiveError(member: member, "\"\(descriptor.mediaType)\" isn't an image")
      }
      let manifest = try ImageManifest(decoding: try blob(descriptor))
      guard manifest.config.mediaType.isEmpty || MediaType.isConfig(manifest.config.mediaType) else {
        throw ArchiveError(member: member, "\"\(manifest.config.mediaType)\" isn't an image's configuration")
      }
      if let platform {
        let config = try ImageConfig(decoding: try blob(manifest.config))
        guard platform.runs(Self.platform(config)) else { return nil }
      }
      return manifest
    } catch let error as JSONError { throw ArchiveError(member: member, error.description) }
  }

  /// In order of preference; attestations, whose platform is unknown, are none.
  private func choices(_ index: ImageIndex, _ platform: Platform?) throws -> [ContentDescriptor] {
    let known = index.manifests.filter {
      $0.platform?.os != "unknown" && $0.annotations?["vnd.docker.reference.type"] == nil
        // An archive may hold some platforms' manifests alone.
        && members[Self.member($0.digest)] != nil
    }
    let wanted = platform ?? .host
    let fitting = known.filter { $0.platform.map { wanted.runs($0) } ?? true }
    if platform != nil { return fitting }
    return fitting + known.filter { descriptor in !fitting.contains(descriptor) }
  }

  private func image(_ manifest: ImageManifest, references: [Reference]) throws -> ArchivedImage {
    let layers = try manifest.layers.map { layer in
      guard MediaType.isLayer(layer.mediaType) else {
        throw ArchiveError(member: Self.member(layer.digest), "\"\(layer.mediaType)\" isn't a layer")
      }
      return (member: Self.member(layer.digest), descriptor: Optional(layer))
    }
    return try image(
      try blob(manifest.config), member: Self.member(manifest.config.digest), layers: layers, references: references)
  }
}
