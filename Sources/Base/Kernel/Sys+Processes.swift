public import CLinux

extension Sys {
  /// clone3(2). Answers 0 in the child, which goes on in the caller's code: only a single-threaded program may do so.
  /// In the parent, the child's pid and its pidfd. `cgroup` >= 0: a cgroup v2 directory to be born in (Linux 5.7).
  ///
  /// Without a cgroup clone(2) does as well where clone3 is denied: container engines' filters can't look into its flags.
  public static func clone3(flags: UInt64, cgroup: Int32 = -1) throws(SyscallError) -> (pid: pid_t, pidfd: Int32) {
    var pidfd: Int32 = -1
    let pid: Int
    do throws(SyscallError) {
      pid = try retrying("clone3") { cl_clone3(flags, &pidfd, cgroup) }
    } catch  where cgroup < 0 && isMissing(error.errno) {
      pid = try retrying("clone") { cl_clone(flags, &pidfd, SIGCHLD) }
    }
    return (pid_t(pid), pidfd)
  }

  /// clone3(2) with CLONE_PARENT: the child is one of the caller's own parent, who reaps it.
  public static func cloneSibling(flags: UInt64) throws(SyscallError) -> (pid: pid_t, pidfd: Int32) {
    var pidfd: Int32 = -1
    let pid: Int
    do throws(SyscallError) {
      pid = try retrying("clone3") { cl_clone3_parent(flags, &pidfd) }
    } catch  where isMissing(error.errno) {
      pid = try retrying("clone") { cl_clone(flags | 0x8000, &pidfd, 0) }  // CLONE_PARENT
    }
    return (pid_t(pid), pidfd)
  }

  public static func unshare(_ flags: Int32) throws(SyscallError) { try retrying("unshare") { CLinux.unshare(flags) } }
  public static func setns(_ fd: Int32, _ type: Int32) throws(SyscallError) {
    try retrying("setns", "fd \(fd)") { CLinux.setns(fd, type) }
  }

  /// How a process ended: its exit status, or the signal that killed it.
  public enum Exit: Sendable, Equatable {
    case exited(Int32)
    case signaled(Int32)

    /// As shells and Docker tell it: the status, or 128 + signal.
    public var code: Int32 {
      switch self {
      case .exited(let status): status
      case .signaled(let signal): 128 + signal
      }
    }
  }

  /// waitid(2) on a pidfd, reaping; `nil` when `nonBlocking` and it still runs.
  public static func wait(pidfd: Int32, nonBlocking: Bool = false) throws(SyscallError) -> Exit? {
    var info = siginfo_t()
    try retrying("waitid", "pidfd \(pidfd)") { cl_waitid(3, pidfd, &info, WEXITED | (nonBlocking ? WNOHANG : 0), nil) }
    return exit(of: info)
  }

  /// Reaps any child that ended; `nil` when none has.
  public static func waitAny() throws(SyscallError) -> (pid: pid_t, exit: Exit)? {
    var info = siginfo_t()
    try retrying("waitid") { cl_waitid(0, 0, &info, WEXITED | WNOHANG, nil) }
    guard let exit = exit(of: info) else { return nil }
    return (cl_siginfo_pid(&info), exit)
  }

  private static func exit(of info: siginfo_t) -> Exit? {
    var info = info
    guard cl_siginfo_pid(&info) != 0 else { return nil }
    let status = cl_siginfo_status(&info)
    // CLD_EXITED is 1; CLD_KILLED and CLD_DUMPED carry the signal
    return cl_siginfo_code(&info) == 1 ? .exited(status) : .signaled(status)
  }

  public static func pidfdOpen(_ pid: pid_t) throws(SyscallError) -> Descriptor {
    Descriptor(owning: Int32(try retrying("pidfd_open", "\(pid)") { cl_pidfd_open(pid, 0) }))
  }

  public static func sendSignal(pidfd: Int32, _ signal: Int32) throws(SyscallError) {
    try retrying("pidfd_send_signal", "\(signal)") { cl_pidfd_send_signal(pidfd, signal) }
  }

  public static func kill(_ pid: pid_t, _ signal: Int32) throws(SyscallError) {
    try retrying("kill", "\(pid)") { CLinux.kill(pid, signal) }
  }

  @discardableResult
  public static func prctl(_ operation: Int32, _ a: UInt = 0, _ b: UInt = 0, _ c: UInt = 0, _ d: UInt = 0)
    throws(SyscallError)
    -> Int32
  { try retrying("prctl", "\(operation)") { cl_prctl(operation, a, b, c, d) } }

  public static func capset(effective: UInt64, permitted: UInt64, inheritable: UInt64) throws(SyscallError) {
    try retrying("capset") { cl_capset(effective, permitted, inheritable) }
  }

  public static func capget() throws(SyscallError) -> (effective: UInt64, permitted: UInt64, inheritable: UInt64) {
    var result: (UInt64, UInt64, UInt64) = (0, 0, 0)
    try retrying("capget") { cl_capget(&result.0, &result.1, &result.2) }
    return (result.0, result.1, result.2)
  }

