public import Errdefs
public import OCI
import Snapshots
import Synchronization

extension Images {
  /// The newest first. `filters` as the API has them: `dangling`, `label`, `reference`, `before`, `since`, `until`.
  public func list(filters: [String: [String]] = [:], sharedSize: Bool = false, containerCounts: Bool = false)
    throws(EngineError) -> [ImageSummary]
  {
    let table = table.withLock { $0 }
    let filter = try ImageFilter(filters, accepting: ["dangling", "label", "before", "since", "reference", "until"])
    let before = try filter.values("before").map { value throws(EngineError) in
      try Self.resolve(value, in: table).created
    }.min()
    let since = try filter.values("since").map { value throws(EngineError) in try Self.resolve(value, in: table).created
    }.max()
    let until = try filter.until()
    let dangling = try filter.bool("dangling")
    let patterns = filter.values("reference")
    let uses = containerCounts ? imageUses() : []
    let users = sharedSize ? table.layerUsers() : [:]

    var result: [ImageSummary] = []
    for image in table.images.values {
      if let before, image.created >= before { continue }
      if let since, image.created <= since { continue }
      if let until, image.created >= until { continue }
      guard filter.labels("label", match: image.config.config.labels ?? [:]) else { continue }
      var tags = image.references
      var digests = image.digests
      if !patterns.isEmpty {
        tags = tags.filter { reference in patterns.contains { Glob.matches(reference, familiar: $0) } }
        digests = digests.filter { reference in patterns.contains { Glob.matches(reference, familiar: $0) } }
        if tags.isEmpty, digests.isEmpty { continue }
      }
      let isDangling = image.references.isEmpty && image.digests.isEmpty
      if dangling == true, !image.references.isEmpty { continue }
      if dangling == false, isDangling { continue }
      // What was built upon isn't shown by itself.
      if isDangling, !table.children(of: image.id).isEmpty { continue }
      result.append(
        ImageSummary(
          image: image, repoTags: tags.map(\.familiar), repoDigests: digests.map(\.familiar),
          sharedSize: sharedSize ? Self.sharedSize(of: image, table, users) : -1,
          containers: containerCounts ? Int64(uses.count { $0.image == image.id }) : -1))
    }
    return result.sorted { ($0.image.created, $0.image.id) > ($1.image.created, $1.image.id) }
  }

  private static func sharedSize(of image: Image, _ table: ImageTable, _ users: [Digest: Int]) -> Int64 {
    image.layers.reduce(0) { $0 &+ (users[$1, default: 0] > 1 ? table.layers[$1]?.size ?? 0 : 0) }
  }

  /// `GraphDriver.Data` of an image.
  public func graphData(_ image: Image) -> [String: String] { snapshotter.graphData(layers: image.layers) }

  /// Ids of the containers that were made of each image.
  public func usesByImage() -> [Digest: [String]] {
    Dictionary(grouping: imageUses(), by: \.image).mapValues { $0.map(\.containerID).sorted() }
  }

  /// Topmost first.
  public func history(_ name: String) throws(EngineError) -> [ImageHistoryItem] {
    let table = table.withLock { $0 }
    let image = try Self.resolve(name, in: table)
    var layers = image.layers[...]
    var items: [ImageHistoryItem] = []
    for step in image.config.history {
      let layer = step.emptyLayer ? nil : layers.popFirst()
      items.append(
        ImageHistoryItem(
          id: "<missing>", created: step.created.flatMap { Timestamp($0) }, createdBy: step.createdBy ?? "", tags: nil,
          size: layer.flatMap { table.layers[$0]?.size } ?? 0, comment: step.comment ?? ""))
    }
    items.reverse()
    if let top = items.first {
      items[0] = ImageHistoryItem(
        id: image.id.description, created: top.created, createdBy: top.createdBy, tags: image.repoTags, size: top.size,
        comment: top.comment)
    }
    return items
  }
}
