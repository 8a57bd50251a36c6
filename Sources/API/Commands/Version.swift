import CLinux
import EngineClient
import Kernel
import OCI

extension Command {
  static let version = Command(
    name: "version", usage: "[OPTIONS]", summary: "Show the Berth version information", arguments: .none,
    flags: [Flag(.string, "format", short: "f", Flag.inspectFormatHelp)]
  ) { invocation in
    let format = invocation.values.string("format")
    var server: JSON?
    var failure: (any Error)?
    do { server = try invocation.client.get("/version").json() } catch { failure = error }
    server = server.map(withDates)
    let client = clientVersion(server)
    if format.isEmpty {
      invocation.output.print(layout(client: client, server: server))
    } else {
      let template: Template
      do { template = try Template(format == "json" ? "{{json .}}" : format, name: "version") } catch {
        throw CommandFailure("template parsing error: \(error)", status: 64)
      }
      let data: JSON = ["Client": client, "Server": server ?? .null]
      invocation.output.line(try template.execute(TemplateValue(data), missingKey: .error))
    }
    if let failure { throw failure }
  }

  private static func clientVersion(_ server: JSON?) -> JSON {
    let version = Context.environment("DOCKER_API_VERSION") ?? server?["ApiVersion"]?.stringValue ?? "1.55"
    var client = JSONBuilder()
    client.set("Version", Commands.version)
    client.set("ApiVersion", version)
    client.set("DefaultAPIVersion", version)
    client.set("GitCommit", "")
    client.set("GoVersion", "")
    client.set("Os", "linux")
    client.set("Arch", architecture)
    client.set("BuildTime", "")
    client.set("Context", "default")
    return client.json
  }

  /// In Go's words.
  private static var architecture: String {
    let machine = (try? Sys.uname().machine) ?? ""
    return machine == "x86_64" ? "amd64" : machine == "aarch64" ? "arm64" : machine
  }

  /// The engine's build time in words.
  private static func withDates(_ server: JSON) -> JSON {
    var server = server
    var components = server["Components"]?.arrayValue ?? []
    if !components.contains(where: { $0["Name"]?.stringValue == "Engine" }) {
      var details = JSONBuilder()
      for (name, key) in [
        ("ApiVersion", "ApiVersion"), ("Arch", "Arch"), ("BuildTime", "BuildTime"), ("GitCommit", "GitCommit"),
        ("GoVersion", "GoVersion"), ("MinAPIVersion", "MinAPIVersion"), ("Os", "Os"),
      ] {
        details.set(name, server[key]?.stringValue ?? "")
      }
      details.set("Experimental", server["Experimental"]?.boolValue == true ? "true" : "false")
      components.append(["Name": "Engine", "Version": server["Version"] ?? "", "Details": details.json])
    }
    server["Components"] = .array(
      components.map { component in
        guard let time = component["Details"]?["BuildTime"]?.stringValue else { return component }
        var (component, details) = (component, component["Details"] ?? .null)
        details["BuildTime"] = .string(Timestamps.ansic(time))
        component["Details"] = details
        return component
      })
    return server
  }

  private static func layout(client: JSON, server: JSON?) -> String {
    var writer = TabWriter(minimumWidth: 20, padding: 1)
    func text(_ json: JSON?, _ key: String) -> String { json?[key]?.stringValue ?? "" }
    var body = "Client:\n Version:\t\(text(client, "Version"))\n API version:\t\(text(client, "ApiVersion"))\n"
    body += " OS/Arch:\t\(text(client, "Os"))/\(text(client, "Arch"))\n Context:\t\(text(client, "Context"))"
    if let server {
      let platform = text(server["Platform"], "Name")
      body += "\n\nServer:" + (platform.isEmpty ? "" : " \(platform)")
      for component in server["Components"]?.arrayValue ?? [] {
        let details = component["Details"]
        body += "\n \(text(component, "Name")):\n  Version:\t\(text(component, "Version"))"
        if text(component, "Name") == "Engine" {
          body += "\n  API version:\t\(text(details, "ApiVersion")) (minimum version \(text(details, "MinAPIVersion")))"
          for (title, key) in [("Go version", "GoVersion"), ("Git commit", "GitCommit"), ("Built", "BuildTime")]
          where !text(details, key).isEmpty { body += "\n  \(title):\t\(text(details, key))" }
          body += "\n  OS/Arch:\t\(text(details, "Os"))/\(text(details, "Arch"))"
          body += "\n  Experimental:\t\(text(details, "Experimental"))"
        } else {
          for member in (details?.objectValue?.members ?? []).sorted(by: { $0.key < $1.key }) {
            body += "\n  \(member.key):\t\(member.value.stringValue ?? "")"
          }
        }
      }
    }
    writer.write(body + "\n")
    return writer.finish()
  }
}
