// What SealedProgram.swift says must happen before a container is entered, done before anything else of the program starts: executed once
// more from a detached, read-only mount of its own file. C library and Swift's runtime are set up once instead of twice so (0.5 ms).
//
// Runs without a C library: no relocated calls, no errno, no thread-local storage. Whatever fails here is left to SealedProgram, which
// checks, has another way, and tells of failures.
#include "CSealedStart.h"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/statfs.h>
#include <sys/syscall.h>

#ifdef __x86_64__
static inline long call(long n, long a, long b, long c, long d, long e) {
  register long r10 __asm__("r10") = d;
  register long r8 __asm__("r8") = e;
  long result;
  __asm__ volatile("syscall" : "=a"(result) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8) : "rcx", "r11", "memory");
  return result;
}

__attribute__((naked, used)) void berth_sealed_start(void) {
  // The C library's _start finds stack and registers as the kernel left them.
  __asm__(
      "xor %ebp, %ebp\n"
      "mov %rsp, %rbx\n"
      "mov %rdx, %r12\n"
      "mov %rsp, %rdi\n"
      "and $-16, %rsp\n"
      "call berth_seal\n"
      "mov %rbx, %rsp\n"
      "mov %r12, %rdx\n"
      "jmp _start\n");
}
#elif defined(__aarch64__)
static inline long call(long n, long a, long b, long c, long d, long e) {
  register long x8 __asm__("x8") = n;
  register long x0 __asm__("x0") = a;
  register long x1 __asm__("x1") = b;
  register long x2 __asm__("x2") = c;
  register long x3 __asm__("x3") = d;
  register long x4 __asm__("x4") = e;
  __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory");
  return x0;
}

__attribute__((naked, used)) void berth_sealed_start(void) {
  __asm__(
      "mov x19, sp\n"
      "mov x20, x0\n"
      "mov x0, sp\n"
      "bl berth_seal\n"
      "mov sp, x19\n"
      "mov x0, x20\n"
      "b _start\n");
}
#endif

static int is(const char *text, const char *word) {
  while (*word && *text == *word) {
    text++;
    word++;
  }
  return *text == *word;
}

static const char marker[] = "_BERTH_RUNTIME_SEALED=1";

// Executes the file of a mount; comes back when that fails.
static void again(long mount, char **arguments, char **environment, long variables) {
  char path[32] = "/proc/self/fd/";
  long end = 14, divisor = 1;
  while (mount / divisor >= 10) divisor *= 10;
  for (; divisor; divisor /= 10) path[end++] = (char)('0' + mount / divisor % 10);
  path[end] = 0;
  char *volatile marked[variables + 2];
  for (long i = 0; i < variables; i++) marked[i] = environment[i];
  marked[variables] = (char *)marker;
  marked[variables + 1] = 0;
  call(SYS_execve, (long)path, (long)arguments, (long)marked, 0, 0);
}

// `stack`: argc, arguments, NULL, environment, NULL.
__attribute__((used)) void berth_seal(long *stack) {
  long count = stack[0];
  char **arguments = (char **)(stack + 1);
  char **environment = arguments + count + 1;
  int enters = 0;
  for (long i = 1; i < count; i++)
    enters |= is(arguments[i], "create") || is(arguments[i], "run") || is(arguments[i], "exec");
  if (!enters || call(SYS_geteuid, 0, 0, 0, 0, 0) != 0) return;
  long variables = 0;
  for (; environment[variables]; variables++)
    if (is(environment[variables], marker)) return;
  if (variables > 4096) return;

  long file = call(SYS_openat, AT_FDCWD, (long)"/proc/self/exe", O_RDONLY | O_CLOEXEC, 0, 0);
  if (file < 0) return;
  struct statfs status;
  long flags = 0, mount = -1;
  unsigned long long attributes[4] = {1, 0, 0, 0};  // MOUNT_ATTR_RDONLY
  if (call(SYS_fstatfs, file, (long)&status, 0, 0, 0) != 0 || status.f_flags & 1) goto done;  // ST_RDONLY
  if (call(SYS_ioctl, file, FS_IOC_GETFLAGS, (long)&flags, 0, 0) == 0 && flags & FS_IMMUTABLE_FL) goto done;
  mount = call(428, file, (long)"", 1 | O_CLOEXEC | 0x1000, 0, 0);  // open_tree: OPEN_TREE_CLONE, AT_EMPTY_PATH
  if (mount < 0) goto done;
  if (call(442, mount, (long)"", 0x1000, (long)attributes, sizeof attributes) != 0) goto done;

  again(mount, arguments, environment, variables);
done:
  if (mount >= 0) call(SYS_close, mount, 0, 0, 0, 0);
  call(SYS_close, file, 0, 0, 0, 0);
}
