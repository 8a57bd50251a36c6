import CLinux
import Kernel

extension Cgroup {
  /// Makes one directory ready for members; answers false when it was there.
  func makeDirectory(_ place: Place, controlled: Bool = true) throws(CgroupError) -> Bool {
    var isNew = true
    do throws(SyscallError) {
      try Sys.mkdir(place.directory)
    } catch {
      switch error.errno {
      case .fileExists: isNew = false
      case .noSuchFile where parent != nil: isNew = try makeBelowParents(place, controlled)
      default: throw CgroupError("create", controller: place.name, path: place.directory, error.errno)
      }
    }
    if place.isUnified {
      if controlled { try enableControllers(place) }
    } else if place.controllers.contains("cpuset") {
      try initialiseCpuset(place)
    }
    return isNew
  }

  /// The directories above are missing: makes them too.
  private func makeBelowParents(_ place: Place, _ controlled: Bool) throws(CgroupError) -> Bool {
    // Whoever leaves last removes a parent that nobody uses (`removeIfUnused`): it may go between these two steps. Nobody does that
    // over and over, so a few attempts are enough.
    for _ in 0..<9 {
      do throws(CgroupError) { return try makeOnceBelowParents(place, controlled) } catch
        where error.errno == .noSuchFile
        || error.errno == .noSuchDevice
      {}
    }
    return try makeOnceBelowParents(place, controlled)
  }

  private func makeOnceBelowParents(_ place: Place, _ controlled: Bool) throws(CgroupError) -> Bool {
    if let parent {
      let above = String(place.directory.dropLast(path.utf8.count - parent.path.utf8.count))
      _ = try parent.makeDirectory(
        Place(controllers: place.controllers, directory: above, isUnified: place.isUnified),
        controlled: controlled)
    }
    do throws(SyscallError) {
      try Sys.mkdir(place.directory)
      return true
    } catch  where error.errno == .fileExists {
      return false
    } catch { throw CgroupError("create", controller: place.name, path: place.directory, error.errno) }
  }

  /// v1: no task may join a cpuset without processors and memory nodes (ENOSPC). A parent of ours hands its own to children that are
  /// made later by `cgroup.clone_children`, so that mostly one read is all it takes.
  private func initialiseCpuset(_ place: Place) throws(CgroupError) {
    // mems is written last: when it is there, so is cpus, whoever else is at it
    if try !read(place, "cpuset.mems").isEmpty { return }
    let above = String(place.directory.dropLast(path.utf8.count - (parent?.path.utf8.count ?? 0)))
    let parentPlace = Place(controllers: place.controllers, directory: above, isUnified: false)
    if let parent {
      try parent.initialiseCpuset(parentPlace)
      try write(parentPlace, "cgroup.clone_children", "1")
    }
    for file in ["cpuset.cpus", "cpuset.mems"] { try write(place, file, try read(parentPlace, file)) }
  }

  /// v2: what the root can control, this group should. It can only do so when every group above passes it on.
  private func enableControllers(_ place: Place) throws(CgroupError) {
    let wanted = layout.unifiedControllers
    guard !wanted.isEmpty, let root = layout.unified else { return }
    func missing() throws(CgroupError) -> [String] {
      let present = try read(place, "cgroup.controllers").split(separator: " ")
      return wanted.filter { name in !present.contains { $0 == name } }
    }
    let absent = try missing()
    if absent.isEmpty { return }
    var directory = root
    for component in path.split(separator: "/") {
      try passOn(absent, in: directory, isRoot: directory == root)
      directory += "/" + component
    }
  }

  /// Adds controllers to a directory's `cgroup.subtree_control`, all in one write, or one by one as far as the kernel goes along:
  /// a limit whose controller is missing in the end gives its own warning or error.
  private func passOn(_ controllers: [String], in directory: String, isRoot: Bool) throws(CgroupError) {
    let file = directory + "/cgroup.subtree_control"
    do throws(SyscallError) {
      try Sys.writeFile(file, controllers.map { "+" + $0 }.joined(separator: " "))
      return
    } catch  where error.errno == .busy && isRoot {
      // The root of a delegated subtree (we are in a container ourselves) has members, and v2 allows none beside controllers that are
      // passed on. Those are ours to move, as docker-in-docker does.
      try moveMembers(of: directory, to: directory + "/berth.init")
    } catch { /* each by itself, below */  }
    for controller in controllers {
      do throws(SyscallError) { try Sys.writeFile(file, "+" + controller) } catch {
        switch error.errno {
        case .noSuchFile, .busy, .notSupported, .invalidArgument, .permissionDenied, .readOnlyFileSystem: continue
        default: throw CgroupError("enable", controller: controller, path: file, value: "+" + controller, error.errno)
        }
      }
    }
  }

  private func moveMembers(of directory: String, to leaf: String) throws(CgroupError) {
    func attempt(_ path: String, _ value: String, _ body: () throws(SyscallError) -> Void) throws(CgroupError) {
      do throws(SyscallError) { try body() } catch {
        switch error.errno {
        // there already; or the process has ended meanwhile; or it is a kernel thread
        case .fileExists, .noSuchProcess, .invalidArgument: return
        default: throw CgroupError("move", controller: "cgroup", path: path, value: value, error.errno)
        }
      }
    }
    try attempt(leaf, "") { () throws(SyscallError) in try Sys.mkdir(leaf) }
    let members = try text(of: directory + "/cgroup.procs", controller: "cgroup")
    for pid in members.split(separator: "\n") {
      try attempt(leaf + "/cgroup.procs", String(pid)) { () throws(SyscallError) in
        try Sys.writeFile(leaf + "/cgroup.procs", String(pid))
      }
    }
  }

  /// The names directly below this path in any hierarchy, sorted: what a sweep compares with what it knows.
  /// Groups of `CgroupPool` are left out.
  public func children() throws(CgroupError) -> [String] {
    try subdirectories().filter { !$0.hasPrefix(CgroupPool.prefix) }
  }

  /// All names below, those of the pool too.
  func subdirectories() throws(CgroupError) -> [String] {
    var names: Set<String> = []
    for place in places { names.formUnion(try subdirectories(of: place)) }
    return names.sorted()
  }

  func subdirectories(of place: Place) throws(CgroupError) -> [String] {
    do throws(SyscallError) {
      return try Sys.entries(of: place.directory).filter { $0.type == DT_DIR }.map(\.name)
    } catch  where error.errno == .noSuchFile || error.errno == .noSuchDevice {
      return []
    } catch { throw CgroupError("list", controller: place.name, path: place.directory, error.errno) }
  }
}
