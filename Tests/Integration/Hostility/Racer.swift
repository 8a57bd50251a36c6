import CLinux
import Kernel
import Synchronization

/// Lets two names of a directory change places as fast as it goes, on a thread of its own, until it is stopped: what a hostile neighbour
/// does to a tree that it shares.
final class Racer: Sendable {
  private let goesOn = Atomic(true)
  private let turns = Atomic(0)
  private let isDone = Atomic(false)
  private let directory: String
  private let names: (String, String)

  init(_ directory: String, _ one: String, _ other: String) throws {
    self.directory = directory
    names = (one, other)
    var thread = pthread_t()
    let error = pthread_create(
      &thread, nil,
      { argument in
        guard let argument else { return nil }
        // SAFETY: retained for the thread just below
        Unmanaged<Racer>.fromOpaque(argument).takeRetainedValue().run()
        return nil
      }, Unmanaged.passRetained(self).toOpaque())
    guard error == 0 else { throw SyscallError("pthread_create", directory, Errno(rawValue: error)) }
    pthread_detach(thread)
  }

  private func run() {
    defer { isDone.store(true, ordering: .releasing) }
    guard let directory = try? Sys.open(directory, O_PATH | O_DIRECTORY) else { return }
    while goesOn.load(ordering: .acquiring) {
      guard (try? Sys.rename(names.0, at: directory.raw, to: names.1, at: directory.raw, flags: 2)) != nil else {
        continue
      }
      turns.add(1, ordering: .relaxed)
      // Each state must last for some of a launch, or the two halves of a check always see different ones.
      var pause = timespec(tv_sec: 0, tv_nsec: Int.random(in: 0...300_000))
      nanosleep(&pause, nil)
    }
  }

  /// Answers how often they changed places.
  func stop() -> Int {
    goesOn.store(false, ordering: .releasing)
    while !isDone.load(ordering: .acquiring) { sched_yield() }
    return turns.load(ordering: .relaxed)
  }
}
