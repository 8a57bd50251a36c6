import Snapshots
import Archive
import ContentStore
import Errdefs
import Kernel
import OCI
import Synchronization

extension Images {
  /// `docker save`: an OCI layout that is a docker-archive too, written in order to `write`, which may block. A repository without a tag
  /// stands for all of its tags; an id saves the image without a name. The same images make the same bytes.
  public func save(_ names: [String], write: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) async throws {
    let selection = try select(names)
    try await onThread(work) { [self] in
      let pin = Pin(self)
      defer { pin.release() }
      try refusing("save") {
        let plan = try SavePlan(selection, layers: table.withLock { $0.layers }, content: content, pin: pin)
        try plan.write(to: TarWriter(write), content: content)
      }
      for (image, _) in selection {
        tell("save", image.id.description, name: image.id.description, labels: image.config.config.labels ?? [:])
      }
    }
  }

  /// The images, each with the names to save it under, in the order of their first mention.
  private func select(_ names: [String]) throws(EngineError) -> [(image: Image, references: [Reference])] {
    let table = table.withLock { $0 }
    var order: [Digest] = []
    var references: [Digest: Set<Reference>] = [:]
    func add(_ id: Digest, _ reference: Reference?) {
      if references[id] == nil {
        order.append(id)
        references[id] = []
      }
      if let reference { references[id]?.insert(reference) }
    }
    for name in names {
      if let reference = try? Reference(name), reference.tag == nil, reference.digest == nil {
        let tags = table.names.filter { $0.key.name == reference.name && $0.key.tag != nil }
        for (tag, id) in tags.sorted(by: { $0.key.description < $1.key.description }) { add(id, tag) }
        if !tags.isEmpty { continue }
      }
      let image = try Self.resolve(name, in: table)
      let reference = (try? Reference(name)).map { Self.key($0) }
      add(image.id, reference.flatMap { image.references.contains($0) ? $0 : nil })
    }
    return order.compactMap { id in
      table.images[id].map { ($0, (references[id] ?? []).sorted { $0.description < $1.description }) }
    }
  }
}

/// What goes into the archive: blobs of memory and of the store, then the documents that name them.
private struct SavePlan {
  private var blobs: [Digest: [UInt8]?] = [:]
  private var manifests: [JSON] = []
  private var index: [ContentDescriptor] = []
  private var repositories: [String: [String: String]] = [:]

  init(
    _ images: [(image: Image, references: [Reference])], layers: [Digest: ImageTable.LayerEntry], content: ContentStore,
    pin: Images.Pin
  ) throws {
    for (image, references) in images {
      pin.hold(image.id)
      let document = try content.read(image.id)
      blobs[image.id] = document
      var descriptors: [ContentDescriptor] = []
      for layer in image.layers {
        guard let blob = layers[layer]?.blob else {
          throw EngineError.system("layer \(layer) isn't kept as an archive")
        }
        pin.hold(blob.digest)
        if !blobs.keys.contains(blob.digest) { blobs[blob.digest] = .some(nil) }
        descriptors.append(blob)
      }
      let manifest = ImageManifest(
        config: ContentDescriptor(mediaType: MediaType.ociConfig, digest: image.id, size: Int64(document.count)),
        layers: descriptors)
      let bytes = manifest.json.encoded()
      let digest = Digest(hashing: bytes)
      blobs[digest] = bytes
      let base = ContentDescriptor(mediaType: manifest.mediaType, digest: digest, size: Int64(bytes.count))
      for reference in references {
        var named = base
        named.annotations = [
          "io.containerd.image.name": reference.description, "org.opencontainers.image.ref.name": reference.tag ?? "",
        ]
        index.append(named)
        repositories[reference.familiarName, default: [:]][reference.tag ?? ""] =
          descriptors.last?.digest.hex ?? image.id.hex
      }
      if references.isEmpty { index.append(base) }
      manifests.append([
        "Config": .string(Self.path(image.id)),
        "RepoTags": references.isEmpty ? .null : JSON(references.map(\.familiar)),
        "Layers": JSON(descriptors.map { Self.path($0.digest) }),
      ])
    }
  }

  private static func path(_ digest: Digest) -> String { "blobs/sha256/\(digest.hex)" }

  func write(to writer: TarWriter, content: ContentStore) throws {
    func entry(_ name: String, _ kind: TarEntry.Kind = .file) -> TarEntry {
      var entry = TarEntry()
      entry.name = Array(name.utf8)
      entry.kind = kind
      entry.mode = kind == .directory ? 0o755 : 0o644
      return entry
    }
    try writer.add(entry("blobs/", .directory))
    try writer.add(entry("blobs/sha256/", .directory))
    for (digest, bytes) in blobs.sorted(by: { $0.key < $1.key }) {
      if let bytes {
        try writer.add(entry(Self.path(digest)), data: bytes)
      } else {
        try Self.copy(digest, entry(Self.path(digest)), writer, content)
      }
    }
    let documents: [(String, JSON)] = [
      ("index.json", ImageIndex(manifests: index).json), ("manifest.json", .array(manifests)),
      ("oci-layout", ["imageLayoutVersion": "1.0.0"]),
    ]
    for (name, document) in documents { try writer.add(entry(name), data: document.encoded()) }
    if !repositories.isEmpty {
      let sorted = repositories.sorted { $0.key < $1.key }.map { ($0.key, JSON($0.value)) }
      try writer.add(entry("repositories"), data: JSON.object(JSONObject(sorted)).encoded())
    }
    try writer.finish()
  }

  private static func copy(_ digest: Digest, _ entry: TarEntry, _ writer: TarWriter, _ content: ContentStore) throws {
    let (file, size) = try content.open(digest)
    var entry = entry
    entry.size = size
    try writer.add(entry)
    let source = FileRangeSource(file, length: size)
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
    defer { chunk.deallocate() }
    while true {
      let count = try source.read(into: chunk)
      if count == 0 { return }
      try writer.data(UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    }
  }
}
