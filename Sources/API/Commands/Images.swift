import EngineClient
import OCI

extension Command {
  static let images = Command(
    name: "images", usage: "[OPTIONS] [REPOSITORY[:TAG]]", summary: "List images",
    aliases: ["image ls", "image list", "images"], arguments: .atMost(1),
    flags: [
      Flag(.bool, "all", short: "a", "Show all images (default hides intermediate images)"),
      Flag(.bool, "digests", "Show digests"),
      Flag(.filter, "filter", short: "f", "Filter output based on conditions provided"),
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "no-trunc", "Don't truncate output"),
      Flag(.bool, "quiet", short: "q", "Only show image IDs"),
      Flag(.bool, "tree", "List multi-platform images as a tree (EXPERIMENTAL)"),
    ]
  ) { invocation in
    let values = invocation.values
    var filters = values.list("filter")
    if let reference = invocation.arguments.first { filters.append("reference=\(reference)") }
    var query = Query()
    query.add("all", values.bool("all"))
    query.add("filters", ifAny: Filters.parameter(filters))
    let digests = values.bool("digests")
    let format = ImageRow.format(values.string("format"), quiet: values.bool("quiet"), digests: digests)
    let table = try TableFormat(format)
    let images = try invocation.client.get("/images/json", query: query).json().arrayValue ?? []
    if values.bool("tree") {
      invocation.output.print(tree(images))
      return
    }
    let rows = images.flatMap { image in
      ImageRow.rows(
        image, truncates: !values.bool("no-trunc"), needsDigest: digests || format.contains("{{.Digest}}"),
        showsDigests: digests)
    }
    invocation.output.print(try table.render(titles: ImageRow.titles, rows: rows.map(\.record)))
    if images.isEmpty, invocation.path == "berth images", let name = invocation.arguments.first,
      CommandTree.groups.first(where: { $0.name == "image" })?.find(name) != nil
    {
      invocation.context.printError(
        "\nNo images found matching \(GoText.quote(name)): did you mean \"berth image \(name)\"?")
    }
  }

  private static func tree(_ images: [JSON]) -> String {
    var writer = TabWriter(minimumWidth: 10, padding: 3)
    writer.write("IMAGE\tID\tDISK USAGE\tIN USE\n")
    for image in images {
      let names = (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).map { ImageName.familiar($0) }
      let use = (image["Containers"]?.intValue ?? 0) > 0 ? "U" : ""
      let size = HumanUnits.size(image["Size"]?.doubleValue ?? 0, precision: 3)
      for name in names.isEmpty ? ["<untagged>"] : names {
        writer.write("\(name)\t\(ImageName.shortID(image["Id"]?.stringValue ?? ""))\t\(size)\t\(use)\n")
      }
    }
    return writer.finish()
  }
}

/// An image's name or digest, as `images` shows it.
struct ImageRow {
  let image: JSON
  let truncates: Bool
  let repository: String
  let tag: String
  let digest: String

  static let titles = [
    "ID": "IMAGE ID", "Repository": "REPOSITORY", "Tag": "TAG", "Digest": "DIGEST", "CreatedSince": "CREATED",
    "CreatedAt": "CREATED AT", "Size": "SIZE", "Containers": "CONTAINERS", "VirtualSize": "SIZE",
    "SharedSize": "SHARED SIZE",
    "UniqueSize": "UNIQUE SIZE",
  ]

  static func format(_ source: String, quiet: Bool, digests: Bool) -> String {
    switch source {
    case "", "table":
      if quiet { return "{{.ID}}" }
      let digest = digests ? "{{.Digest}}\t" : ""
      return
        "table {{.Repository}}\t{{.Tag}}\t\(digest){{.ID}}\t{{if .CreatedSince }}{{.CreatedSince}}{{else}}N/A{{end}}\t{{.Size}}"
    case "raw":
      if quiet { return "image_id: {{.ID}}" }
      return "repository: {{.Repository}}\ntag: {{.Tag}}\n" + (digests ? "digest: {{.Digest}}\n" : "")
        + "image_id: {{.ID}}\ncreated_at: {{.CreatedAt}}\nvirtual_size: {{.Size}}\n"
    default:
      return source.hasPrefix("table") && digests && !source.contains("{{.Digest}}") ? source + "\t{{.Digest}}" : source
    }
  }

  /// A row for each tag, and for each digest without one.
  static func rows(_ image: JSON, truncates: Bool, needsDigest: Bool, showsDigests: Bool) -> [ImageRow] {
    func row(_ repository: String, _ tag: String, _ digest: String) -> ImageRow {
      ImageRow(image: image, truncates: truncates, repository: repository, tag: tag, digest: digest)
    }
    let tags = (image["RepoTags"]?.arrayValue ?? []).compactMap(\.stringValue).filter { $0 != "<none>:<none>" }
    let digests = (image["RepoDigests"]?.arrayValue ?? []).compactMap(\.stringValue).filter { $0 != "<none>@<none>" }
    if tags.isEmpty && digests.isEmpty { return [row("<none>", "<none>", "<none>")] }
    var result: [ImageRow] = []
    var named: Set<String> = []
    let parsedDigests = digests.map {
      (name: ImageName.shortened(ImageName.split($0).name), digest: ImageName.split($0).digest ?? "")
    }
    for text in tags {
      let (name, tag, _) = ImageName.split(text)
      let short = ImageName.shortened(name)
      named.insert(short)
      let own = needsDigest ? parsedDigests.filter { $0.name == short } : []
      if own.isEmpty { result.append(row(short, tag ?? "<none>", "<none>")) }
      for entry in own { result.append(row(short, tag ?? "<none>", entry.digest)) }
    }
    var seen: Set<String> = []
    for entry in parsedDigests where !named.contains(entry.name) {
      if showsDigests {
        result.append(row(entry.name, "<none>", entry.digest))
      } else if seen.insert(entry.name).inserted {
        result.append(row(entry.name, "<none>", ""))
      }
    }
    return result
  }

  private static let names = [
    "Containers", "CreatedAt", "CreatedSince", "Digest", "ID", "Repository", "SharedSize", "Size", "Tag", "UniqueSize",
    "VirtualSize",
  ]

  var record: TemplateRecord {
    TemplateRecord(typeName: "*formatter.imageContext", names: ImageRow.names) { name in field(name).map { .string($0) }
    }
  }

  private func size(_ bytes: Int64?, precision: Int = 4) -> String {
    HumanUnits.size(Double(bytes ?? 0), precision: precision)
  }

  private func field(_ name: String) -> String? {
    let id = image["Id"]?.stringValue ?? ""
    let total = image["Size"]?.intValue
    let shared = image["SharedSize"]?.intValue ?? -1
    switch name {
    case "ID": return truncates ? ImageName.shortID(id) : id
    case "Repository": return repository
    case "Tag": return tag
    case "Digest": return digest
    case "CreatedSince": return Ago.text(seconds: image["Created"]?.intValue ?? 0)
    case "CreatedAt": return Timestamps.text(seconds: image["Created"]?.intValue ?? 0)
    case "Size": return size(total, precision: 3)
    case "Containers":
      let count = image["Containers"]?.intValue ?? -1
      return count == -1 ? "N/A" : "\(count)"
    case "VirtualSize": return size(total)
    case "SharedSize": return shared == -1 ? "N/A" : size(shared)
    case "UniqueSize": return shared == -1 || total == -1 ? "N/A" : size((total ?? 0) &- shared)
    default: return nil
    }
  }
}
