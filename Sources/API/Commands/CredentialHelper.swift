import CLinux
import Kernel
import OCI

/// `docker-credential-<name>`, a program that keeps credentials (docker/docker-credential-helpers): an action as its argument, a request on its
/// standard input, the answer on its standard output.
struct CredentialHelper {
  let name: String

  /// nil when it knows nothing of the server.
  func get(_ server: String) throws -> (user: String, secret: String)? {
    let (status, out) = try run("get", server)
    let text = String(decoding: out, as: UTF8.self)
    if status != 0 {
      if text.contains("credentials not found in native keychain") { return nil }
      throw failure("get", text)
    }
    guard let answer = try? JSON.parse(out), let user = answer["Username"]?.stringValue,
      let secret = answer["Secret"]?.stringValue
    else { throw failure("get", "its answer can't be read") }
    return (user, secret)
  }

  func store(_ server: String, user: String, secret: String) throws {
    let request: JSON = ["ServerURL": JSON(server), "Username": JSON(user), "Secret": JSON(secret)]
    let (status, out) = try run("store", request.text)
    guard status == 0 else { throw failure("store", String(decoding: out, as: UTF8.self)) }
  }

  func erase(_ server: String) throws {
    let (status, out) = try run("erase", server)
    let text = String(decoding: out, as: UTF8.self)
    guard status == 0 || text.contains("credentials not found") else { throw failure("erase", text) }
  }

  private func failure(_ action: String, _ reason: String) -> CommandFailure {
    let reason = reason.split(separator: "\n").first.map(String.init) ?? "it failed"
    return CommandFailure("error \(action) credentials - \(program): \(reason)")
  }

  private var program: String { "docker-credential-\(name)" }

  private func run(_ action: String, _ input: String) throws -> (status: Int32, out: [UInt8]) {
    guard !name.contains("/") else { throw failure(action, "its name holds a slash") }
    let directories = (Context.environment("PATH") ?? "").split(separator: ":")
    let path: String? = directories.map { "\($0)/\(program)" }.first { access($0, X_OK) == 0 }
    guard let path else { throw failure(action, "executable file not found in $PATH") }
    do throws(SyscallError) {
      let (inRead, inWrite) = try Sys.pipe()
      let (outRead, outWrite) = try Sys.pipe()
      let pid = try Sys.retrying("fork") { cl_fork() }
      if pid == 0 {
        // We have one thread, so the child may set itself up in Swift before it executes.
        cl_default_signal(SIGPIPE)
        _ = dup2(inRead, 0)
        _ = dup2(outWrite, 1)
        var arguments = [strdup(path), strdup(action), nil]
        execv(path, &arguments)
        _exit(127)
      }
      let source = Descriptor(owning: outRead)
      let sink = Descriptor(owning: inWrite)
      _ = close(inRead)
      _ = close(outWrite)
      // Requests are far smaller than a pipe.
      do throws(SyscallError) { try Sys.writeAll(sink.raw, input + "\n") } catch {
        guard error.errno == .brokenPipe else { throw error }
      }
      _ = consume sink
      let out = try Sys.readAll(source.raw, limit: 1 << 20)
      var status: Int32 = 0
      try Sys.retrying("waitpid") { waitpid(pid_t(pid), &status, 0) }
      return (status & 0x7F == 0 ? status >> 8 & 0xFF : 128 + status & 0x7F, out)
    } catch { throw failure(action, "\(error)") }
  }
}
