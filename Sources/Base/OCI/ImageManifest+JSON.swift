extension ContentDescriptor {
  public init(_ fields: JSONFields) throws(JSONError) {
    let digestText = try fields.required("digest", try fields.string("digest"))
    guard let digest = Digest(digestText) else {
      throw JSONError(path: fields.path(of: "digest"), "a sha256 digest is expected")
    }
    let size = try fields.required("size", try fields.int("size"))
    guard size >= 0 else { throw JSONError(path: fields.path(of: "size"), "a size can't be negative") }
    self.init(
      mediaType: try fields.string("mediaType") ?? "", digest: digest, size: size,
      annotations: try fields.map("annotations"),
      platform: try fields.object("platform") { fields throws(JSONError) in try Platform(fields) },
      artifactType: try fields.string("artifactType"))
  }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("mediaType", mediaType)
    document.set("digest", digest.description)
    document.set("size", size)
    document.set("annotations", annotations)
    document.set("platform", platform?.json)
    document.set("artifactType", artifactType)
    return document.json
  }
}

extension Platform {
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      os: try fields.string("os") ?? "", architecture: try fields.string("architecture") ?? "",
      variant: try fields.string("variant"), osVersion: try fields.string("os.version"))
  }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("architecture", architecture)
    document.set("os", os)
    document.set("os.version", osVersion)
    document.set("variant", variant)
    return document.json
  }
}

extension ImageManifest {
  /// Refuses a document that is index and manifest at once (CVE-2021-41190) and one whose `mediaType` says something else.
  public init(_ fields: JSONFields) throws(JSONError) {
    guard fields.value("manifests") == nil else {
      throw JSONError(path: fields.path(of: "manifests"), "a manifest can't be an index too")
    }
    try checkSchema(fields)
    let type = try fields.string("mediaType") ?? MediaType.ociManifest
    guard MediaType.isManifest(type) else {
      throw JSONError(path: fields.path(of: "mediaType"), "\"\(type)\" isn't a manifest")
    }
    guard let config = try fields.fields("config") else {
      throw JSONError(path: fields.path(of: "config"), "is missing")
    }
    self.init(
      mediaType: type, config: try ContentDescriptor(config),
      layers: try fields.list("layers") { fields throws(JSONError) in try ContentDescriptor(fields) } ?? [],
      annotations: try fields.map("annotations"))
    guard layers.count <= ImageConfig.maximumLayers else {
      throw JSONError(path: fields.path(of: "layers"), "more than \(ImageConfig.maximumLayers) layers")
    }
  }

  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(JSON.parse(bytes))) }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("schemaVersion", Int64(2))
    document.set("mediaType", mediaType)
    document.set("config", config.json)
    document.set("layers", .array(layers.map(\.json)))
    document.set("annotations", annotations)
    return document.json
  }
}

extension ImageIndex {
  /// Refuses a document that is index and manifest at once (CVE-2021-41190) and one whose `mediaType` says something else.
  public init(_ fields: JSONFields) throws(JSONError) {
    for key in ["layers", "config", "fsLayers"] where fields.value(key) != nil {
      throw JSONError(path: fields.path(of: key), "an index can't be a manifest too")
    }
    try checkSchema(fields)
    let type = try fields.string("mediaType") ?? MediaType.ociIndex
    guard MediaType.isIndex(type) else {
      throw JSONError(path: fields.path(of: "mediaType"), "\"\(type)\" isn't an index")
    }
    self.init(
      mediaType: type,
      manifests: try fields.list("manifests") { fields throws(JSONError) in try ContentDescriptor(fields) } ?? [],
      annotations: try fields.map("annotations"))
  }

  public init(decoding bytes: [UInt8]) throws(JSONError) { try self.init(JSONFields(JSON.parse(bytes))) }

  public var json: JSON {
    var document = JSONBuilder()
    document.set("schemaVersion", Int64(2))
    document.set("mediaType", mediaType)
    document.set("manifests", .array(manifests.map(\.json)))
    document.set("annotations", annotations)
    return document.json
  }
}

private func checkSchema(_ fields: JSONFields) throws(JSONError) {
  let version = try fields.int("schemaVersion") ?? 2
  guard version == 2 else {
    throw JSONError(path: fields.path(of: "schemaVersion"), "\(version) isn't supported, only 2 is")
  }
}
