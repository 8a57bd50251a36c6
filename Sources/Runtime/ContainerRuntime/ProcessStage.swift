import CLinux
import Kernel
import OCI
import Rootfs
import Seccomp

/// The last steps of init stage and exec alike: from a process inside the container with all rights to the program.
struct ProcessStage {
  let request: ProcessRequest
  /// 0 to 2 of a process without terminal, in the parent's numbers, which the child shares.
  let stdio: ContainerRuntime.Stdio
  /// The slave of the terminal.
  let slave: SharedDescriptor?

  /// Becomes the program, or throws. `proc`: for `oom_score_adj`; made when needed and not given. With `waits`, the parent is
  /// told that everything is ready, and its go awaited; with a `gate` then that of whoever comes there, too. `beforeProgram`: what is to
  /// be done then.
  func run(
    _ stage: inout Stage, proc: consuming ProcFS?, waits: Bool, gate: Int32? = nil,
    beforeProgram: (() throws(LaunchFailure) -> Void)? = nil
  ) throws(LaunchFailure) -> Never {
    let process = request.process

    try stage.enter(.user)
    let user = try lookUpUser(stage)

    try stage.enter(.stdio)
    try setStdio(owner: user.uid, stage)

    try stage.enter(.limits)
    if let adjustment = process.oomScoreAdj { try adjustOOM(adjustment, proc, stage) }
    if let profile = request.appArmorProfile {
      try stage.attempt("apply apparmor profile \"\(profile)\"") { () throws(SyscallError) in
        try ProcFS().write("exec \(profile)", to: "\(getpid())/attr/apparmor/exec")
      }
    }
    if let label = process.selinuxLabel, !label.isEmpty {
      try stage.attempt("set selinux label \"\(label)\"") { () throws(SyscallError) in
        try ProcFS().write(label, to: "\(getpid())/attr/exec")
      }
    }
    try ResourceLimits.apply(request.limits, in: stage)
    try request.scheduling.apply(stage)
    if let policy = request.memoryPolicy { try policy.apply(stage) }
    if let persona = request.personality {
      try stage.attempt("set personality") { () throws(SyscallError) in try Sys.personality(persona) }
    }

    try stage.enter(.descriptors)
    try stage.attempt("close descriptors") { () throws(SyscallError) in
      try closeOthers(than: [stage.channel] + (gate.map { [$0] } ?? []))
    }

    try stage.enter(.directory)
    let entered = try changeDirectory(stage, mayRetry: true)

    try stage.enter(.identity)
    let identity = try Identity(request, user, stage)
    try identity.takeOn(stage)
    if !entered { _ = try changeDirectory(stage, mayRetry: false) }
    // A working directory may be a descriptor of the host in disguise, /proc/self/fd/7 (CVE-2024-21626).
    let place = try stage.attempt("getcwd") { () throws(SyscallError) in try Sys.getcwd() }
    guard place.hasPrefix("/") else {
      throw stage.failure(
        EPERM, process.cwd,
        "current working directory \"\(process.cwd)\" is outside of the container mount namespace root")
    }
    umask(mode_t(process.user.umask ?? 0o022) & 0o777)

    try stage.enter(.program)
    var environment = process.env
    if !environment.contains(where: { $0.hasPrefix("HOME=") }) {
      environment.append("HOME=" + (user.home.map { $0.isEmpty ? "/" : $0 } ?? "/"))
    }
    let path = try ProgramLookup.find(process.args[0], environment: environment, stage: stage)

    try stage.enter(.ready)
    if waits { try awaitGo(stage) }
    if let gate {
      try stage.attempt("await start") { () throws(SyscallError) in
        try StartGate.await(gate, channel: stage.channel)
      }
    }

    if let beforeProgram { try beforeProgram() }

    try stage.enter(.initProcess)
    if request.initProcess {
      if try forkBehindInit(identity, stage) {
        try stage.attempt("setsid") { () throws(SyscallError) in try Sys.setsid() }
      }
    }
    if slave != nil {
      try stage.attempt("take the terminal") { () throws(SyscallError) in
        try Sys.retrying("ioctl TIOCSCTTY") { cl_ioctl_int(0, UInt(cl_tiocsctty()), 0) }
      }
    }

    try stage.enter(.seccomp)
    try stage.attempt("close_range") { () throws(SyscallError) in
      // What a hook has let us inherit.
      try Sys.closeRange(from: UInt32(3 + request.preserved), closeOnExec: true)
    }
    if process.noNewPrivileges {
      try stage.attempt("set no_new_privs") { () throws(SyscallError) in try Sys.prctl(38, 1) }
      try identity.dropRest(stage)
      try loadFilter(stage)
    } else {
      // Loading a filter without no_new_privs takes CAP_SYS_ADMIN, so the capabilities go last.
      try loadFilter(stage)
      try identity.dropRest(stage)
    }

    try stage.enter(.exec)
    throw ProgramLookup.failure(Sys.execve(path, process.args, environment), path, process.args[0], stage: stage)
  }

