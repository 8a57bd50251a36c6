import Cgroups
import CLinux
import ContainerRuntime
import Kernel
import OCI

/// `exec`: one more process in a container.
enum Exec {
  static let command = RuntimeCommand.Command(
    name: "exec", usage: "[flags] ID COMMAND [ARGUMENT…]", summary: "run a process in a container",
    flags: [
      Flag("process", "p", value: "FILE", "the process, as the `process` of a configuration"),
      Flag("detach", "d", "don't wait for its end"),
      Flag("console-socket", value: "SOCKET", "where the terminal's master is sent"),
      Flag("pid-file", value: "FILE", "where the process's id is written"),
      Flag("preserve-fds", value: "N", "descriptors from 3 on that the process inherits"),
      Flag("tty", "t", "give it a terminal"),
      Flag("cwd", value: "DIR", "its working directory"),
      Flag("env", "e", value: "NAME=VALUE", "a variable of its environment; may be given again"),
      Flag("user", "u", value: "UID[:GID]", "its user, by numbers or the container's names"),
      Flag("additional-gids", "g", value: "GID", "a group more; may be given again"),
      Flag("cap", "c", value: "CAP", "a capability more; may be given again"),
      Flag("no-new-privs", nil, "set no_new_privs"),
      Flag("apparmor", value: "PROFILE", "its AppArmor profile"),
      Flag("process-label", value: "LABEL", "its SELinux label"),
      Flag("cgroup", value: "PATH", "a cgroup below the container's"),
      Flag("ignore-paused", nil, "even when the container is paused"),
      Flag("no-subreaper", nil, "accepted"),
    ], stopsAtFirst: true, failure: 255, run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    try SealedProgram.ensure(CommandLine.arguments)
    let options = call.options
    let container = try Container(try call.containerID(), root: call.root)
    switch try container.status() {
    case .running: break
    case .paused where options.has("ignore-paused"): break
    case .paused: throw CommandError("cannot exec in a paused container (use --ignore-paused to override)")
    case .stopped: throw CommandError("cannot exec in a stopped container: container not running")
    case .creating: throw CommandError("cannot exec in a container that is being created: container not running")
    case .created where options.value("process") == nil && options.words.count < 2: break
    // crun and runc run it: the namespaces and mounts are there.
    case .created: break
    }
    let detached = options.has("detach")
    let process = try description(call, container)
    let console = try ConsoleSocket(options.value("console-socket"), terminal: process.terminal, detached: detached)
    let preserved = try InheritedDescriptors(options.number("preserve-fds"))
    var plan = ExecPlan(
      id: container.id, process: process, user: options.value("user"),
      seccompFilter: container.record?.seccompFilter,
      stdio: LaunchPlan.Stdio(terminal: process.terminal, openStdin: true, stdinOnce: false))
    plan.process.env += preserved.environment
    plan.preservedDescriptors = preserved.count
    plan.seccompFlags = container.record?.seccompFlags
    plan.seccompListener = container.record?.seccompListener
    guard let state = container.record?.state(.running) else { throw CommandError("container not running") }
    let target = try target(container, call)
    let foreground = detached ? nil : try Foreground()
    let started: ContainerProcess
    do throws(LaunchFailure) {
      let stdio = ContainerRuntime.Stdio(input: 0, output: 1, error: 2)
      let (process, warnings) = try target.exec(plan, stdio: stdio, state: state)
      for warning in warnings { call.log.warning(warning) }
      started = process
    } catch { throw CommandError("exec failed: unable to start container process: \(error.message)") }
    do throws(CommandError) {
      if let group = container.record?.resctrlGroup { try Resctrl.add(started.pid, group) }
      if let terminal = started.terminal { try console.send(terminal) }
      if let file = options.value("pid-file") { try PidFile.write(started.pid, to: file) }
    } catch {
      try? started.signal(SIGKILL)
      throw error
    }
    switch consume foreground {
    case .some(let foreground): return try foreground.wait(for: started).code
    case .none: return 0
    }
  }

  private static func target(_ container: Container, _ call: RuntimeCommand.Invocation) throws(CommandError)
    -> ExecTarget
  {
    let process = try container.process()
    var cgroup = try container.cgroup()
    if let below = call.options.value("cgroup"), !below.isEmpty {
      let name = below.split(separator: ":").last.map(String.init) ?? below
      let path = cgroup.path + "/" + name
      let layout = cgroup.layout
      cgroup = try attemptCgroup { () throws(CgroupError) in try Cgroup(path: path, layout: layout) }
    }
    let pid = process.pid
    let handle = process.takeHandle()
    let kinds = (container.record?.namespaces ?? []).filter { kind in
      // A user namespace that is ours already can't be entered.
      guard kind == .user, let theirs = try? Sys.status("/proc/\(pid)/ns/user"),
        let ours = try? Sys.status("/proc/self/ns/user")
      else { return true }
      return theirs.st_ino != ours.st_ino
    }
    return ExecTarget(
      container: container.id, pid: pid, pidfd: handle, cgroup: cgroup, namespaces: kinds,
      personality: container.record?.personality, memoryPolicy: container.record?.memoryPolicy)
  }

  /// The process of `--process`, or the container's own with what the flags change.
  private static func description(_ call: RuntimeCommand.Invocation, _ container: Container) throws(CommandError)
    -> RuntimeSpec.Process
  {
    let options = call.options
    if let file = options.value("process") {
      let bytes = try attempt("read the process") { () throws(SyscallError) in try Sys.readFile(file) }
      var process: RuntimeSpec.Process
      do throws(JSONError) { process = try RuntimeSpec.Process(JSONFields(try JSON.parse(bytes))) } catch {
        throw CommandError(error, in: file)
      }
      if options.has("tty") { process.terminal = true }
      // As runc and crun: what isn't said is as the container's own.
      if process.capabilities == nil {
        process.capabilities = try container.directory.configuration().process?.capabilities
      }
      return process
    }
    guard options.words.count > 1 else { throw CommandError("process args cannot be empty") }
    guard var process = try container.directory.configuration().process else {
      throw CommandError("process: is missing")
    }
    process.args = Array(options.words.dropFirst())
    process.terminal = options.has("tty")
    process.consoleSize = nil
    if let cwd = options.value("cwd") { process.cwd = cwd }
    for variable in options.list("env") {
      let name = variable.prefix { $0 != "=" } + "="
      process.env.removeAll { $0.hasPrefix(name) }
      process.env.append(variable)
    }
    if options.has("no-new-privs") { process.noNewPrivileges = true }
    if let profile = options.value("apparmor") { process.apparmorProfile = profile }
    if let label = options.value("process-label") { process.selinuxLabel = label }
    for text in options.list("additional-gids") {
      guard let gid = UInt32(text) else { throw CommandError("invalid value \"\(text)\" for flag --additional-gids") }
      process.user.additionalGids.append(gid)
    }
    let more = options.list("cap").map { $0.uppercased() }.map { $0.hasPrefix("CAP_") ? $0 : "CAP_" + $0 }
    if !more.isEmpty {
      var sets = process.capabilities ?? RuntimeSpec.Capabilities()
      for name in more {
        for set in [\RuntimeSpec.Capabilities.bounding, \.effective, \.permitted]
        where !sets[keyPath: set].contains(name) { sets[keyPath: set].append(name) }
      }
      process.capabilities = sets
    }
    return process
  }
}
