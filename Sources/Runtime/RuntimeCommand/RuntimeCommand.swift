import CLinux
import Kernel
import OCI

/// runc's command line on top of `ContainerRuntime`: an OCI runtime that podman, dockerd and containerd start as a program.
///
/// Owns: the parsing of its words (`Options`), one file for each command, what is on disk of a container (`StateDirectory`), and the
/// sealing of its own program (`SealedProgram`). The texts of errors are those that the engines look for: `does not exist`,
/// `container not running`, `executable file not found in $PATH`.
///
/// States of a container, of which only `creating` is written down; the others are asked of the kernel:
///
/// ```
/// creating   the directory is there and its creator holds the lock
/// created    the first process lives, and start.sock is there
/// running    it lives, and start.sock is gone
/// paused     its cgroup is frozen
/// stopped    it is gone (or another process has its number: the start time differs), or its creator died
/// ```
///
/// ```
/// <root>/                     --root, /run/berth-runtime
///   .seccomp/<key>.bpf        compiled filters by their profile's content
///   <id>/                     0711
///     lock                    whoever changes the container holds it (fcntl, of one process)
///     state.json              StateDirectory.Record; replaced whole
///     config.json             the bundle's, as it was at create
///     start.sock              until started
/// ```
///
/// One lock a container, taken by create, start and delete; none for all. What a `kill -9` of the runtime leaves at any moment is
/// found by `list` and cleaned by `delete --force`: a process is written down before it may outlive its creator.
///
/// Must not: keep a process running after its command; trust a path of the container's; import Foundation, NIO, Dispatch or use async.
public enum RuntimeCommand {
  public static let version = "0.1.0"

  struct Command: Sendable {
    let name: String
    let usage: String
    let summary: String
    var flags: [Flag] = []
    /// Everything after the first word that isn't a flag is the container's.
    var stopsAtFirst = false
    /// The exit status of a failure: runc's is 1, and 255 for exec.
    var failure: Int32 = 1
    let run: @Sendable (Invocation) throws(CommandError) -> Int32
  }

  /// One call of the program.
  struct Invocation {
    let options: Options
    let globals: Globals
    let log: RuntimeLog

    var root: String { globals.root }

    /// The container's name, the first word.
    func containerID() throws(CommandError) -> String {
      guard let id = options.words.first else {
        throw CommandError("container id cannot be empty")
      }
      return id
    }
  }

  static let commands: [Command] = [
    Create.command, Start.command, Run.command, State.command, Kill.command, Delete.command, Exec.command, Ps.command,
    List.command, Pause.command, Resume.command, Update.command, Events.command, Spec.command, Features.command,
    Checkpoint.command, Restore.command,
  ]

  /// Runs a command; `arguments` with the program's own name. Answers the exit status.
  public static func main(_ arguments: [String]) -> Int32 {
    cl_ignore_signal(SIGPIPE)
    var log = RuntimeLog()
    do throws(CommandError) {
      let (global, rest) = try Options.parseGlobals(Array(arguments.dropFirst()), Globals.flags)
      if global.has("version") {
        Output.write("berth-runtime version \(version)\nspec: \(OCI.runtimeVersion)\n")
        return 0
      }
      guard let name = rest.first, !global.has("help"), name != "help" else {
        Output.write(Help.program)
        return 0
      }
      let globals = try Globals(global)
      log = try RuntimeLog(globals)
      guard let command = commands.first(where: { $0.name == name }) else {
        throw CommandError("unknown command \"\(name)\"")
      }
      let options = try Options.parse(Array(rest.dropFirst()), command.flags, stopsAtFirst: command.stopsAtFirst)
      if options.has("help") {
        Output.write(Help.text(command))
        return 0
      }
      do throws(CommandError) {
        return try command.run(Invocation(options: options, globals: globals, log: log))
      } catch {
        log.error(error.message)
        return error.status ?? command.failure
      }
    } catch {
      log.error(error.message)
      return error.status ?? 1
    }
  }
}