  /// prlimit(2) on this process; `UInt64.max` is unlimited.
  public static func setrlimit(_ resource: Int32, soft: UInt64, hard: UInt64) throws(SyscallError) {
    try retrying("setrlimit", "\(resource)") { cl_setrlimit(resource, soft, hard) }
  }

  public static func getrlimit(_ resource: Int32) throws(SyscallError) -> (soft: UInt64, hard: UInt64) {
    var soft: UInt64 = 0
    var hard: UInt64 = 0
    try retrying("getrlimit", "\(resource)") { cl_getrlimit(resource, &soft, &hard) }
    return (soft, hard)
  }

  public static func sethostname(_ name: String) throws(SyscallError) {
    try retrying("sethostname", name) { CLinux.sethostname(name, name.utf8.count) }
  }

  public static func setdomainname(_ name: String) throws(SyscallError) {
    try retrying("setdomainname", name) { CLinux.setdomainname(name, name.utf8.count) }
  }

  /// Of the calling thread.
  public static func setgroups(_ groups: [gid_t]) throws(SyscallError) {
    try retrying("setgroups") { cl_setgroups(groups.count, groups) }
  }
  /// No supplementary groups; in a user namespace without setgroups(2) they stay (user_namespaces(7)).
  public static func leaveGroups() throws(SyscallError) {
    do throws(SyscallError) { try setgroups([]) } catch {
      let setting = try readFile("/proc/self/setgroups")
      guard error.errno == .notPermitted, setting.starts(with: "deny".utf8) else { throw error }
    }
  }
  /// Real, effective and saved id of the calling thread.
  public static func setuid(_ uid: uid_t) throws(SyscallError) {
    try retrying("setresuid", "\(uid)") { cl_setresuid(uid) }
  }
  public static func setgid(_ gid: gid_t) throws(SyscallError) {
    try retrying("setresgid", "\(gid)") { cl_setresgid(gid) }
  }

  public static func setsid() throws(SyscallError) { try retrying("setsid") { CLinux.setsid() } }

  /// close_range(2), Linux 5.9; marks close-on-exec instead when `closeOnExec` (5.11). Where a filter or the kernel has no such call,
  /// one descriptor after the other, as far as there may be any.
  public static func closeRange(from first: UInt32, through last: UInt32 = .max, closeOnExec: Bool = false)
    throws(SyscallError)
  {
    do throws(SyscallError) {
      try retrying("close_range") { cl_close_range(first, last, closeOnExec ? 4 : 0) }
    } catch  where isMissing(error.errno) || error.errno == .invalidArgument {
      // RLIMIT_NOFILE may have been lowered since they were opened; fs.nr_open begins with 1 << 20.
      let limit = try UInt32(clamping: min(max(getrlimit(7).hard, 1 << 16), 1 << 20))
      guard first <= last, first < limit else { return }
      for number in first...min(last, limit - 1) {
        let fd = Int32(bitPattern: number)
        if closeOnExec { _ = cl_fcntl(fd, F_SETFD, Int(FD_CLOEXEC)) } else { _ = CLinux.close(fd) }
      }
    }
  }

  /// Closes all from that number on but these.
  public static func closeAll(from first: Int32, except kept: [Int32]) throws(SyscallError) {
    var next = first
    for number in kept.sorted() where number >= next {
      if number > next { try closeRange(from: UInt32(next), through: UInt32(number - 1)) }
      next = number + 1
    }
    try closeRange(from: UInt32(next))
  }

  /// What a kernel answers that lacks a call, or a seccomp filter that denies it: older ones of container engines know no other answer to
  /// what is new than EPERM.
  public static func isMissing(_ errno: Errno) -> Bool { errno == .noSuchCall || errno == .notPermitted }

  public struct SystemName: Sendable {
    public let sysname, nodename, release, version, machine: String
  }

  public static func uname() throws(SyscallError) -> SystemName {
    var name = utsname()
    try retrying("uname") { CLinux.uname(&name) }
    func text<T>(_ field: T) -> String {
      withUnsafeBytes(of: field) { String(decoding: $0.prefix(while: { $0 != 0 }), as: UTF8.self) }
    }
    return SystemName(
      sysname: text(name.sysname), nodename: text(name.nodename), release: text(name.release),
      version: text(name.version),
      machine: text(name.machine))
  }

  /// Nanoseconds of CLOCK_MONOTONIC.
  public static func monotonicNanoseconds() -> UInt64 {
    var time = timespec()
    clock_gettime(CLOCK_MONOTONIC, &time)
    return UInt64(time.tv_sec) * 1_000_000_000 + UInt64(time.tv_nsec)
  }

  /// Nanoseconds since 1970 of CLOCK_REALTIME.
  public static func realtimeNanoseconds() -> Int64 {
    var time = timespec()
    clock_gettime(CLOCK_REALTIME, &time)
    return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
  }

  /// getrandom(2).
  public static func random(_ count: Int) -> [UInt8] {
    var generator = SystemRandomNumberGenerator()
    return (0..<count).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
  }
}
