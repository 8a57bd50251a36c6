// C declarations that Swift can't import (variadic calls, function-like macros) and system calls that glibc 2.36 lacks.
// No logic: each function is the call itself and answers as system calls do (-1 and errno).
#pragma once
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
// glibc's headers first: linux/in.h and linux/if.h then stand aside
#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/bpf.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/if_link.h>
#include <linux/if_addr.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/openat2.h>
#include <linux/rtnetlink.h>
#include <linux/seccomp.h>
#include <linux/veth.h>
#include <malloc.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/sendfile.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <termios.h>
#include <time.h>
#include <unistd.h>

// glibc 2.36 declares mount_attr, fsopen and friends in sys/mount.h; older ones get the numbers.
#ifndef OPEN_TREE_CLONE
#define OPEN_TREE_CLONE 1
#endif
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif

struct cl_clone_args {
  uint64_t flags, pidfd, child_tid, parent_tid, exit_signal, stack, stack_size, tls, set_tid, set_tid_size, cgroup;
};
struct cl_mount_attr {
  uint64_t attr_set, attr_clr, propagation, userns_fd;
};

// clone3(2), Linux 5.3; CLONE_INTO_CGROUP since 5.7. cgroup_fd < 0: stay in the caller's cgroup.
static inline long cl_clone3(uint64_t flags, int *pidfd, int cgroup_fd) {
  struct cl_clone_args a = {0};
  a.flags = flags;
  a.exit_signal = SIGCHLD;
  if (pidfd) {
    a.flags |= 0x1000; // CLONE_PIDFD
    a.pidfd = (uint64_t)(uintptr_t)pidfd;
  }
  if (cgroup_fd >= 0) {
    a.flags |= 0x200000000ULL; // CLONE_INTO_CGROUP
    a.cgroup = (uint64_t)cgroup_fd;
  }
  return syscall(435, &a, sizeof a);
}
// A child that shares the caller's parent (CLONE_PARENT) reports its end there: exit_signal must be 0 then.
static inline long cl_clone3_parent(uint64_t flags, int *pidfd) {
  struct cl_clone_args a = {0};
  a.flags = flags | 0x8000; // CLONE_PARENT
  if (pidfd) {
    a.flags |= 0x1000;
    a.pidfd = (uint64_t)(uintptr_t)pidfd;
  }
  return syscall(435, &a, sizeof a);
}
// clone(2) with CLONE_PIDFD (Linux 5.2): where there is no clone3. The pidfd goes where the parent's tid would. exit_signal 0 with
// CLONE_PARENT among the flags.
static inline long cl_clone(uint64_t flags, int *pidfd, int exit_signal) {
  return syscall(SYS_clone, (unsigned long)(flags | 0x1000 | (unsigned)exit_signal), 0, pidfd, 0, 0);
}
// Any call by its number; for tests of filters, and for calls without a function here.
static inline long cl_syscall(long number, long a, long b, long c, long d, long e, long f) {
  return syscall(number, a, b, c, d, e, f);
}
// faccessat(2) itself: glibc asks faccessat2 first, and takes a filter's EPERM for the answer. By the real ids.
static inline long cl_faccessat(int dir, const char *path, int mode) { return syscall(SYS_faccessat, dir, path, mode); }
static inline long cl_fork(void) { return syscall(SYS_fork); }
static inline long cl_pivot_root(const char *n, const char *o) { return syscall(SYS_pivot_root, n, o); }
static inline long cl_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve) {
  struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
  return syscall(SYS_openat2, dir, path, &how, sizeof how);
}
static inline int cl_openat(int dir, const char *path, int flags, mode_t mode) { return openat(dir, path, flags, mode); }
static inline long cl_fsopen(const char *name, unsigned flags) { return syscall(430, name, flags); }
static inline long cl_fsconfig(int fd, unsigned cmd, const char *key, const void *value, int aux) {
  return syscall(431, fd, cmd, key, value, aux);
}
static inline long cl_fsmount(int fd, unsigned flags, unsigned attrs) { return syscall(432, fd, flags, attrs); }
static inline long cl_fspick(int dir, const char *path, unsigned flags) { return syscall(433, dir, path, flags); }
static inline long cl_open_tree(int dir, const char *path, unsigned flags) { return syscall(428, dir, path, flags); }
static inline long cl_move_mount(int from, const char *fp, int to, const char *tp, unsigned flags) {
  return syscall(429, from, fp, to, tp, flags);
}
static inline long cl_mount_setattr(int dir, const char *path, unsigned flags, struct cl_mount_attr *attr) {
  return syscall(442, dir, path, flags, attr, sizeof *attr);
}
static inline long cl_close_range(unsigned first, unsigned last, unsigned flags) {
  return syscall(436, first, last, flags);
}
static inline long cl_pidfd_open(pid_t pid, unsigned flags) { return syscall(434, pid, flags); }
static inline long cl_pidfd_send_signal(int fd, int sig) { return syscall(424, fd, sig, NULL, 0); }
static inline long cl_pidfd_getfd(int pidfd, int fd) { return syscall(438, pidfd, fd, 0); }
static inline long cl_waitid(int type, int id, siginfo_t *info, int options, struct rusage *usage) {
  return syscall(SYS_waitid, type, id, info, options, usage);
}
static inline int cl_siginfo_pid(const siginfo_t *i) { return i->si_pid; }
static inline int cl_siginfo_status(const siginfo_t *i) { return i->si_status; }
static inline int cl_siginfo_code(const siginfo_t *i) { return i->si_code; }
// All 64 dispositions to their default (the ignored ones too, which an exec would keep) and an empty mask: the raw calls, since
// glibc hides its own two signals.
static inline void cl_reset_signals(void) {
  struct { void *handler; unsigned long flags; void *restorer; uint64_t mask; } none = {0};
  uint64_t empty = 0;
  for (int i = 1; i <= 64; i++) syscall(SYS_rt_sigaction, i, &none, NULL, 8);
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &empty, NULL, 8);
}
static inline void cl_block_signals(void) {
  uint64_t all = ~0ULL;
  syscall(SYS_rt_sigprocmask, SIG_SETMASK, &all, NULL, 8);
}
// Waits for any signal that is blocked; answers its number.
static inline long cl_wait_signal(void) {
  uint64_t all = ~0ULL;
  return syscall(SYS_rt_sigtimedwait, &all, NULL, NULL, 8);
}
// keyctl(2) KEYCTL_JOIN_SESSION_KEYRING
static inline long cl_join_session_keyring(const char *name) { return syscall(SYS_keyctl, 1, name); }
// sched_setattr(2) on the calling thread; struct sched_attr in its first version (48 bytes).
static inline long cl_sched_setattr(uint32_t policy, uint64_t flags, int32_t nice, uint32_t priority, uint64_t runtime,
                                    uint64_t deadline, uint64_t period) {
  struct {
    uint32_t size, policy;
    uint64_t flags;
    int32_t nice;
    uint32_t priority;
    uint64_t runtime, deadline, period;
  } a = {48, policy, flags, nice, priority, runtime, deadline, period};
  return syscall(SYS_sched_setattr, 0, &a, 0);
}
static inline long cl_sched_setaffinity(const uint64_t *mask, size_t size) {
  return syscall(SYS_sched_setaffinity, 0, size, mask);
}
// set_mempolicy(2)
static inline long cl_set_mempolicy(int mode, const uint64_t *nodes, unsigned long bits) {
  return syscall(SYS_set_mempolicy, mode, nodes, bits);
}
// ioprio_set(2) of IOPRIO_WHO_PROCESS, the caller
static inline long cl_ioprio_set(int priority) { return syscall(SYS_ioprio_set, 1, 0, priority); }
static inline int cl_personality(unsigned long persona) { return personality(persona); }
static inline long cl_capset(uint64_t effective, uint64_t permitted, uint64_t inheritable) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2] = {
      {(uint32_t)effective, (uint32_t)permitted, (uint32_t)inheritable},
      {(uint32_t)(effective >> 32), (uint32_t)(permitted >> 32), (uint32_t)(inheritable >> 32)}};
  return syscall(SYS_capset, &h, d);
}
static inline long cl_capget(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable) {
  struct __user_cap_header_struct h = {_LINUX_CAPABILITY_VERSION_3, 0};
  struct __user_cap_data_struct d[2];
  long r = syscall(SYS_capget, &h, d);
  if (r == 0) {
    *effective = (uint64_t)d[1].effective << 32 | d[0].effective;
    *permitted = (uint64_t)d[1].permitted << 32 | d[0].permitted;
    *inheritable = (uint64_t)d[1].inheritable << 32 | d[0].inheritable;
  }
  return r;
}
static inline int cl_prctl(int op, unsigned long a, unsigned long b, unsigned long c, unsigned long d) {
  return prctl(op, a, b, c, d);
}
// seccomp(2); filter: `count` struct sock_filter. Answers the listener's descriptor with SECCOMP_FILTER_FLAG_NEW_LISTENER.
static inline long cl_seccomp_filter(const void *filter, unsigned short count, unsigned flags) {
  struct sock_fprog p = {count, (struct sock_filter *)filter};
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}
// A null filter: EFAULT when the flags are known, EINVAL when they aren't.
static inline long cl_seccomp_fault(unsigned flags) {
  return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, NULL);
}
static inline long cl_bpf(int cmd, union bpf_attr *attr) { return syscall(SYS_bpf, cmd, attr, sizeof *attr); }
// libm, by the compiler's builtins: math.h would clash with other modules' declarations of it.
static inline double cl_log2(double x) { return __builtin_log2(x); }
static inline double cl_pow(double x, double y) { return __builtin_pow(x, y); }
// bpf(2), the commands of cgroup device programs. `log` may be null with `log_size` 0.
static inline long cl_bpf_prog_load(unsigned type, const void *insns, unsigned count, char *log, unsigned log_size) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.prog_type = type;
  a.insns = (uint64_t)(uintptr_t)insns;
  a.insn_cnt = count;
  a.license = (uint64_t)(uintptr_t) "Apache-2.0";
  a.log_buf = (uint64_t)(uintptr_t)log;
  a.log_size = log_size;
  a.log_level = log ? 1 : 0;
  memcpy(a.prog_name, "berth_devices", 14);
  return cl_bpf(BPF_PROG_LOAD, &a);
}
static inline long cl_bpf_prog_attach(int target, int program, unsigned type, unsigned flags, int replaced) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.target_fd = target;
  a.attach_bpf_fd = program;
  a.attach_type = type;
  a.attach_flags = flags;
  a.replace_bpf_fd = replaced;
  return cl_bpf(BPF_PROG_ATTACH, &a);
}
static inline long cl_bpf_prog_detach(int target, int program, unsigned type) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.target_fd = target;
  a.attach_bpf_fd = program;
  a.attach_type = type;
  return cl_bpf(BPF_PROG_DETACH, &a);
}
// `*count` goes in as the room of `ids` and comes out as their number.
static inline long cl_bpf_prog_query(int target, unsigned type, unsigned *ids, unsigned *count) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.query.target_fd = target;
  a.query.attach_type = type;
  a.query.prog_ids = (uint64_t)(uintptr_t)ids;
  a.query.prog_cnt = *count;
  long r = cl_bpf(BPF_PROG_QUERY, &a);
  *count = a.query.prog_cnt;
  return r;
}
static inline long cl_bpf_prog_open(unsigned id) {
  union bpf_attr a;
  memset(&a, 0, sizeof a);
  a.prog_id = id;
  return cl_bpf(BPF_PROG_GET_FD_BY_ID, &a);
}
static inline uint64_t cl_makedev(unsigned major, unsigned minor) { return makedev(major, minor); }
static inline unsigned cl_major(uint64_t dev) { return major(dev); }
static inline unsigned cl_minor(uint64_t dev) { return minor(dev); }
// The raw calls act on the calling thread alone; our programs that use them have one thread.
static inline long cl_setgroups(size_t n, const gid_t *g) { return syscall(SYS_setgroups, n, g); }
static inline long cl_setresuid(uid_t u) { return syscall(SYS_setresuid, u, u, u); }
static inline long cl_setresgid(gid_t g) { return syscall(SYS_setresgid, g, g, g); }
static inline int cl_setrlimit(int resource, uint64_t soft, uint64_t hard) {
  struct rlimit r = {soft, hard};
  return (int)syscall(SYS_prlimit64, 0, resource, &r, NULL);
}
static inline int cl_getrlimit(int resource, uint64_t *soft, uint64_t *hard) {
  struct rlimit r;
  int e = (int)syscall(SYS_prlimit64, 0, resource, NULL, &r);
  if (e == 0) {
    *soft = r.rlim_cur;
    *hard = r.rlim_max;
  }
  return e;
}
// A write lock on the whole file, held by this process and none of its children; wait or EAGAIN.
static inline int cl_lock_file(int fd, int wait) {
  struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
  return fcntl(fd, wait ? F_SETLKW : F_SETLK, &lock);
}
static inline char **cl_environ(void) { return environ; }
static inline int cl_fcntl(int fd, int cmd, long arg) { return fcntl(fd, cmd, arg); }
static inline int cl_ioctl(int fd, unsigned long request, void *arg) { return ioctl(fd, request, arg); }
static inline int cl_ioctl_int(int fd, unsigned long request, long arg) { return ioctl(fd, request, arg); }
static inline long cl_getdents64(int fd, void *buffer, size_t size) { return syscall(SYS_getdents64, fd, buffer, size); }
static inline long cl_renameat2(int od, const char *op, int nd, const char *np, unsigned flags) {
  return syscall(SYS_renameat2, od, op, nd, np, flags);
}
static inline long cl_memfd_create(const char *name, unsigned flags) { return syscall(SYS_memfd_create, name, flags); }
static inline long cl_execveat(int fd, const char *path, char *const argv[], char *const env[], int flags) {
  return syscall(SYS_execveat, fd, path, argv, env, flags);
}
static inline unsigned cl_tiocswinsz(void) { return TIOCSWINSZ; }
static inline unsigned cl_tiocgwinsz(void) { return TIOCGWINSZ; }
static inline unsigned cl_tiocsctty(void) { return TIOCSCTTY; }
static inline unsigned cl_tiocsptlck(void) { return TIOCSPTLCK; }
static inline unsigned cl_tiocgptpeer(void) { return TIOCGPTPEER; }
static inline unsigned cl_tiocgptn(void) { return TIOCGPTN; }

