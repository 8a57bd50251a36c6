import CLinux
import EngineClient
import Kernel
import Terminal

extension Command {
  static let save = Command(
    name: "save", usage: "[OPTIONS] IMAGE [IMAGE...]",
    summary: "Save one or more images to a tar archive (streamed to STDOUT by default)",
    aliases: ["image save", "save"],
    arguments: .atLeast(1),
    flags: [
      Flag(.string, "output", short: "o", "Write to a file, instead of STDOUT"),
      Flag(
        .string, "platform",
        "Save only the given platform variant. Formatted as \"os[/arch[/variant]]\" (e.g., \"linux/amd64\")"),
    ]
  ) { invocation in
    var query = Query()
    for name in invocation.arguments { query.add("names", name) }
    if invocation.values.isSet("platform") { query.add("platform", platform(invocation.values.string("platform"))) }
    try download(invocation, Request("GET", "/images/get", query: query), what: "save an image")
  }

  /// Writes a body to the file that `--output` names, which appears only once it is whole, or to stdout.
  static func download(_ invocation: Invocation, _ request: Request, what: String) throws {
    let path = invocation.values.string("output")
    if path.isEmpty {
      if Terminal.isTerminal(1) {
        throw CommandFailure("cowardly refusing to \(what) to a terminal. Use the -o flag or redirect")
      }
      let response = try invocation.client.send(request)
      while let piece = try response.next() { try Output.write(1, piece) }
      return
    }
    if let status = try? Sys.status(path), status.st_mode & mode_t(S_IFMT) == mode_t(S_IFDIR) {
      throw CommandFailure("failed to \(what): invalid output path: \"\(path)\" must be a regular file")
    }
    let response = try invocation.client.send(request)
    let temporary = path + ".partial-\(getpid())"
    let file: SharedDescriptor
    do throws(SyscallError) {
      file = SharedDescriptor(try Sys.open(temporary, O_WRONLY | O_CREAT | O_EXCL, mode: 0o600))
    } catch { throw CommandFailure("failed to \(what): open \(path): \(error.errno)") }
    do {
      while let piece = try response.next() { try Output.write(file.raw, piece) }
      try Sys.rename(temporary, to: path)
    } catch {
      _ = CLinux.unlink(temporary)
      throw error
    }
  }
}
