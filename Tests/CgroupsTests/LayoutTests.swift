import OCI
import Testing

@testable import Cgroups

@Suite struct LayoutTests {
  let controllers =
    "#subsys_name\thierarchy\tnum_cgroups\tenabled\ncpuset\t3\t1\t1\ncpu\t1\t1\t1\ncpuacct\t2\t1\t1\nmemory\t4\t3\t1\nfreezer\t6\t1\t1\n"

  private func parse(mountinfo: String, cgroups: String) -> CgroupLayout? {
    CgroupLayout.parse(mountinfo: Array(mountinfo.utf8), cgroups: Array(cgroups.utf8))
  }

  @Test func coMountedControllersShareAHierarchyAndNamedOnesAreLeftOut() throws {
    let layout = try #require(
      parse(
        mountinfo: """
          31 23 0:28 / /sys/fs/cgroup ro - tmpfs tmpfs ro,mode=755
          32 31 0:29 / /sys/fs/cgroup/systemd rw shared:9 - cgroup cgroup rw,xattr,name=systemd
          33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:10 - cgroup cgroup rw,cpu,cpuacct
          34 31 0:31 / /sys/fs/cgroup/memory rw shared:11 master:2 - cgroup cgroup rw,memory
          """, cgroups: controllers))
    #expect(layout.mode == .v1)
    #expect(layout.unified == nil)
    #expect(
      layout.hierarchies == [
        .init(controllers: ["cpu", "cpuacct"], mountPoint: "/sys/fs/cgroup/cpu,cpuacct"),
        .init(controllers: ["memory"], mountPoint: "/sys/fs/cgroup/memory"),
      ])
  }

  @Test func aV2TreeBesideV1HierarchiesIsHybridAndTheHierarchysOwnRootIsPreferred() throws {
    let layout = try #require(
      parse(
        mountinfo: """
          30 23 0:33 /docker/1 /var/lib/x/rootfs/sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
          33 31 0:33 / /odd\\040place/memory rw - cgroup cgroup rw,memory
          34 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
          """, cgroups: controllers))
    #expect(layout.mode == .hybrid)
    #expect(layout.hierarchies == [.init(controllers: ["memory"], mountPoint: "/odd place/memory")])
    #expect(layout.unified == "/sys/fs/cgroup/unified")
  }

  @Test func aV2TreeBesideANamedHierarchyIsV2() throws {
    let layout = try #require(
      parse(
        mountinfo: """
          34 31 0:38 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw
          32 31 0:29 / /run/cg/systemd rw - cgroup cgroup rw,name=systemd
          """, cgroups: controllers))
    #expect(layout.mode == .v2)
    #expect(layout.hierarchies.isEmpty)
  }

  @Test func noCgroupFileSystemIsNil() {
    #expect(parse(mountinfo: "31 23 0:28 / /proc rw - proc proc rw\n", cgroups: controllers) == nil)
  }

  @Test func thisHostsLayoutSurvivesJSON() throws {
    let layout = try GroupFixture.layout()
    print("layout: \(layout.mode), \(layout.hierarchies.map(\.controllers)), v2: \(layout.unifiedControllers)")
    #expect(try CgroupLayout(JSONFields(layout.json)) == layout)
  }

  @Test(arguments: ["", "/", "//", "/a/../b", "/a/./b", "..", "/a\nb"]) func badNamesAreRefused(_ path: String) throws {
    let layout = try GroupFixture.layout()
    #expect(throws: CgroupError.self) { try Cgroup(path: path, layout: layout) }
  }

  @Test func namesAreMadeAbsolute() throws {
    #expect(try Cgroup(path: "a//b/", layout: GroupFixture.layout()).path == "/a/b")
  }
}

@Suite struct ConversionTests {
  @Test(
    arguments: [(0, 0), (1, 1), (2, 1), (1024, 100), (262_144, 10000), (300_000, 10000), (512, 59), (2048, 174)]
      as [(UInt64, UInt64)])
  func sharesToWeight(_ shares: UInt64, _ weight: UInt64) { #expect(Cgroups.cpuWeight(shares: shares) == weight) }

  @Test(arguments: [(0, 0), (10, 1), (500, 4950), (1000, 10000), (5, 1)] as [(UInt16, UInt64)])
  func blkioToIOWeight(_ weight: UInt16, _ expected: UInt64) {
    #expect(Cgroups.ioWeight(blkioWeight: weight) == expected)
  }

  @Test func swapIsTheSumWithoutMemory() throws {
    #expect(try Cgroups.swapLimit(memoryAndSwap: 300, memory: 100) == 200)
    #expect(try Cgroups.swapLimit(memoryAndSwap: 100, memory: 100) == 0)
    #expect(try Cgroups.swapLimit(memoryAndSwap: -1, memory: 100) == -1)
    #expect(try Cgroups.swapLimit(memoryAndSwap: nil, memory: 100) == nil)
    #expect(try Cgroups.swapLimit(memoryAndSwap: nil, memory: -1) == -1)
    #expect(throws: Cgroups.SwapReason.self) { try Cgroups.swapLimit(memoryAndSwap: 50, memory: 100) }
    #expect(throws: Cgroups.SwapReason.self) { try Cgroups.swapLimit(memoryAndSwap: 50, memory: nil) }
  }

  @Test func listsOfProcessors() {
    #expect(Cgroups.parseList("0-2,5") == [0, 1, 2, 5])
    #expect(Cgroups.parseList("") == [])
    #expect(Cgroups.parseList("3-1") == nil)
    #expect(Cgroups.parseList("a") == nil)
    #expect(Cgroups.parseList("0-99999999") == nil)
  }

  @Test func aDaemonBesideTheDefaultOneHasAParentOfItsOwn() {
    #expect(Cgroups.defaultParent(execRoot: "/run/berth") == "/berth")
    #expect(Cgroups.defaultParent(execRoot: "/tmp/a") != Cgroups.defaultParent(execRoot: "/tmp/b"))
  }
}
