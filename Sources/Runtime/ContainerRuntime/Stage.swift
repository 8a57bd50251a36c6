import CLinux
import Kernel
import Rootfs

/// The child's half of a launch or of an exec: where it stands, and its line to the parent.
struct Stage {
  /// A SOCK_SEQPACKET socket, close-on-exec: its end tells the parent that the program runs.
  let channel: Int32
  private(set) var step: Step = .signals

  init(channel: Int32) { self.channel = channel }

  /// The steps by their order. Each says why it stands where it stands.
  enum Step: String, CaseIterable {
    /// The parent: everything that can be refused is refused before anything is made.
    case plan
    /// The parent: before the clone, since a v2 group is joined by being born in it.
    case makeCgroup
    /// The parent: sources that only it may open, then clone3.
    case clone
    /// First of all in the child: no handler of the parent may run in the child, and a program inherits ignored signals (SIGPIPE).
    case signals
    /// Before any namespace is shared with others: no process in there may attach to us or look into our descriptors
    /// (CVE-2016-9962, CVE-2019-5736).
    case dumpable
    /// Before the terminal: only the leader of a session can get one. A keyring of its own, lest the host's is shared.
    case session
    /// While the host's cgroups are in sight, and before the cgroup namespace, whose root is where we are then.
    case cgroup
    /// Others' namespaces before a mount: procfs, sysfs and mqueue show the ones that their mounter is in.
    case namespaces
    /// The parent writes the id maps; without them we have no rights to mount.
    case userNamespace
    /// The mount namespace leaves the host's propagation, then the root is attached.
    case rootfs
    /// In the order of the specification, each onto a descriptor.
    case mounts
    /// After the mounts: `/dev` is one of them.
    case devices
    /// After devpts.
    case console
    /// After `/proc` is there and before it is masked, through our own procfs.
    case sysctl
    /// After the last write through procfs.
    case masks
    /// Nothing of the host can be named from here on.
    case pivot
    case hostname
    /// In the container's own files, so after the pivot.
    case user
    /// Descriptors 0 to 2; their owner is the user.
    case stdio
    /// Before the capabilities to raise them are gone.
    case limits
    /// All that we hold but the line to the parent is closed, not merely marked: until the exec has read program and interpreter, an open
    /// directory of the host leads there by `/proc/self/fd/N/..`, for a working directory and a program alike (CVE-2024-21626).
    case descriptors
    /// The working directory while we may go anywhere, and again as the user if that was denied.
    case directory
    /// Bounding set, then groups and ids, then the other sets: each needs the ones before.
    case identity
    /// The program is looked for as the user.
    case program
    /// All that can fail has been done; the parent says go.
    case ready
    /// Pid 1 stays behind as init, before the filter: the program's filter needn't allow what init does.
    case initProcess
    /// The last step but the exec: the filter need allow nothing but execve (and capset, where no_new_privs isn't set).
    case seccomp
    case exec
  }

  /// Goes on to a step.
  mutating func enter(_ next: Step) throws(LaunchFailure) {
    step = next
    ContainerRuntime.trace?.mark(next)
    #if DEBUG
      if ContainerRuntime.failPoint == next.rawValue { throw failure(EIO, next.rawValue, "injected failure") }
    #endif
  }

  func failure(_ errno: Int32, _ object: String, _ message: String) -> LaunchFailure {
    LaunchFailure(step: step.rawValue, errno: errno, object: object, message: message)
  }

  /// Runs a call of this step; its failure gets the step and says what was being done.
  @discardableResult
  func attempt<T: ~Copyable>(_ doing: @autoclosure () -> String, _ body: () throws(SyscallError) -> T)
    throws(LaunchFailure) -> T
  {
    do throws(SyscallError) { return try body() } catch {
      throw failure(error.errno.rawValue, error.object, "\(doing()): \(error)")
    }
  }

  @discardableResult
  func mounting<T: ~Copyable>(_ body: () throws(RootfsError) -> T) throws(LaunchFailure) -> T {
    do throws(RootfsError) { return try body() } catch {
      throw LaunchFailure(step: error.step, errno: error.errno, object: error.object, message: error.message)
    }
  }

  func warn(_ text: String) { Message.warning(text).post(to: channel) }

  /// Tells the parent and ends the child.
  func fail(_ failure: LaunchFailure) -> Never {
    Message.failure(failure).post(to: channel)
    _exit(127)
  }
}

extension ContainerRuntime {
  /// When set, every step of the init stage leaves its time there: for measurements. Shared memory, set before the clone by the
  /// one thread there is.
  public nonisolated(unsafe) static var trace: StepTrace?  // SAFETY: single-threaded callers only (type's contract)

  #if DEBUG
    /// Makes the child fail when it comes to this step: for the tests of what is left behind.
    public nonisolated(unsafe) static var failPoint: String?  // SAFETY: single-threaded callers only (type's contract)
  #endif
}
