import CLinux
import Kernel

extension Cgroup {
  /// Opens the group for a child about to be cloned.
  public func entrance() throws(CgroupError) -> CgroupEntrance {
    var directory: SharedDescriptor?
    var tasks: [(controller: String, path: String, file: SharedDescriptor)] = []
    for place in places {
      let path = place.isUnified ? place.directory : place.directory + "/tasks"
      do throws(SyscallError) {
        if place.isUnified {
          directory = SharedDescriptor(try Sys.open(path, O_RDONLY | O_DIRECTORY))
        } else {
          tasks.append((place.name, path, SharedDescriptor(try Sys.open(path, O_WRONLY))))
        }
      } catch { throw CgroupError("join", controller: place.name, path: path, error.errno) }
    }
    return CgroupEntrance(directory: directory, tasks: tasks)
  }

  /// Moves another process in through `cgroup.procs`, with all its threads: slow, never on the way of a start.
  public func add(process: Int32) throws(CgroupError) {
    for place in places {
      do throws(CgroupError) { try write(place, "cgroup.procs", String(process)) } catch {
        throw CgroupError("join", controller: place.name, path: error.path, value: error.value, error.errno)
      }
    }
  }

  /// The pids in this group and in the groups below it, in the caller's pid namespace, in ascending order.
  public func processes() throws(CgroupError) -> [Int32] {
    guard let place = unifiedPlace ?? place("pids") ?? place("memory") ?? places.first else { return [] }
    var pids: Set<Int32> = []
    try collect(place, &pids)
    return pids.sorted()
  }

  private func collect(_ place: Place, _ pids: inout Set<Int32>) throws(CgroupError) {
    // ENOTSUP on a threaded group; ENODEV on one that is being removed
    var text = ""
    do throws(CgroupError) {
      if let processes = try readIfPresent(place, "cgroup.procs") {
        text = processes
      } else {
        text = try readIfPresent(place, "cgroup.threads") ?? ""
      }
    } catch  where error.errno == .noSuchDevice { return }
    for line in text.split(separator: "\n") { if let pid = Int32(line), pid > 0 { pids.insert(pid) } }
    for name in try subdirectories(of: place) {
      let below = Place(
        controllers: place.controllers, directory: place.directory + "/" + name, isUnified: place.isUnified)
      try child(name).collect(below, &pids)
    }
  }

  /// Sends SIGKILL to all, leaving none out that is being forked meanwhile; thaws. Doesn't wait for the end. An absent group has none.
  public func killAll() throws(CgroupError) {
    guard exists else { return }
    if let place = unifiedPlace {
      // Linux 5.14: atomic against forks, and it reaches frozen processes
      do throws(CgroupError) {
        if try writeIfPresent(place, "cgroup.kill", "1") { return }
      } catch  where error.errno == .noSuchFile || error.errno == .notSupported
      { /* absent or threaded: one by one, below */  }
    }
    // Without it: what is frozen can't fork, so a list of all is a list of all
    var failure: CgroupError?
    do throws(CgroupError) { try freeze() } catch {
      // No freezer, or a group of which only some directories had been made: nothing has entered that.
      if error.errno != .noSuchFile { failure = error }
    }
    for pid in try processes() {
      do throws(SyscallError) { try Sys.kill(pid, SIGKILL) } catch  where error.errno == .noSuchProcess {
        continue
      } catch {
        throw CgroupError("kill", controller: "cgroup", path: path, value: String(pid), error.errno)
      }
    }
    do throws(CgroupError) { try thaw() } catch  where error.errno == .noSuchFile { /* no freezer: nothing is frozen */
    }
    if let failure, try !processes().isEmpty { throw failure }
  }
}
