import CLinux
import EngineClient
import Kernel
import OCI

extension Command {
  static let create = Command(
    name: "create", usage: "[OPTIONS] IMAGE [COMMAND] [ARG...]", summary: "Create a new container",
    aliases: ["container create", "create"], arguments: .atLeast(1), interspersed: false,
    flags: ContainerFlags.shared + ContainerFlags.creation("creating")
  ) { invocation in
    let id = try hinting(invocation) {
      let options = try ContainerOptions(
        invocation.values, arguments: invocation.arguments, detached: false, apiSocket: invocation.context.socketPath)
      return try createContainer(invocation, options)
    }
    invocation.output.line(id)
  }

  /// As `reportingRun`; `create volume NAME` is mostly meant as `volume create NAME`.
  private static func hinting(_ invocation: Invocation, _ body: () throws -> String) throws -> String {
    do { return try reportingRun(invocation, "create", body) } catch let failure as CommandFailure {
      guard let first = invocation.arguments.first, ["volume", "network"].contains(first),
        invocation.arguments.count > 1
      else { throw failure }
      throw CommandFailure(
        "\(failure.message)\n\nHint: to make a \(first), run "
          + "'berth \(first) create \(invocation.arguments.dropFirst().joined(separator: " "))'",
        status: failure.status)
    }
  }

  /// Errors of `run` and `create` as docker words them, with status 125.
  static func reportingRun<T>(
    _ invocation: Invocation, _ verb: String, status: (String) -> Int32 = { _ in 125 }, _ body: () throws -> T
  )
    throws -> T
  {
    func report(_ message: String) -> CommandFailure {
      CommandFailure(
        "berth: \(message)\n\nRun '\(invocation.path) --help' for more information", status: status(message))
    }
    do {
      return try body()
    } catch let failure as CommandFailure {
      throw report(failure.message)
    } catch let error as ClientError {
      throw report(error.description)
    }
  }

  /// Creates the container, pulling its image when that is wanted; answers the id.
  static func createContainer(_ invocation: Invocation, _ options: ContainerOptions) throws -> String {
    let values = invocation.values
    let pull = values.string("pull")
    guard ["always", "missing", "never", ""].contains(pull) else {
      throw CommandFailure("invalid pull option: '\(pull)': must be one of \"always\", \"missing\" or \"never\"")
    }
    if values.bool("oom-kill-disable") && values.bytes("memory") == 0 {
      invocation.context.printError(
        "WARNING: Disabling the OOM killer on containers without setting a '-m/--memory' limit may be dangerous.")
    }
    if let local = values.list("dns").first(where: { $0.hasPrefix("127.") || $0 == "::1" }) {
      invocation.context.printError("WARNING: Localhost DNS setting (--dns=\(local)) may fail in containers.")
    }
    try ImageName.check(options.image)
    let file = try ContainerIDFile(values.string("cidfile"))
    let client = try invocation.client
    var query = Query()
    query.add("name", ifAny: values.string("name"))
    query.add("platform", ifAny: values.string("platform"))
    func pullImage() throws {
      try Pull.image(
        invocation, options.image, platform: values.string("platform"), quiet: values.bool("quiet"),
        toStandardError: true)
    }
    if pull == "always" { try pullImage() }
    let request = Request("POST", "/containers/create", query: query, body: options.body)
    let answer: JSON
    do {
      answer = try client.send(request).json()
    } catch let error as ClientError
      where error.status == 404 && pull == "missing"
      && (error.description.contains("No such image")
        || error.description.contains("does not match the specified platform"))
    {
      if !values.bool("quiet") {
        invocation.context.printError("Unable to find image '\(ImageName.familiar(options.image))' locally")
      }
      try pullImage()
      answer = try client.send(request).json()
    }
    for warning in answer["Warnings"]?.arrayValue ?? [] {
      invocation.context.printError("WARNING: \(warning.stringValue ?? "")")
    }
    guard let id = answer["Id"]?.stringValue, !id.isEmpty else {
      throw CommandFailure("the daemon's answer to create has no container ID")
    }
    try file.write(id)
    return id
  }
}

/// `--cidfile`: made before the container, so that nobody runs it twice, and removed again when there is none.
final class ContainerIDFile {
  private let path: String
  private var file: SharedDescriptor?
  private var isWritten = false

  init(_ path: String) throws {
    self.path = path
    guard !path.isEmpty else { return }
    do throws(SyscallError) {
      file = SharedDescriptor(try Sys.open(path, O_WRONLY | O_CREAT | O_EXCL, mode: 0o644))
    } catch {
      guard error.errno != .fileExists else {
        throw CommandFailure("container ID file found, make sure the other container isn't running or delete \(path)")
      }
      throw CommandFailure("failed to create the container ID file: open \(path): \(error.errno)")
    }
  }

  func write(_ id: String) throws {
    guard let file else { return }
    do throws(SyscallError) { try Sys.writeAll(file.raw, id) } catch {
      throw CommandFailure("failed to write the container ID to the file: \(error)")
    }
    isWritten = true
  }

  deinit {
    if file != nil && !isWritten { _ = CLinux.unlink(path) }
  }
}
