import Containers
import Errdefs
import Images
import OCI
import Volumes

/// `GET /system/df`: what images, containers and volumes hold on the disk. A build cache doesn't exist yet.
struct DiskUsage: Sendable {
  var images: [JSON]?
  /// Bytes of all layers, each counted once.
  var layersSize: Int64 = 0
  var usedImages = 0
  /// Bytes of images that no container uses.
  var reclaimableImages: Int64 = 0
  var containers: [JSON]?
  var containersSize: Int64 = 0
  var runningContainers = 0
  var reclaimableContainers: Int64 = 0
  var volumes: [JSON]?
  var volumesSize: Int64 = 0
  var usedVolumes = 0
  var reclaimableVolumes: Int64 = 0
  var hasBuildCache = false

  static func read(_ nouns: EngineNouns, version: APIVersion, wanted: Set<String>) async throws -> DiskUsage {
    var usage = DiskUsage()
    usage.hasBuildCache = wanted.contains("build-cache")
    if wanted.contains("image") { try usage.readImages(nouns, version) }
    if wanted.contains("container") { try await usage.readContainers(nouns, version) }
    if wanted.contains("volume") { try await usage.readVolumes(nouns) }
    return usage
  }

  private mutating func readImages(_ nouns: EngineNouns, _ version: APIVersion) throws {
    let shapes = ImageShapes(version: version)
    let list = try nouns.images.list(sharedSize: true, containerCounts: true)
    var layers: [Digest: Int64] = [:]
    for summary in list {
      for (layer, size) in try Self.layers(of: summary.image, nouns.images) { layers[layer] = size }
      if summary.containers > 0 {
        usedImages += 1
      } else {
        reclaimableImages += summary.image.size - max(0, summary.sharedSize)
      }
    }
    layersSize = layers.values.reduce(0, &+)
    images = list.map(shapes.summary)
  }

  /// A layer's size is what its step in the history shows.
  private static func layers(of image: Image, _ images: Images) throws -> [(Digest, Int64)] {
    let steps = image.config.history
    let sizes = try images.history(image.id.description).reversed().map(\.size)
    guard steps.count == sizes.count else { return image.layers.first.map { [($0, image.size)] } ?? [] }
    let ofLayers = zip(steps, sizes).filter { !$0.0.emptyLayer }.map(\.1)
    return Array(zip(image.layers, ofLayers))
  }

  private mutating func readContainers(_ nouns: EngineNouns, _ version: APIVersion) async throws {
    let shapes = ContainerShapes(version: version, defaultRuntime: nouns.facts.defaultRuntime)
    let now = Clock.now()
    var rows: [JSON] = []
    for container in try nouns.containers.list(ListOptions(all: true)) {
      let size: (written: Int64, total: Int64)
      do {
        let stamp = "\(container.state.status) \(container.state.startedAt) \(container.state.finishedAt)"
        size = try await nouns.sizes.size(
          "container \(container.id)", stamp: stamp, changes: container.state.alive
        ) { try await nouns.containers.size(container.id) }
      } catch let error as EngineError
        where error.kind == .notFound
      { continue }
      containersSize += size.written
      if container.state.alive { runningContainers += 1 } else { reclaimableContainers += size.written }
      rows.append(shapes.summary(container, image: container.config.image, now: now, size: size))
    }
    containers = rows
  }

  private mutating func readVolumes(_ nouns: EngineNouns) async throws {
    var rows: [JSON] = []
    defer { nouns.sizes.forgetUnused() }
    for volume in try nouns.volumes.list() {
      let references = nouns.volumes.references(volume.id)
      let size: Int64
      do {
        size = try await nouns.sizes.size("volume \(volume.id)", stamp: "\(references)", changes: references > 0) {
          (try await nouns.volumes.usage(of: volume.id), 0)
        }.0
      } catch let error as EngineError
        where error.kind == .notFound
      { continue }
      volumesSize += max(0, size)
      if references > 0 { usedVolumes += 1 } else { reclaimableVolumes += max(0, size) }
      rows.append(VolumeShapes.volume(volume, usage: (size, references)))
    }
    volumes = rows
  }

  /// Versions before 1.52 have lists; from then on there are sums, with the lists' items when `verbose`, and the old lists beside them
  /// when not, since clients ask for the newest version without knowing it.
  func json(_ version: APIVersion, verbose: Bool) -> JSON {
    var json = JSONBuilder()
    if !verbose {
      if images != nil { json.set("LayersSize", layersSize) }
      json.set("Images", images.map { .array($0) } ?? (version.diskUsageHasUsageObjects ? nil : .null))
      json.set("Containers", containers.map { .array($0) } ?? (version.diskUsageHasUsageObjects ? nil : .null))
      json.set("Volumes", volumes.map { .array($0) } ?? (version.diskUsageHasUsageObjects ? nil : .null))
      json.set("BuildCache", hasBuildCache ? [] : (version.diskUsageHasUsageObjects ? nil : .null))
    }
    guard version.diskUsageHasUsageObjects else { return json.json }
    if let images {
      json.set(
        "ImageUsage",
        Self.usage(active: usedImages, images, reclaimable: reclaimableImages, size: layersSize, verbose: verbose))
    }
    if let containers {
      json.set(
        "ContainerUsage",
        Self.usage(
          active: runningContainers, containers, reclaimable: reclaimableContainers, size: containersSize,
          verbose: verbose))
    }
    if let volumes {
      json.set(
        "VolumeUsage",
        Self.usage(
          active: usedVolumes, volumes, reclaimable: reclaimableVolumes, size: volumesSize, verbose: verbose))
    }
    if hasBuildCache { json.set("BuildCacheUsage", [:]) }
    return json.json
  }

  private static func usage(active: Int, _ items: [JSON], reclaimable: Int64, size: Int64, verbose: Bool) -> JSON {
    var json = JSONBuilder()
    if active != 0 { json.set("ActiveCount", JSON(active)) }
    if verbose, !items.isEmpty { json.set("Items", .array(items)) }
    if reclaimable != 0 { json.set("Reclaimable", reclaimable) }
    if !items.isEmpty { json.set("TotalCount", JSON(items.count)) }
    if size != 0 { json.set("TotalSize", size) }
    return json.json
  }
}
