public import CLinux

extension Sys {
  /// A namespace of a process by its pidfd. `kind` is the CLONE_NEW… flag.
  ///
  /// An ioctl of the pidfd (Linux 6.11, pidfs); before that the file below `/proc/<pid>/ns`.
  public static func namespace(pidfd: Int32, pid: pid_t, _ kind: UInt64) throws(SyscallError) -> Descriptor {
    let (request, name): (UInt, String)
    switch kind {
    case 0x20000: (request, name) = (3, "mnt")
    case 0x0200_0000: (request, name) = (1, "cgroup")
    case 0x0400_0000: (request, name) = (10, "uts")
    case 0x0800_0000: (request, name) = (2, "ipc")
    case 0x1000_0000: (request, name) = (9, "user")
    case 0x2000_0000: (request, name) = (5, "pid")
    case 0x4000_0000: (request, name) = (4, "net")
    case 0x80: (request, name) = (7, "time")
    default: throw SyscallError("ioctl", "namespace \(kind)", .invalidArgument)
    }
    let fd = cl_ioctl_int(pidfd, 0xFF00 | request, 0)  // PIDFD_GET_…_NAMESPACE is _IO(0xFF, n); close-on-exec
    if fd >= 0 { return Descriptor(owning: fd) }
    return try open("/proc/\(pid)/ns/\(name)", O_RDONLY)
  }

  /// Whether a namespace's file is the one of that kind that this process is in. `kind`: its name below `/proc/self/ns`.
  public static func isOwnNamespace(_ fd: Int32, _ kind: String) throws(SyscallError) -> Bool {
    let own = try status("/proc/self/ns/\(kind)")
    let other = try fstat(fd)
    return own.st_dev == other.st_dev && own.st_ino == other.st_ino
  }

  /// The process that a pidfd stands for, as this procfs numbers it.
  public static func pid(of pidfd: Int32) throws(SyscallError) -> pid_t {
    let path = "/proc/self/fdinfo/\(pidfd)"
    for line in String(decoding: try readFile(path), as: UTF8.self).split(separator: "\n") where line.hasPrefix("Pid:")
    {
      if let pid = pid_t(line.dropFirst(4).drop { $0 == " " || $0 == "\t" }), pid > 0 { return pid }
    }
    throw SyscallError("read", path, .noSuchProcess)
  }

  /// Every signal's disposition to its default, ignored ones too, and an empty mask: for a child before its exec.
  public static func resetSignals() { cl_reset_signals() }
  public static func blockAllSignals() { cl_block_signals() }

  /// Waits for one of the blocked signals, which is taken off the queue.
  public static func waitForSignal() throws(SyscallError) -> Int32 {
    Int32(truncatingIfNeeded: try retrying("rt_sigtimedwait") { cl_wait_signal() })
  }

  /// A new session keyring of that name, or the existing one (keyctl(2)).
  public static func joinSessionKeyring(_ name: String) throws(SyscallError) {
    try retrying("keyctl", name) { cl_join_session_keyring(name) }
  }

  /// personality(2): PER_LINUX (0), PER_LINUX32 (8).
  public static func personality(_ persona: UInt) throws(SyscallError) {
    try retrying("personality", "\(persona)") { cl_personality(persona) }
  }

  public static func dup3(_ fd: Int32, onto number: Int32) throws(SyscallError) {
    try retrying("dup3", "fd \(fd)") { CLinux.dup3(fd, number, 0) }
  }

  /// Executes a program in this process; comes back only with the reason why it could not.
  public static func execve(_ path: String, _ arguments: [String], _ environment: [String]) -> SyscallError {
    // The copies are never freed: either the memory goes with the exec or the process ends.
    var argv: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
    var envp: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) }
    argv.append(nil)
    envp.append(nil)
    CLinux.execve(path, argv, envp)
    return SyscallError("execve", path, .current)
  }
}
