import OCI

/// Rows about filters of system calls: actions, errors, flags and architectures.
extension RuntimeConformanceTests {
  static let seccompCases: [Case] = actions + flags + refusals

  private typealias Rule = RuntimeSpec.Seccomp.Rule

  /// Everything passes but mkdir.
  private static func profile(
    _ action: String, errno: UInt32? = nil, flags: [String] = [], architectures: [String] = []
  ) -> @Sendable (inout RuntimeSpec) -> Void {
    { spec in
      spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
      spec.linux.seccomp = RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ALLOW", architectures: architectures, flags: flags,
        syscalls: [Rule(names: ["mkdir", "mkdirat"], action: action, errnoRet: errno)])
    }
  }

  private static let script =
    "mkdir /tmp/x 2>/tmp/err; echo $?; sed 's/.*: //' /tmp/err; [ -d /tmp/x ] && echo made; true"

  private static let cache = ["crun": "keeps compiled filters by their profile's content without errnoRet"]

  private static let actions: [Case] =
    // The shell's child dies of SIGSYS, 31.
    ["SCMP_ACT_KILL", "SCMP_ACT_KILL_THREAD", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRAP"].map { action in
      Case(action, script, "159\nBad system call", profile(action))
    } + [
      Case("SCMP_ACT_ERRNO is EPERM", script, "1\nOperation not permitted", profile("SCMP_ACT_ERRNO")),
      Case(
        "SCMP_ACT_ERRNO with errnoRet", script, "1\nValue too large for defined data type",
        differs: cache, profile("SCMP_ACT_ERRNO", errno: 75)),
      Case("SCMP_ACT_ERRNO with 0 does nothing", script, "0", differs: cache, profile("SCMP_ACT_ERRNO", errno: 0)),
      Case(
        "SCMP_ACT_TRACE without a tracer", script, "1\nFunction not implemented", profile("SCMP_ACT_TRACE", errno: 7)),
      Case("SCMP_ACT_LOG", script, "0\nmade", profile("SCMP_ACT_LOG")),
      Case("SCMP_ACT_ALLOW", script, "0\nmade", profile("SCMP_ACT_ALLOW")),
      Case("defaultErrnoRet", "mkdir /tmp/x 2>&1 | sed 's/.*: //'", "Value too large for defined data type") { spec in
        spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
        spec.linux.seccomp = RuntimeSpec.Seccomp(
          defaultAction: "SCMP_ACT_ERRNO", defaultErrnoRet: 75,
          syscalls: [Rule(names: ordinary, action: "SCMP_ACT_ALLOW")])
      },
      Case("by an argument", "kill -0 1 && echo asked; kill -USR1 1 2>&1 | sed 's/.*: //'", "asked\nPermission denied")
      { spec in
        spec.linux.seccomp = RuntimeSpec.Seccomp(
          defaultAction: "SCMP_ACT_ALLOW",
          syscalls: [
            Rule(
              names: ["kill"], action: "SCMP_ACT_ERRNO", errnoRet: 13,
              args: [RuntimeSpec.Seccomp.Argument(index: 1, value: 10, op: "SCMP_CMP_EQ")])
          ])
      },
    ]

  /// What a shell and its commands need, and a runtime between its filter and its program.
  private static let ordinary = [
    "access", "arch_prctl", "brk", "capget", "capset", "chdir", "clone", "clone3", "close", "close_range", "dup",
    "dup2", "dup3",
    "epoll_create1", "epoll_ctl", "epoll_pwait", "epoll_wait", "eventfd2", "execve", "exit", "exit_group", "faccessat",
    "faccessat2", "fchdir", "fchown", "fcntl", "fork", "fstat", "fstatfs", "futex", "getcwd", "getdents64", "getegid",
    "geteuid", "getgid",
    "getpgrp", "getpid", "getppid", "getrandom", "gettid", "getuid", "ioctl", "lseek", "lstat", "madvise", "mmap",
    "mprotect", "munmap", "nanosleep", "newfstatat", "open", "openat", "openat2", "pipe", "pipe2", "poll", "ppoll",
    "prctl", "pread64",
    "prlimit64", "read", "readlink", "readlinkat", "readv", "recvmsg", "rseq", "rt_sigaction", "rt_sigprocmask",
    "rt_sigreturn",
    "sched_getaffinity", "sched_yield", "sendmsg", "sendto", "set_robust_list", "set_tid_address", "setgid",
    "setgroups", "setpgid", "setsid", "setuid", "sigaltstack",
    "splice", "stat", "statfs", "statx", "tgkill", "umask", "uname", "vfork", "wait4", "waitid", "write", "writev",
  ]

  private static let flags: [Case] =
    [
      ["SECCOMP_FILTER_FLAG_LOG"], ["SECCOMP_FILTER_FLAG_SPEC_ALLOW"], ["SECCOMP_FILTER_FLAG_TSYNC"],
      ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
    ].map { flags in
      Case(
        flags.joined(separator: ","), script, "1\nOperation not permitted",
        differs: ["runc": "knows flags since version 1.2"], profile("SCMP_ACT_ERRNO", flags: flags))
    } + [
      Case(
        "architectures", script, "1\nOperation not permitted",
        profile("SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"])),
      Case(
        "a machine's architecture that isn't this one", script, "1\nOperation not permitted",
        profile("SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"])),
    ]

  private static let refusals: [Case] = [
    Case(
      "an unknown flag is refused", "true", nil, status: 1, says: "linux.seccomp.flags[1]: ",
      profile("SCMP_ACT_ERRNO", flags: ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_FISH"])),
    Case(
      "an unknown action is refused", "true", nil, status: 1, says: "linux.seccomp.syscalls[0].action: ",
      profile("SCMP_ACT_FISH")),
    Case(
      "an unknown architecture is refused", "true", nil, status: 1, says: "linux.seccomp.architectures[0]: ",
      differs: ["crun": "leaves it out"], profile("SCMP_ACT_ERRNO", architectures: ["SCMP_ARCH_FISH"])),
    Case(
      "an unknown operator is refused", "true", nil, status: 1, says: "linux.seccomp.syscalls[0].args[0].op: "
    ) { spec in
      spec.linux.seccomp = RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [
          Rule(
            names: ["kill"], action: "SCMP_ACT_ERRNO",
            args: [RuntimeSpec.Seccomp.Argument(index: 1, value: 1, op: "SCMP_CMP_FISH")])
        ])
    },
    Case(
      "an argument beyond the sixth is refused", "true", nil, status: 1,
      says: "linux.seccomp.syscalls[0].args[0].index: "
    ) { spec in
      spec.linux.seccomp = RuntimeSpec.Seccomp(
        defaultAction: "SCMP_ACT_ALLOW",
        syscalls: [
          Rule(
            names: ["kill"], action: "SCMP_ACT_ERRNO",
            args: [RuntimeSpec.Seccomp.Argument(index: 6, value: 1, op: "SCMP_CMP_EQ")])
        ])
    },
    Case(
      "SCMP_ACT_NOTIFY without a listener is refused", "true", nil, status: 1, says: "linux.seccomp.listenerPath: ",
      differs: ["crun": "lets nobody answer"],
      profile("SCMP_ACT_NOTIFY")),
    Case(
      "SCMP_ACT_NOTIFY for everything is refused", "true", nil, status: 1, says: "linux.seccomp.defaultAction: "
    ) { spec in spec.linux.seccomp = RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_NOTIFY", listenerPath: "/no/such") },
  ]
}
