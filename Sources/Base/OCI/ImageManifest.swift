/// What a document of the image specification points to: a blob by its digest, with its size and type (descriptor.md).
public struct ContentDescriptor: Sendable, Equatable {
  public var mediaType: String
  public var digest: Digest
  /// Bytes.
  public var size: Int64
  public var annotations: [String: String]?
  public var platform: Platform?
  public var artifactType: String?

  public init(
    mediaType: String, digest: Digest, size: Int64, annotations: [String: String]? = nil, platform: Platform? = nil,
    artifactType: String? = nil
  ) {
    self.mediaType = mediaType
    self.digest = digest
    self.size = size
    self.annotations = annotations
    self.platform = platform
    self.artifactType = artifactType
  }
}

/// Where an image runs, in Go's words: `linux/arm64/v8`.
public struct Platform: Sendable, Hashable, CustomStringConvertible {
  public var os: String
  public var architecture: String
  public var variant: String?
  public var osVersion: String?

  public init(os: String, architecture: String, variant: String? = nil, osVersion: String? = nil) {
    self.os = os
    self.architecture = architecture
    self.variant = variant
    self.osVersion = osVersion
  }

  /// This machine's.
  public static let host: Platform = {
    #if arch(x86_64)
      Platform(os: "linux", architecture: "amd64")
    #elseif arch(arm64)
      Platform(os: "linux", architecture: "arm64", variant: "v8")
    #elseif arch(arm)
      Platform(os: "linux", architecture: "arm", variant: "v7")
    #elseif arch(riscv64)
      Platform(os: "linux", architecture: "riscv64")
    #elseif arch(s390x)
      Platform(os: "linux", architecture: "s390x")
    #elseif arch(powerpc64le)
      Platform(os: "linux", architecture: "ppc64le")
    #else
      Platform(os: "linux", architecture: "unknown")
    #endif
  }()

  public var description: String { ([os, architecture] + (variant.map { [$0] } ?? [])).joined(separator: "/") }

  /// `os/architecture[/variant]`, with the synonyms that containerd normalises (`x86_64`, `aarch64`, …).
  public init?(_ text: String) {
    let parts = text.split(separator: "/", omittingEmptySubsequences: false).map { $0.lowercased() }
    guard (2...3).contains(parts.count), parts.allSatisfy({ !$0.isEmpty }) else { return nil }
    self.init(os: parts[0], architecture: parts[1], variant: parts.count == 3 ? parts[2] : nil)
    self = normalised
  }

  public var normalised: Platform {
    var result = self
    switch architecture {
    case "x86_64", "x86-64": result.architecture = "amd64"
    case "aarch64": result.architecture = "arm64"
    case "i386", "i686": result.architecture = "386"
    case "armhf": (result.architecture, result.variant) = ("arm", "v7")
    case "armel": (result.architecture, result.variant) = ("arm", "v6")
    default: break
    }
    switch (result.architecture, result.variant ?? "") {
    case ("arm64", ""), ("arm64", "8"): result.variant = "v8"
    case ("arm", ""), ("arm", "7"): result.variant = "v7"
    case ("arm", "5"), ("arm", "6"), ("arm", "8"): result.variant = "v" + (result.variant ?? "")
    case ("amd64", "v1"), ("amd64", ""): result.variant = nil
    default: break
    }
    return result
  }

  /// Whether an image for `other` runs on this platform as it is.
  public func runs(_ other: Platform) -> Bool {
    let (own, other) = (normalised, other.normalised)
    guard own.os == other.os, own.architecture == other.architecture else { return false }
    switch own.architecture {
    // An older arm variant runs on a newer one.
    case "arm": return (other.variant ?? "v7") <= (own.variant ?? "v7")
    default: return own.variant == other.variant
    }
  }
}

/// One image's manifest: its configuration and its layers, bottom first (manifest.md; Docker's schema 2 is the same).
public struct ImageManifest: Sendable, Equatable {
  public var mediaType: String
  public var config: ContentDescriptor
  public var layers: [ContentDescriptor]
  public var annotations: [String: String]?

  public init(
    mediaType: String = MediaType.ociManifest, config: ContentDescriptor, layers: [ContentDescriptor],
    annotations: [String: String]? = nil
  ) {
    self.mediaType = mediaType
    self.config = config
    self.layers = layers
    self.annotations = annotations
  }
}

/// Several manifests under one name, one a platform (image-index.md; Docker's manifest list is the same).
public struct ImageIndex: Sendable, Equatable {
  public var mediaType: String
  public var manifests: [ContentDescriptor]
  public var annotations: [String: String]?

  public init(
    mediaType: String = MediaType.ociIndex, manifests: [ContentDescriptor], annotations: [String: String]? = nil
  ) {
    self.mediaType = mediaType
    self.manifests = manifests
    self.annotations = annotations
  }
}

/// The media types that name documents and layers.
public enum MediaType {
  public static let ociManifest = "application/vnd.oci.image.manifest.v1+json"
  public static let ociIndex = "application/vnd.oci.image.index.v1+json"
  public static let ociConfig = "application/vnd.oci.image.config.v1+json"
  public static let ociLayer = "application/vnd.oci.image.layer.v1.tar"
  public static let dockerManifest = "application/vnd.docker.distribution.manifest.v2+json"
  public static let dockerIndex = "application/vnd.docker.distribution.manifest.list.v2+json"
  public static let dockerConfig = "application/vnd.docker.container.image.v1+json"
  public static let dockerLayer = "application/vnd.docker.image.rootfs.diff.tar"

  public static func isManifest(_ type: String) -> Bool { type == ociManifest || type == dockerManifest }
  public static func isIndex(_ type: String) -> Bool { type == ociIndex || type == dockerIndex }
  public static func isConfig(_ type: String) -> Bool { type == ociConfig || type == dockerConfig }
  public static func isLayer(_ type: String) -> Bool {
    type.hasPrefix("application/vnd.oci.image.layer.") || type.hasPrefix("application/vnd.docker.image.rootfs.")
  }
}
