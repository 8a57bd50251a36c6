public import CLinux

/// Programs are started by posix_spawn(3). Between its clone and its exec the child holds a copy of every descriptor of ours, close-on-exec
/// or not: what another thread closes in that moment, a bound port for one, isn't free before the child has executed.
extension Sys {
  private static let starts = StartLock()

  /// For calls of posix_spawn(3): several may run at once.
  public static func spawning<T>(_ body: () -> T) -> T {
    starts.shared()
    defer { starts.unlock() }
    return body()
  }

  /// Waits, blocking, until no child is on its way to its program, and does something while none sets out: milliseconds on a busy machine.
  public static func betweenSpawns<T>(_ body: () throws(SyscallError) -> T) throws(SyscallError) -> T {
    starts.exclusive()
    defer { starts.unlock() }
    return try body()
  }

  /// Starts a program of the host's with these words (the first is its name) and variables; its standard descriptors are those given,
  /// `/dev/null` for nil, and it has no others.
  public static func spawn(
    _ program: String, _ words: [String], environment: [String], output: Int32? = nil, errors: Int32? = nil
  ) throws(SyscallError) -> pid_t {
    var actions = posix_spawn_file_actions_t()
    posix_spawn_file_actions_init(&actions)
    defer { posix_spawn_file_actions_destroy(&actions) }
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0)
    for (number, descriptor) in [(Int32(1), output), (2, errors)] {
      if let descriptor {
        posix_spawn_file_actions_adddup2(&actions, descriptor, number)
      } else {
        posix_spawn_file_actions_addopen(&actions, number, "/dev/null", O_WRONLY, 0)
      }
    }
    posix_spawn_file_actions_addclosefrom_np(&actions, 3)
    let words: [UnsafeMutablePointer<CChar>?] = words.map { strdup($0) } + [nil]
    defer { for word in words { free(word) } }
    let environment: [UnsafeMutablePointer<CChar>?] = environment.map { strdup($0) } + [nil]
    defer { for variable in environment { free(variable) } }
    var pid: pid_t = 0
    let result = spawning { posix_spawn(&pid, program, &actions, nil, words, environment) }
    guard result == 0 else { throw SyscallError("posix_spawn", program, Errno(rawValue: result)) }
    return pid
  }
}

/// pthread_rwlock_t(0p): those who start programs share it.
private final class StartLock: @unchecked Sendable {  // SAFETY: the lock itself is what threads may use at once
  private let lock = UnsafeMutablePointer<pthread_rwlock_t>.allocate(capacity: 1)

  init() { pthread_rwlock_init(lock, nil) }
  func shared() { pthread_rwlock_rdlock(lock) }
  func exclusive() { pthread_rwlock_wrlock(lock) }
  func unlock() { pthread_rwlock_unlock(lock) }
}
