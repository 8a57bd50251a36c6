import Snapshots
import Archive
import ContentStore
import Errdefs
import OCI

extension ImageArchive {
  /// As a signature policy calls it.
  var transport: String { members["manifest.json"] != nil ? "docker-archive" : "oci-archive" }

  /// The images that the archive names: by `manifest.json` when it has one (docker-archive), else by `index.json` (OCI layout).
  func images(platform: Platform?) throws -> [ArchivedImage] {
    if members["manifest.json"] != nil { return try dockerImages(platform: platform) }
    if members["index.json"] != nil { return try layoutImages(platform: platform) }
    throw EngineError.invalidParameter("invalid archive: it has neither manifest.json nor index.json")
  }

  /// moby image/tarexport: `[{"Config": path, "RepoTags": [names], "Layers": [paths, bottom first]}]`.
  private func dockerImages(platform: Platform?) throws -> [ArchivedImage] {
    let manifest = try JSON.parse(try document("manifest.json"))
    guard let items = manifest.arrayValue else { throw ArchiveError(member: "manifest.json", "a list is expected") }
    var images: [ArchivedImage] = []
    for (index, item) in items.enumerated() {
      let fields = try JSONFields(item, path: "manifest.json[\(index)]")
      let name = try fields.required("Config", try fields.string("Config"))
      let document = try document(name)
      let names = try fields.strings("Layers") ?? []
      let image = try image(
        document, member: name, layers: names.map { ($0, nil) },
        references: try (try fields.strings("RepoTags") ?? []).map { try Self.tag($0) })
      if let platform, !platform.runs(Self.platform(image.config)) { continue }
      images.append(image)
    }
    if let platform, images.isEmpty, !items.isEmpty {
      throw EngineError.notFound("no image in the archive is for the platform \(platform)")
    }
    return images
  }

  static func platform(_ config: ImageConfig) -> Platform {
    Platform(os: config.os, architecture: config.architecture, variant: config.variant)
  }

  /// A name with a tag, nothing else.
  static func tag(_ text: String) throws -> Reference {
    do throws(ReferenceError) {
      let reference = try Reference(text)
      guard reference.tag != nil, reference.digest == nil else { throw ReferenceError("invalid tag \"\(text)\"") }
      return reference
    } catch { throw EngineError.invalidParameter(error.description) }
  }

  /// Puts an image together from its configuration's bytes and the members of its layers with what is known of them.
  func image(
    _ document: [UInt8], member: String, layers: [(member: String, descriptor: ContentDescriptor?)],
    references: [Reference]
  ) throws -> ArchivedImage {
    let config: ImageConfig
    do throws(JSONError) { config = try ImageConfig(decoding: document) } catch {
      throw ArchiveError(member: member, "not an image's configuration: \(error)")
    }
    guard config.os.isEmpty || config.os == "linux" else {
      throw EngineError.invalidParameter("cannot load \(config.os) image on linux")
    }
    guard config.diffIDs.count == layers.count else {
      throw EngineError.invalidParameter(
        "invalid manifest, layers length mismatch: expected \(layers.count), got \(config.diffIDs.count)")
    }
    let parts = try zip(config.diffIDs, layers).map { diffID, layer in
      let body = try body(layer.member)
      let (digest, size): (Digest, Int64) =
        switch body {
        case .memory(let bytes, let digest): (digest, Int64(bytes.count))
        case .ingest(let ingest): (ingest.finish(), ingest.size)
        case .link: throw ArchiveError(member: layer.member, "it is a link")
        }
      if let expected = layer.descriptor, expected.digest != digest || expected.size != size {
        throw ArchiveError(
          member: layer.member, "it has the digest \(digest) and \(size) bytes, its manifest says otherwise")
      }
      return ArchivedLayer(diffID: diffID, member: layer.member, body: body, digest: digest, size: size)
    }
    return ArchivedImage(
      document: document, config: config, id: Digest(hashing: document), layers: parts, references: references)
  }
}