  private func lookUpUser(_ stage: Stage) throws(LaunchFailure) -> UserLookup {
    let root = try stage.attempt("open root directory") { () throws(SyscallError) in try Root("/") }
    return try UserLookup(
      request.user, additional: request.additionalGroups, user: request.process.user, in: root, stage: stage)
  }

  /// All that the program isn't to have; among the numbers that it is to have, those of ours, which are close-on-exec.
  private func closeOthers(than kept: [Int32]) throws(SyscallError) {
    try Sys.closeAll(from: 3 + request.preserved, except: kept)
    for number in 3..<3 + request.preserved where !kept.contains(number) {
      let flags = cl_fcntl(number, F_GETFD, 0)
      if flags >= 0, flags & FD_CLOEXEC != 0 { _ = CLinux.close(number) }
    }
  }

  private func setStdio(owner: UInt32, _ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("set standard streams") { () throws(SyscallError) in
      if let slave = slave?.raw {
        try Sys.chown("", owner, gid_t.max, at: slave)
        if let size = request.process.consoleSize, size.width > 0, size.height > 0 {
          var window = winsize(ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0)
          try Sys.retrying("ioctl TIOCSWINSZ") { cl_ioctl(slave, UInt(cl_tiocswinsz()), &window) }
        }
        for number: Int32 in 0...2 { try Sys.dup3(slave, onto: number) }
        return
      }
      // Out of the way first: the numbers given may be some of 0 to 2 themselves, in another order.
      let input = try Sys.fcntl(stdio.input, F_DUPFD_CLOEXEC, 3)
      let output = try Sys.fcntl(stdio.output, F_DUPFD_CLOEXEC, 3)
      let error = try Sys.fcntl(stdio.error, F_DUPFD_CLOEXEC, 3)
      try Sys.dup3(input, onto: 0)
      try Sys.dup3(output, onto: 1)
      try Sys.dup3(error, onto: 2)
      for number: Int32 in 0...2 { try giveAway(number, to: owner) }
    }
  }

  /// So that the user may open /dev/stdout again. Never the null device, which everybody shares, and not what can't be changed.
  private func giveAway(_ fd: Int32, to owner: UInt32) throws(SyscallError) {
    let status = try Sys.fstat(fd)
    guard status.st_uid != owner, !(status.st_mode & 0o170000 == 0o020000 && UInt64(status.st_rdev) == cl_makedev(1, 3))
    else {
      return
    }
    do throws(SyscallError) {
      try Sys.retrying("fchown", "fd \(fd)") { fchown(fd, owner, gid_t.max) }
    } catch  where error.errno == .invalidArgument || error.errno == .notPermitted || error.errno == .readOnlyFileSystem
    {}
  }

  private func adjustOOM(_ adjustment: Int32, _ proc: borrowing ProcFS?, _ stage: Stage) throws(LaunchFailure) {
    let path = "\(getpid())/oom_score_adj"
    do throws(SyscallError) {
      switch proc {
      case .some(let proc): try proc.write("\(adjustment)", to: path)
      case .none: try ProcFS().write("\(adjustment)", to: path)
      }
    } catch  where error.errno == .permissionDenied || error.errno == .notPermitted {
      stage.warn("lowering oom_score_adj to \(adjustment) isn't permitted here")
    } catch {
      throw stage.failure(error.errno.rawValue, path, "set oom_score_adj to \(adjustment): \(error.errno)")
    }
  }

  /// `false`: denied, and to be tried again as the user, who may be let in where we aren't (FUSE, NFS).
  private func changeDirectory(_ stage: Stage, mayRetry: Bool) throws(LaunchFailure) -> Bool {
    let cwd = request.process.cwd
    do throws(SyscallError) {
      try Sys.chdir(cwd)
      return true
    } catch  where mayRetry && error.errno == .permissionDenied {
      return false
    } catch {
      throw stage.failure(
        error.errno.rawValue, cwd, "chdir to cwd (\"\(cwd)\") set in config.json failed: \(error.errno)")
    }
  }

  private func awaitGo(_ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("await start") { () throws(SyscallError) in
      try Message.ready.send(on: stage.channel)
      // The parent is gone, or has other plans: end with it.
      guard let (message, _) = try Message.receive(from: stage.channel), case .go = message else { _exit(127) }
    }
  }

  /// Answers true in the child, which goes on; the parent becomes init.
  private func forkBehindInit(_ identity: Identity, _ stage: Stage) throws(LaunchFailure) -> Bool {
    // Before the fork: no signal may fall between it and init's readiness.
    Sys.blockAllSignals()
    let child = try stage.attempt("fork behind init") { () throws(SyscallError) in
      try Sys.retrying("fork") { cl_fork() }
    }
    if child == 0 {
      Sys.resetSignals()
      return true
    }
    try identity.dropRest(stage)
    TinyInit.run(child: pid_t(child))
  }

  private func loadFilter(_ stage: Stage) throws(LaunchFailure) {
    guard let filter = request.filter else { return }
    let channel = stage.channel
    try stage.attempt("load seccomp filter") { () throws(SyscallError) in
      let listener = try filter.load()
      if filter.notifies { try Message.sendListener(listener, on: channel) }
    }
  }
}
