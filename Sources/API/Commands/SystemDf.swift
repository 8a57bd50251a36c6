import EngineClient
import OCI

extension Command {
  static let systemDf = Command(
    name: "df", usage: "[OPTIONS]", summary: "Show disk usage", arguments: .none,
    flags: [
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "verbose", short: "v", "Show detailed information on space usage"),
    ]
  ) { invocation in
    let format = invocation.values.string("format")
    let isTable = ["", "table"].contains(format)
    let usage = DiskUsage(try invocation.client.get("/system/df").json())
    if invocation.values.bool("verbose") {
      guard isTable else { throw CommandFailure("--verbose has no formats but its own table") }
      invocation.output.print(try usage.details())
      return
    }
    let table = try TableFormat(
      isTable ? "table {{.Type}}\t{{.TotalCount}}\t{{.Active}}\t{{.Size}}\t{{.Reclaimable}}" : format)
    let titles = [
      "Type": "TYPE", "TotalCount": "TOTAL", "Active": "ACTIVE", "Size": "SIZE", "Reclaimable": "RECLAIMABLE",
    ]
    invocation.output.print(try table.render(titles: titles, rows: usage.rows))
  }
}

/// What takes space, by kind.
private struct DiskUsage {
  private let images: [JSON]
  private let containers: [JSON]
  private let volumes: [JSON]
  private let cache: [JSON]
  private let layers: Int64

  /// Both shapes of the answer: lists of objects, and since API 1.52 `…Usage` with `Items`.
  init(_ json: JSON) {
    func list(_ old: String, _ new: String) -> [JSON] { json[old]?.arrayValue ?? json[new]?["Items"]?.arrayValue ?? [] }
    images = list("Images", "ImageUsage")
    containers = list("Containers", "ContainerUsage")
    volumes = list("Volumes", "VolumeUsage")
    cache = list("BuildCache", "BuildCacheUsage")
    layers = json["LayersSize"]?.intValue ?? json["ImageUsage"]?["TotalSize"]?.intValue ?? 0
  }

  private func int(_ json: JSON?, _ key: String) -> Int64 { json?[key]?.intValue ?? 0 }

  var rows: [TemplateRecord] {
    let usedImages = images.filter {
      int($0, "Containers") != 0 && int($0, "Size") != -1 && int($0, "SharedSize") != -1
    }
    .reduce(0) { $0 &+ int($1, "Size") &- int($1, "SharedSize") }
    let running = containers.filter { ["running", "paused", "restarting"].contains($0["State"]?.stringValue ?? "") }
    let containerSize = containers.reduce(0) { $0 &+ int($1, "SizeRw") }
    let runningSize = running.reduce(0) { $0 &+ int($1, "SizeRw") }
    let sized = volumes.filter { int($0["UsageData"], "Size") != -1 }
    let volumeSize = sized.reduce(0) { $0 &+ int($1["UsageData"], "Size") }
    let usedVolumes = sized.filter { int($0["UsageData"], "RefCount") > 0 }
    let cacheSize = cache.filter { $0["Shared"]?.boolValue != true }.reduce(0) { $0 &+ int($1, "Size") }
    let usedCache = cache.filter { $0["InUse"]?.boolValue == true }
    let usedCacheSize = usedCache.filter { $0["Shared"]?.boolValue != true }.reduce(0) { $0 &+ int($1, "Size") }
    return [
      row(
        "Images", images.count, images.count { int($0, "Containers") > 0 }, layers, layers &- usedImages, percent: true),
      row("Containers", containers.count, running.count, containerSize, containerSize &- runningSize, percent: true),
      row(
        "Local Volumes", volumes.count, volumes.count { int($0["UsageData"], "RefCount") > 0 }, volumeSize,
        volumeSize &- usedVolumes.reduce(0) { $0 &+ int($1["UsageData"], "Size") }, percent: true),
      row("Build Cache", cache.count, usedCache.count, cacheSize, cacheSize &- usedCacheSize, percent: false),
    ]
  }

  private func row(_ type: String, _ total: Int, _ active: Int, _ size: Int64, _ free: Int64, percent: Bool)
    -> TemplateRecord
  {
    let share = percent && size > 0 ? " (\(Int(min(max(Double(free) / Double(size), 0), 1) * 100))%)" : ""
    let fields = [
      "Type": type, "TotalCount": "\(total)", "Active": "\(active)", "Size": HumanUnits.size(Double(size)),
      "Reclaimable": HumanUnits.size(Double(free)) + share,
    ]
    return TemplateRecord(typeName: "*formatter.diskUsageContext", names: Array(fields.keys)) {
      fields[$0].map { .string($0) }
    }
  }

  func details() throws -> String {
    let imageRows = images.map { image -> ImageRow in
      let (name, tag, _) = ImageName.split(image["RepoTags"]?[0]?.stringValue ?? "<none>:<none>")
      return ImageRow(
        image: image, truncates: true, repository: ImageName.shortened(name), tag: tag ?? "<none>", digest: "")
    }
    var text = "Images space usage:\n\n"
    text += try TableFormat(
      "table {{.Repository}}\t{{.Tag}}\t{{.ID}}\t{{.CreatedSince}}\t{{.Size}}\t{{.SharedSize}}\t{{.UniqueSize}}\t{{.Containers}}"
    ).render(titles: ImageRow.titles, rows: imageRows.map(\.record))
    text += "\nContainers space usage:\n\n"
    text += try TableFormat(
      "table {{.ID}}\t{{.Image}}\t{{.Command}}\t{{.LocalVolumes}}\t{{.Size}}\t{{.RunningFor}}\t{{.Status}}\t{{.Names}}"
    ).render(
      titles: ContainerRow.titles,
      rows: containers.map { container in
        var container = container
        container["SizeRootFs"] = 0
        return ContainerRow(container, truncates: true).record
      })
    text += "\nLocal Volumes space usage:\n\n"
    text += try TableFormat("table {{.Name}}\t{{.Links}}\t{{.Size}}").render(
      titles: VolumeRow.titles, rows: volumes.map { VolumeRow($0).record })
    text += "\nBuild cache usage: \(HumanUnits.size(Double(cache.reduce(0) { $0 &+ int($1, "Size") })))\n\n"
    text += "CACHE ID   CACHE TYPE   SIZE      CREATED   LAST USED   USAGE     SHARED\n"
    return text
  }
}
