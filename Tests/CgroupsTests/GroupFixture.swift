import CLinux
import Kernel
import OCI
import Testing

@testable import Cgroups

/// A group of its own for a test, killed and removed at the end, with children that run in it.
final class GroupFixture {
  let group: Cgroup
  let layout: CgroupLayout

  private static let layoutOfHost: Result<CgroupLayout, SyscallError> = {
    do throws(SyscallError) { return .success(try CgroupLayout.probe()) } catch { return .failure(error) }
  }()

  static func layout() throws -> CgroupLayout { try layoutOfHost.get() }

  /// A path that no other test has.
  static func uniquePath(_ parent: String = "/berth-tests") -> String {
    let name = Sys.random(8).map { String($0, radix: 16) }.joined()
    return "\(parent)-\(getpid())/\(name)"
  }

  /// The common parent goes with the process: while tests run, another may be making a group in it.
  private static let removesParentAtExit: Void = {
    _ = atexit {
      guard let layout = try? GroupFixture.layout(),
        let group = try? Cgroup(path: GroupFixture.uniquePath(), layout: layout)
      else {
        return
      }
      for place in group.parent?.places ?? [] { try? Sys.rmdir(place.directory) }
    }
  }()

  init(_ change: (inout RuntimeSpec.Resources) -> Void = { _ in }) throws {
    _ = Self.removesParentAtExit
    layout = try Self.layout()
    group = try Cgroup(path: Self.uniquePath(), layout: layout)
    var resources = RuntimeSpec.Resources()
    change(&resources)
    let warnings = try group.create(resources)
    if !warnings.isEmpty { print("warnings: \(warnings)") }
  }

  deinit {
    do {
      try group.killAll()
      try group.remove()
    } catch { Issue.record("cleaning up \(group.path): \(error)") }
  }

  /// Runs `/bin/sh -c script` in the group; its standard output and error go to `output`.
  func run(_ script: String, output: Int32? = nil) throws -> Child {
    let entrance = try group.entrance()
    var words: [UnsafeMutablePointer<CChar>?] =
      ["/bin/sh", "-c", script].map { (word: String) in strdup(word) } + [nil]
    defer { for word in words { free(word) } }
    var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
    defer { free(environment[0]) }
    // The test process has threads: nothing between clone and exec may allocate, so what Swift makes at first use is made before.
    try CgroupEntrance(directory: nil, tasks: []).enter()
    let (pid, pidfd) = try Sys.clone3(flags: 0, cgroup: entrance.cloneInto)
    if pid == 0 {
      do throws(CgroupError) { try entrance.enter() } catch { _exit(125) }
      if let output {
        dup2(output, 1)
        dup2(output, 2)
      }
      if let program = words[0] { execve(program, &words, &environment) }
      _exit(126)
    }
    return Child(pid: pid, pidfd: Descriptor(owning: pidfd))
  }

  /// Runs a script to its end; answers its status and what it printed.
  func output(_ script: String) throws -> Output {
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let child: Child
    do {
      let writer = Descriptor(owning: pipe.write)
      child = try run(script, output: writer.raw)
    }
    let exit = try child.wait()
    // what it wrote fits the pipe; a grandchild may hold the other end
    try Sys.setNonBlocking(reader.raw)
    var text = ""
    while let part = try readReady(reader.raw), !part.isEmpty { text += part }
    return Output(code: exit.code, text: text)
  }

  /// nil when nothing is there, empty at the end.
  private func readReady(_ fd: Int32) throws -> String? {
    var bytes = [UInt8](repeating: 0, count: 4096)
    let count = read(fd, &bytes, bytes.count)
    if count >= 0 { return String(decoding: bytes.prefix(count), as: UTF8.self) }
    let error = Errno.current
    guard error == .wouldBlock else { throw SyscallError("read", "fd \(fd)", error) }
    return nil
  }
}

struct Output {
  let code: Int32
  let text: String
  var succeeded: Bool { code == 0 }
}

struct Child: ~Copyable {
  let pid: pid_t
  let pidfd: Descriptor

  init(pid: pid_t, pidfd: consuming Descriptor) {
    self.pid = pid
    self.pidfd = pidfd
  }

  /// Waits at most 20 seconds.
  func wait() throws -> Sys.Exit {
    let ready = try Sys.poll(pidfd.raw, Int16(POLLIN), timeout: 20_000)
    try #require(ready != 0, "the child \(pid) doesn't end")
    return try #require(try Sys.wait(pidfd: pidfd.raw))
  }
}

/// Why a test has nothing to say on this host: printed, so that the skip is seen.
func skip(_ reason: String) { print("SKIPPED: \(reason)") }
