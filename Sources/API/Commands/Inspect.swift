import EngineClient
import OCI

extension Command {
  static let inspect = Command(
    name: "inspect", usage: "[OPTIONS] NAME|ID [NAME|ID...]", summary: "Return low-level information on Berth objects",
    arguments: .atLeast(1),
    flags: [
      Flag(.string, "format", short: "f", Flag.inspectFormatHelp),
      Flag(.bool, "size", short: "s", "Display total file sizes if the type is container"),
      Flag(.string, "type", "Only inspect objects of the given type"),
    ]
  ) { invocation in
    let type = invocation.values.string("type")
    let wanted = Inspection.kinds.filter { type.isEmpty || $0.name == type }
    guard !wanted.isEmpty else {
      throw CommandFailure(
        "unknown type: \(GoText.quote(type)): must be one of "
          + Inspection.kinds.map { GoText.quote($0.name) }.sorted().joined(separator: ", "))
    }
    try Inspection.run(invocation, kinds: wanted)
  }

  static let containerInspect = Command(
    name: "inspect", usage: "[OPTIONS] CONTAINER [CONTAINER...]",
    summary: "Display detailed information on one or more containers",
    arguments: .atLeast(1),
    flags: [
      Flag(.string, "format", short: "f", Flag.inspectFormatHelp),
      Flag(.bool, "size", short: "s", "Display total file sizes"),
    ]
  ) { invocation in try Inspection.run(invocation, kinds: Inspection.kinds.filter { $0.name == "container" }) }

  static let imageInspect = Command(
    name: "inspect", usage: "[OPTIONS] IMAGE [IMAGE...]", summary: "Display detailed information on one or more images",
    arguments: .atLeast(1),
    flags: [
      Flag(.string, "format", short: "f", Flag.inspectFormatHelp),
      Flag(
        .string, "platform",
        "Inspect a specific platform of the multi-platform image.\nIf the image or the server is not multi-platform capable, the command will error out if the platform does not match.\n'os[/arch[/variant]]': Explicit platform (eg. linux/amd64)"
      ),
    ]
  ) { invocation in try Inspection.run(invocation, kinds: Inspection.kinds.filter { $0.name == "image" }) }

  static let networkInspect = Command(
    name: "inspect", usage: "[OPTIONS] NETWORK [NETWORK...]",
    summary: "Display detailed information on one or more networks",
    arguments: .atLeast(1),
    flags: [
      Flag(.string, "format", short: "f", Flag.inspectFormatHelp),
      Flag(.bool, "verbose", short: "v", "Verbose output for diagnostics"),
    ]
  ) { invocation in try Inspection.run(invocation, kinds: Inspection.kinds.filter { $0.name == "network" }) }

  static let volumeInspect = Command(
    name: "inspect", usage: "[OPTIONS] VOLUME [VOLUME...]",
    summary: "Display detailed information on one or more volumes",
    arguments: .atLeast(1), flags: [Flag(.string, "format", short: "f", Flag.inspectFormatHelp)]
  ) { invocation in try Inspection.run(invocation, kinds: Inspection.kinds.filter { $0.name == "volume" }) }
}

/// Objects by their names, as JSON with a member a line or through a template.
enum Inspection {
  struct Kind: Sendable {
    let name: String
    let path: @Sendable (String) -> String
  }

  static let kinds = [
    Kind(name: "container") { "/containers/\(PercentEncoding.encode($0))/json" },
    Kind(name: "image") { "/images/\(PercentEncoding.encodePath($0))/json" },
    Kind(name: "network") { "/networks/\(PercentEncoding.encode($0))" },
    Kind(name: "volume") { "/volumes/\(PercentEncoding.encode($0))" },
    Kind(name: "plugin") { "/plugins/\(PercentEncoding.encodePath($0))/json" },
  ]

  static func run(_ invocation: Invocation, kinds: [Kind]) throws {
    let format = invocation.values.string("format")
    var template: Template?
    if !format.isEmpty && format != "json" {
      do { template = try Template(format) } catch {
        throw CommandFailure("template parsing error: \(error)", status: 64)
      }
    }
    var objects: [[UInt8]] = []
    var text = ""
    var errors: [String] = []
    for name in invocation.arguments {
      do {
        let object = try find(invocation, name, kinds)
        if let template {
          let value = withBridgeAddress(try JSON.parse(object))
          text += try template.execute(TemplateValue(value), missingKey: .error) + "\n"
        } else {
          objects.append(object)
        }
      } catch let error as TemplateError {
        errors.append("template parsing error: \(error)")
      } catch let failure as CommandFailure {
        errors.append(failure.message)
      } catch { errors.append("\(error)") }
    }
    if template != nil {
      invocation.output.print(text.isEmpty ? "\n" : text)
    } else if objects.isEmpty {
      invocation.output.print("[]\n")
    } else {
      let list = Array("[".utf8) + Array(objects.joined(separator: Array(",".utf8))) + Array("]".utf8)
      if format == "json" {
        invocation.output.line(GoJSON.compact(list))
      } else {
        invocation.output.line(GoJSON.indent(list))
      }
    }
    guard errors.isEmpty else { throw CommandFailure(errors.joined(separator: "\n")) }
  }

  /// The default network's endpoint as members of NetworkSettings, where scripts look for it though API 1.52 dropped
  /// them.
  private static func withBridgeAddress(_ container: JSON) -> JSON {
    guard var settings = container["NetworkSettings"], settings["IPAddress"] == nil else { return container }
    let endpoint = settings["Networks"]?["bridge"]
    for key in ["EndpointID", "Gateway", "GlobalIPv6Address", "IPAddress", "IPv6Gateway", "MacAddress"] {
      settings[key] = endpoint?[key] ?? ""
    }
    for key in ["GlobalIPv6PrefixLen", "IPPrefixLen"] { settings[key] = endpoint?[key] ?? 0 }
    var container = container
    container["NetworkSettings"] = settings
    return container
  }

  /// The first kind that has an object of that name. What the daemon can't do yet is as if there were none.
  private static func find(_ invocation: Invocation, _ name: String, _ kinds: [Kind]) throws -> [UInt8] {
    let client = try invocation.client
    guard !name.isEmpty else { throw CommandFailure("Error: No such object: ") }
    for kind in kinds {
      var query = Query()
      if kind.name == "container" { query.add("size", invocation.values.bool("size")) }
      if kind.name == "network" { query.add("verbose", invocation.values.bool("verbose")) }
      if kind.name == "image" { query.add("platform", ifAny: invocation.values.string("platform")) }
      do {
        let object = try client.get(kind.path(name), query: query).readAll()
        if kind.name != "container" && invocation.values.bool("size") {
          invocation.context.printError("WARNING: --size ignored for \(kind.name)")
        }
        return object
      } catch let error as ClientError where kinds.count > 1 {
        let isSkippable =
          error.status == 404 || error.status == 501 || error.description.contains("not supported")
          || error.description.contains("invalid reference format")
        guard isSkippable else { throw error }
      }
    }
    throw CommandFailure("Error: No such object: \(name)")
  }
}
