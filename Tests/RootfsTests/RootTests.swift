import CLinux
import Kernel
import Rootfs
import Testing

/// Paths inside a tree that isn't trusted.
struct RootTests {
  final class Tree {
    let path: String
    init() throws {
      path = "/tmp/berth-root-test-" + Sys.random(8).map { String($0, radix: 16) }.joined()
      try Sys.mkdir(path)
      try Sys.mkdir(path + "/root")
      try Sys.mkdir(path + "/outside")
    }
    deinit { try? Sys.removeTree(path) }
    var outsideIsEmpty: Bool { get throws { try Sys.entries(of: path + "/outside").isEmpty } }
  }

  let tree: Tree
  init() throws { tree = try Tree() }

  @Test func missingDirectoriesAreMade() throws {
    let root = try Root(tree.path + "/root")
    _ = try root.makeDirectory("/a/./b/../c//d/")
    #expect(Sys.exists(tree.path + "/root/a/c/d") && Sys.exists(tree.path + "/root/a/b"))
    _ = try root.makeFile("/x/y/file")
    #expect(try Sys.status(tree.path + "/root/x/y/file").st_mode & 0o170000 == 0o100000)
  }

  @Test func linksAreFollowedInside() throws {
    let root = try Root(tree.path + "/root")
    try Sys.symlink("/target", tree.path + "/root/absolute")
    try Sys.symlink("../../../outside", tree.path + "/root/up")
    try Sys.symlink("absolute/deeper", tree.path + "/root/twice")
    _ = try root.makeDirectory("/absolute/new")
    _ = try root.makeDirectory("/up/new")
    _ = try root.makeFile("/twice/file")
    #expect(Sys.exists(tree.path + "/root/target/new"))
    #expect(Sys.exists(tree.path + "/root/outside/new"), "dot-dot stops at the root")
    #expect(Sys.exists(tree.path + "/root/target/deeper/file"))
    #expect(try tree.outsideIsEmpty)
  }

  @Test func dotDotStopsAtTheRoot() throws {
    let root = try Root(tree.path + "/root")
    _ = try root.makeDirectory("../../outside/new")
    #expect(try tree.outsideIsEmpty)
    #expect(Sys.exists(tree.path + "/root/outside/new"))
    #expect(throws: SyscallError.self) { _ = try root.open("../outside/none") }
  }

  @Test func magicLinksAreNotFollowed() throws {
    let root = try Root("/")
    #expect(throws: SyscallError.self) { _ = try root.open("/proc/self/cwd/x") }
    #expect(throws: SyscallError.self) { _ = try root.makeDirectory("/proc/self/root/tmp/berth-never") }
    #expect(!Sys.exists("/tmp/berth-never"))
  }

  @Test func loopsAndFilesInTheWayAreErrors() throws {
    let root = try Root(tree.path + "/root")
    try Sys.symlink("two", tree.path + "/root/one")
    try Sys.symlink("one", tree.path + "/root/two")
    _ = try root.makeFile("/file")
    func errno(_ path: String) -> Errno? {
      do throws(SyscallError) {
        _ = try root.makeDirectory(path)
        return nil
      } catch { return error.errno }
    }
    #expect(errno("/one/x") == .symlinkLoop)
    #expect(errno("/file/x") == .notDirectory)
    #expect(errno("/file") == .notDirectory)
  }

  @Test func aTreeThatChangesMeanwhileNeverLeadsOut() throws {
    // One process flips a name between a directory and a link to the outside as fast as it can.
    try Sys.mkdir(tree.path + "/root/dir")
    try Sys.symlink(tree.path + "/outside", tree.path + "/root/link")
    let stop = try Sys.eventfd()
    let path = tree.path
    let flipper = Flipper(path + "/root", stop: stop.raw)
    try flipper.start()
    let root = try Root(path + "/root")
    for index in 0..<2000 {
      do throws(SyscallError) { _ = try root.makeDirectory("/dir/d\(index)/e") } catch { continue }
    }
    try flipper.end()
    #expect(try tree.outsideIsEmpty)
  }

  /// `mv -T --exchange dir link` for ever, in a shell's stead: busybox has none, so a child process of our own does it.
  final class Flipper {
    let path: String
    let stop: Int32
    private var thread = pthread_t()

    init(_ path: String, stop: Int32) {
      self.path = path
      self.stop = stop
    }

    func start() throws {
      let context = Unmanaged.passRetained(self).toOpaque()
      pthread_create(
        &thread, nil,
        { context in
          guard let context else { return nil }
          let flipper = Unmanaged<Flipper>.fromOpaque(context).takeRetainedValue()
          while (try? Sys.poll(flipper.stop, Int16(POLLIN), timeout: 0)) == 0 {
            try? Sys.rename(flipper.path + "/dir", to: flipper.path + "/link", flags: 2)
          }
          return nil
        }, context)
    }

    func end() throws {
      try Sys.signalEvent(stop)
      pthread_join(thread, nil)
    }
  }
}