// Control messages: one SCM_RIGHTS of up to 16 descriptors.
static inline ssize_t cl_send_fds(int sock, const void *data, size_t length, const int *fds, int count, int flags) {
  char control[CMSG_SPACE(16 * sizeof(int))];
  struct iovec v = {(void *)data, length};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1};
  if (count > 16) {
    errno = EINVAL;
    return -1;
  }
  if (count > 0) {
    memset(control, 0, sizeof control);
    m.msg_control = control;
    m.msg_controllen = CMSG_SPACE(count * sizeof(int));
    struct cmsghdr *c = CMSG_FIRSTHDR(&m);
    c->cmsg_level = SOL_SOCKET;
    c->cmsg_type = SCM_RIGHTS;
    c->cmsg_len = CMSG_LEN(count * sizeof(int));
    memcpy(CMSG_DATA(c), fds, count * sizeof(int));
  }
  return sendmsg(sock, &m, flags | MSG_NOSIGNAL);
}
// Descriptors arrive close-on-exec; *count is their number. *message_flags tells MSG_TRUNC and MSG_CTRUNC.
static inline ssize_t cl_recv_fds(int sock, void *data, size_t length, int *fds, int *count, int flags, int *message_flags) {
  char control[CMSG_SPACE(16 * sizeof(int))];
  struct iovec v = {data, length};
  struct msghdr m = {.msg_iov = &v, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  *count = 0;
  ssize_t n = recvmsg(sock, &m, flags | MSG_CMSG_CLOEXEC);
  if (n < 0)
    return n;
  *message_flags = m.msg_flags;
  for (struct cmsghdr *c = CMSG_FIRSTHDR(&m); c; c = CMSG_NXTHDR(&m, c))
    if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS) {
      int k = (int)((c->cmsg_len - CMSG_LEN(0)) / sizeof(int));
      if (k > 16)
        k = 16;
      memcpy(fds, CMSG_DATA(c), k * sizeof(int));
      *count = k;
    }
  return n;
}
// A pathname address: answers its length, or -1 when the path doesn't fit (107 bytes).
static inline int cl_unix_address(struct sockaddr_un *a, const char *path) {
  size_t n = strlen(path);
  memset(a, 0, sizeof *a);
  a->sun_family = AF_UNIX;
  if (n >= sizeof a->sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(a->sun_path, path, n + 1);
  return (int)(offsetof(struct sockaddr_un, sun_path) + n + 1);
}
static inline int cl_bind_unix(int fd, const char *path) {
  struct sockaddr_un a;
  int n = cl_unix_address(&a, path);
  return n < 0 ? -1 : bind(fd, (struct sockaddr *)&a, (socklen_t)n);
}
static inline int cl_connect_unix(int fd, const char *path) {
  struct sockaddr_un a;
  int n = cl_unix_address(&a, path);
  return n < 0 ? -1 : connect(fd, (struct sockaddr *)&a, (socklen_t)n);
}
static inline int cl_connect_ipv4(int fd, const struct sockaddr_in *address) {
  return connect(fd, (const struct sockaddr *)address, sizeof *address);
}
static inline int cl_bind_netlink(int fd, uint32_t groups) {
  struct sockaddr_nl a = {.nl_family = AF_NETLINK, .nl_groups = groups};
  return bind(fd, (struct sockaddr *)&a, sizeof a);
}
static inline int cl_netlink_port(int fd, uint32_t *port) {
  struct sockaddr_nl a;
  socklen_t n = sizeof a;
  int r = getsockname(fd, (struct sockaddr *)&a, &n);
  if (r == 0)
    *port = a.nl_pid;
  return r;
}
// IPv4; address and port in the machine's order.
static inline int cl_bind_inet(int fd, uint32_t address, uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
  return bind(fd, (struct sockaddr *)&a, sizeof a);
}
// An address of 4 or 16 bytes as it goes over the wire, with a port in the machine's order; answers the length, 0 for another count.
static inline socklen_t cl_inet_address(struct sockaddr_storage *a, const uint8_t *bytes, int count, uint16_t port) {
  memset(a, 0, sizeof *a);
  if (count == 4) {
    struct sockaddr_in *v4 = (struct sockaddr_in *)a;
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    memcpy(&v4->sin_addr, bytes, 4);
    return sizeof *v4;
  }
  if (count == 16) {
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)a;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    memcpy(&v6->sin6_addr, bytes, 16);
    return sizeof *v6;
  }
  return 0;
}
static inline int cl_bind_address(int fd, const uint8_t *bytes, int count, uint16_t port) {
  struct sockaddr_storage a;
  socklen_t n = cl_inet_address(&a, bytes, count, port);
  return bind(fd, (struct sockaddr *)&a, n);
}
static inline int cl_connect_address(int fd, const uint8_t *bytes, int count, uint16_t port) {
  struct sockaddr_storage a;
  socklen_t n = cl_inet_address(&a, bytes, count, port);
  return connect(fd, (struct sockaddr *)&a, n);
}
// The port that an IPv4 or IPv6 socket is bound to, -1 on failure.
static inline int cl_local_port(int fd) {
  struct sockaddr_storage a;
  socklen_t n = sizeof a;
  if (getsockname(fd, (struct sockaddr *)&a, &n) != 0)
    return -1;
  return ntohs(a.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&a)->sin6_port : ((struct sockaddr_in *)&a)->sin_port);
}
// recvfrom(2) and sendto(2) with the peer's address kept in 28 opaque bytes.
static inline ssize_t cl_receive_from(int fd, void *data, size_t length, uint8_t peer[28], uint32_t *peer_length) {
  socklen_t n = 28;
  ssize_t r = recvfrom(fd, data, length, MSG_DONTWAIT | MSG_TRUNC, (struct sockaddr *)peer, &n);
  *peer_length = n > 28 ? 28 : n;
  return r;
}
static inline ssize_t cl_send_to(int fd, const void *data, size_t length, const uint8_t *peer, uint32_t peer_length) {
  return sendto(fd, data, length, MSG_DONTWAIT | MSG_NOSIGNAL, (const struct sockaddr *)peer, peer_length);
}
// A numeric IPv4 or IPv6 address; -1 and EINVAL for any other text. NSS is never asked.
static inline int cl_connect_inet(const char *address, uint16_t port) {
  struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
  struct sockaddr_in6 b = {.sin6_family = AF_INET6, .sin6_port = htons(port)};
  int v4 = inet_pton(AF_INET, address, &a.sin_addr) == 1;
  if (!v4 && inet_pton(AF_INET6, address, &b.sin6_addr) != 1) {
    errno = EINVAL;
    return -1;
  }
  int fd = socket(v4 ? AF_INET : AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0)
    return -1;
  if (connect(fd, v4 ? (struct sockaddr *)&a : (struct sockaddr *)&b, v4 ? sizeof a : sizeof b) < 0) {
    int e = errno;
    close(fd);
    errno = e;
    return -1;
  }
  return fd;
}
static inline int cl_accept(int fd, int flags) { return accept4(fd, NULL, NULL, flags); }
static inline void cl_ignore_signal(int sig) { signal(sig, SIG_IGN); }
static inline void cl_default_signal(int sig) { signal(sig, SIG_DFL); }
// Drops the pages below the caller's stack frame and one page more for this call; deeper calls left them behind.
static inline __attribute__((noinline)) void cl_give_back_stack(void) {
  char here;
  uintptr_t top = ((uintptr_t)&here & ~(uintptr_t)4095) - 4096;
  madvise((void *)(top - (256 << 10)), 256 << 10, MADV_DONTNEED);
}
// Unmaps the pages of this program's code, which come back from the file when they are executed again.
extern const char __executable_start, etext;
static inline void cl_give_back_code(void) {
  uintptr_t start = ((uintptr_t)&__executable_start + 4095) & ~(uintptr_t)4095, end = (uintptr_t)&etext & ~(uintptr_t)4095;
  madvise((void *)start, end - start, MADV_DONTNEED);
}
// Maps this program's file in pages of 4 KB from now on. Where the page cache holds it in pieces of 2 MB, as it does once the file has just
// been written, one touched byte would map all of one, and none of it could be given back.
extern const char _end;
static inline void cl_map_small_pages(void) {
  uintptr_t start = (uintptr_t)&__executable_start & ~(uintptr_t)4095, stop = ((uintptr_t)&_end + 4095) & ~(uintptr_t)4095;
  madvise((void *)start, stop - start, MADV_NOHUGEPAGE);
  cl_give_back_code();
}
static inline int cl_errno(void) { return errno; }
static inline int cl_peer_credentials(int fd, pid_t *pid, uid_t *uid, gid_t *gid) {
  struct ucred c;
  socklen_t n = sizeof c;
  int r = getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n);
  if (r == 0) {
    *pid = c.pid;
    *uid = c.uid;
    *gid = c.gid;
  }
  return r;
}
static inline int cl_wifexited(int s) { return WIFEXITED(s); }
static inline int cl_wexitstatus(int s) { return WEXITSTATUS(s); }
static inline int cl_wifsignaled(int s) { return WIFSIGNALED(s); }
static inline int cl_wtermsig(int s) { return WTERMSIG(s); }
