import CLinux
import EngineClient
import Kernel
import OCI
import Terminal

extension Command {
  static let load = Command(
    name: "load", usage: "[OPTIONS]", summary: "Load an image from a tar archive or STDIN",
    aliases: ["image load", "load"],
    arguments: .none,
    flags: [
      Flag(.string, "input", short: "i", "Read from tar archive file, instead of STDIN"),
      Flag(
        .string, "platform",
        "Load only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
      Flag(.bool, "quiet", short: "q", "Suppress the load output"),
    ]
  ) { invocation in
    let path = invocation.values.string("input")
    if path.isEmpty && Terminal.isTerminal(0) { throw CommandFailure("requested load from stdin, but stdin is empty") }
    try withInput(path) { fd in
      let quiet = invocation.values.bool("quiet") || !Terminal.isTerminal(1)
      var request = Request("POST", "/images/load", query: ["quiet": quiet ? "1" : "0"])
      if invocation.values.isSet("platform") {
        request.query.add("platform", platform(invocation.values.string("platform")))
      }
      request.headers.append(("Content-Type", "application/x-tar"))
      request.upload = try Upload(fd)
      let response = try invocation.client.send(request)
      try ProgressMessages.show(response, fd: 1)
    }
  }

  /// Opens the file, or takes stdin when no path is given.
  static func withInput<T>(_ path: String, _ body: (Int32) throws -> T) throws -> T {
    if path.isEmpty { return try body(0) }
    let file: SharedDescriptor
    do throws(SyscallError) { file = SharedDescriptor(try Sys.open(path, O_RDONLY)) } catch {
      throw CommandFailure("open \(path): \(error.errno)")
    }
    return try body(file.raw)
  }

  /// `os[/architecture[/variant]]` as the API takes it.
  static func platform(_ text: String) -> String {
    let parts = text.split(separator: "/").map(String.init)
    var platform = JSONBuilder()
    platform.set("os", parts.first)
    platform.set("architecture", parts.count > 1 ? parts[1] : nil)
    platform.set("variant", parts.count > 2 ? parts[2] : nil)
    return platform.json.text
  }
}
