import CLinux
import Kernel
import OCI
import Testing

@testable import Cgroups

@Suite struct MembershipTests {
  @Test func aChildIsBornInEveryHierarchy() throws {
    let fixture = try GroupFixture()
    let result = try fixture.output("cat /proc/self/cgroup")
    #expect(result.code == 0)
    for place in fixture.group.places {
      let name = place.isUnified ? "0::" : ":\(place.name):"
      #expect(
        result.text.split(separator: "\n").contains { $0.contains(name) && $0.hasSuffix(fixture.group.path) },
        "\(place.name) in \(result.text)")
    }
  }

  @Test func createTakesWhatExistsAndRemoveTakesWhatIsAbsent() throws {
    let fixture = try GroupFixture()
    #expect(fixture.group.exists)
    try fixture.group.create(RuntimeSpec.Resources())
    try fixture.group.remove()
    #expect(!fixture.group.exists)
    for place in fixture.group.places { #expect(!Sys.exists(place.directory)) }
    try fixture.group.remove()
  }

  @Test func aRefusedLimitLeavesNoGroupBehind() throws {
    let group = try Cgroup(path: GroupFixture.uniquePath("/berth-tests-refused"), layout: GroupFixture.layout())
    defer { for place in group.parent?.places ?? [] { try? Sys.rmdir(place.directory) } }
    var resources = RuntimeSpec.Resources()
    var cpu = RuntimeSpec.Resources.CPU()
    cpu.cpus = "9999"
    resources.cpu = cpu
    do {
      try group.create(resources)
      Issue.record("a processor that isn't there was accepted")
    } catch {
      #expect(error.controller == "cpuset")
      #expect(error.description.contains("9999"))
      #expect(error.description.contains("cpuset.cpus"))
    }
    #expect(!group.exists)
  }

  @Test func removeTakesGroupsBelowAlongAndWaitsForTheDying() throws {
    let fixture = try GroupFixture()
    // as a container makes them: without controllers, which v2 would only allow without members in the group itself
    for place in fixture.group.places { try Sys.mkdir(place.directory + "/inner") }
    #expect(try fixture.group.children() == ["inner"])
    let child = try fixture.run("exec sleep 60")
    #expect(throws: CgroupError.self) { try fixture.group.remove(timeout: 50) }
    try fixture.group.killAll()
    try fixture.group.remove()
    #expect(!fixture.group.exists)
    #expect(try child.wait() == .signaled(SIGKILL))
  }

  @Test func processesAreThoseOfTheGroupsBelowToo() throws {
    let fixture = try GroupFixture()
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let writer = Descriptor(owning: pipe.write)
    let child = try fixture.run("sleep 60 & sleep 60 & echo up; wait", output: writer.raw)
    var byte: UInt8 = 0
    _ = try withUnsafeMutableBytes(of: &byte) { try Sys.read(reader.raw, $0) }
    let pids = try fixture.group.processes()
    #expect(pids.count == 3)
    #expect(pids.contains(child.pid))
    try fixture.group.killAll()
    #expect(try child.wait() == .signaled(SIGKILL))
  }

  @Test func killAllOutrunsAForkBomb() throws {
    let fixture = try GroupFixture { $0.pids = 64 }
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let writer = Descriptor(owning: pipe.write)
    let child = try fixture.run("echo up; f() { f & f & wait; }; f 2>/dev/null", output: writer.raw)
    var byte: UInt8 = 0
    _ = try withUnsafeMutableBytes(of: &byte) { try Sys.read(reader.raw, $0) }
    try fixture.group.killAll()
    _ = try child.wait()
    try fixture.group.remove()
    #expect(!fixture.group.exists)
  }

  @Test func anotherProcessCanBeMovedIn() throws {
    let fixture = try GroupFixture()
    let other = try GroupFixture()
    let child = try fixture.run("exec sleep 60")
    try other.group.add(process: child.pid)
    #expect(try other.group.processes() == [child.pid])
    #expect(try fixture.group.processes().isEmpty)
    try other.group.killAll()
    _ = try child.wait()
  }
}

@Suite struct FreezerTests {
  @Test func freezeStopsProgressAndThawLetsItGoOn() throws {
    let fixture = try GroupFixture()
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let writer = Descriptor(owning: pipe.write)
    let child = try fixture.run("while :; do echo tick; done", output: writer.raw)
    _ = try Sys.poll(reader.raw, Int16(POLLIN), timeout: 5000)
    try fixture.group.freeze()
    #expect(try fixture.group.isFrozen())
    try Sys.setNonBlocking(reader.raw)
    drain(reader.raw)
    #expect(try Sys.poll(reader.raw, Int16(POLLIN), timeout: 200) == 0, "a frozen process wrote")
    try fixture.group.thaw()
    #expect(try Sys.poll(reader.raw, Int16(POLLIN), timeout: 5000) != 0, "a thawed process doesn't write")
    #expect(try !fixture.group.isFrozen())
    try fixture.group.killAll()
    #expect(try child.wait() == .signaled(SIGKILL))
  }

  @Test func aFrozenGroupCanBeKilled() throws {
    let fixture = try GroupFixture()
    let child = try fixture.run("exec sleep 60")
    try fixture.group.freeze()
    try fixture.group.killAll()
    #expect(try child.wait() == .signaled(SIGKILL))
  }

  @Test func v1sOwnFreezerFreezesToo() throws {
    let fixture = try GroupFixture()
    guard fixture.layout.hierarchies.contains(where: { $0.controllers == ["freezer"] }) else {
      return skip("no v1 freezer is mounted")
    }
    // as on a host without a v2 tree
    let layout = CgroupLayout(mode: .v1, hierarchies: fixture.layout.hierarchies, unified: nil, unifiedControllers: [])
    let group = try Cgroup(path: GroupFixture.uniquePath("/berth-tests-v1"), layout: layout)
    try group.create(RuntimeSpec.Resources())
    defer {
      do { try group.remove() } catch { Issue.record("\(error)") }
      for place in group.parent?.places ?? [] { try? Sys.rmdir(place.directory) }
    }
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let writer = Descriptor(owning: pipe.write)
    // only once it has entered the fixture's group is it moved on
    let child = try fixture.run("echo up; while :; do :; done", output: writer.raw)
    #expect(try Sys.poll(reader.raw, Int16(POLLIN), timeout: 5000) != 0)
    try group.add(process: child.pid)
    try group.freeze()
    #expect(try group.isFrozen())
    let before = try group.stats().cpu?.usage
    _ = try Sys.poll(child.pidfd.raw, Int16(POLLIN), timeout: 100)
    #expect(try group.stats().cpu?.usage == before)
    try group.killAll()
    #expect(try child.wait() == .signaled(SIGKILL))
  }

  private func drain(_ fd: Int32) {
    withUnsafeTemporaryAllocation(byteCount: 65536, alignment: 1) { buffer in
      do throws(SyscallError) { while try Sys.read(fd, buffer) > 0 {} } catch { #expect(error.errno == .wouldBlock) }
    }
  }
}
