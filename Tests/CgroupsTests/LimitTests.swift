import CLinux
import Kernel
import OCI
import Testing

@testable import Cgroups

@Suite struct LimitTests {
  private func memory(_ limit: Int64, swap: Int64? = nil) -> RuntimeSpec.Resources.Memory {
    var memory = RuntimeSpec.Resources.Memory()
    memory.limit = limit
    memory.swap = swap
    return memory
  }

  @Test func aMemoryHogIsKilledAndCounted() throws {
    let fixture = try GroupFixture { $0.memory = memory(16 << 20, swap: 16 << 20) }
    guard let watch = try fixture.group.oomWatch() else {
      Issue.record("no memory controller")
      return
    }
    #expect(try fixture.group.oomKillCount() == 0)
    #expect(try fixture.group.stats().memory?.limit == 16 << 20)
    let child = try fixture.run("exec tail /dev/zero")
    #expect(try child.wait() == .signaled(SIGKILL))
    #expect(try fixture.group.oomKillCount() >= 1)
    #expect(try Sys.poll(watch.descriptor.raw, Int16(POLLIN), timeout: 1000) != 0)
    try watch.drain()
    #expect(try Sys.poll(watch.descriptor.raw, Int16(POLLIN), timeout: 0) == 0)
    let peak = try fixture.group.stats().memory?.maxUsage
    #expect(peak ?? 0 <= 16 << 20)
  }

  @Test func aForkBombStopsAtThePidsLimit() throws {
    let fixture = try GroupFixture { $0.pids = 8 }
    let result = try fixture.output("i=0; while [ $i -lt 40 ]; do sleep 30 >/dev/null 2>&1 & i=$((i+1)); done")
    #expect(result.code != 0)
    let pids = try #require(try fixture.group.stats().pids)
    #expect(pids.limit == 8)
    #expect(pids.current <= 8)
    #expect(pids.current >= 5)
    var resources = RuntimeSpec.Resources()
    resources.pids = -1
    try fixture.group.update(resources)
    #expect(try fixture.group.stats().pids?.limit == nil)
  }

  @Test func aQuotaThrottles() throws {
    let fixture = try GroupFixture {
      var cpu = RuntimeSpec.Resources.CPU()
      cpu.quota = 5000
      cpu.period = 50_000
      $0.cpu = cpu
    }
    let child = try fixture.run("while :; do :; done")
    // ends after its time: half a second of the clock, which must be far less of the processor
    _ = try Sys.poll(child.pidfd.raw, Int16(POLLIN), timeout: 500)
    try fixture.group.killAll()
    _ = try child.wait()
    let cpu = try #require(try fixture.group.stats().cpu)
    #expect(cpu.periods > 0)
    #expect(cpu.throttledPeriods > 0)
    #expect(cpu.throttledTime > 0)
    #expect(cpu.usage < 250_000_000)
    #expect(cpu.usage > 0)
  }

  @Test func cpuSettingsAreWritten() throws {
    let fixture = try GroupFixture {
      var cpu = RuntimeSpec.Resources.CPU()
      cpu.shares = 512
      cpu.quota = 20000
      cpu.period = 100_000
      cpu.cpus = "0"
      cpu.mems = "0"
      $0.cpu = cpu
    }
    let place = try #require(fixture.group.place("cpu"))
    if place.isUnified {
      #expect(try fixture.group.read(place, "cpu.weight") == "59")
      #expect(try fixture.group.read(place, "cpu.max") == "20000 100000")
    } else {
      #expect(try fixture.group.read(place, "cpu.shares") == "512")
      #expect(try fixture.group.read(place, "cpu.cfs_quota_us") == "20000")
    }
    let result = try fixture.output("grep Cpus_allowed_list /proc/self/status")
    #expect(result.text.split(whereSeparator: \.isWhitespace).last == "0")

    // a period alone leaves the quota; -1 takes the quota back
    var resources = RuntimeSpec.Resources()
    var cpu = RuntimeSpec.Resources.CPU()
    cpu.period = 50_000
    resources.cpu = cpu
    try fixture.group.update(resources)
    if place.isUnified {
      #expect(try fixture.group.read(place, "cpu.max") == "20000 50000")
    } else {
      #expect(try fixture.group.read(place, "cpu.cfs_quota_us") == "20000")
      #expect(try fixture.group.read(place, "cpu.cfs_period_us") == "50000")
    }
    cpu = RuntimeSpec.Resources.CPU()
    cpu.quota = -1
    resources.cpu = cpu
    try fixture.group.update(resources)
    #expect(
      try fixture.group.read(place, place.isUnified ? "cpu.max" : "cpu.cfs_quota_us")
        == (place.isUnified ? "max 50000" : "-1"))
  }

  @Test func sharesBeyondTheKernelsRangeAreRefusedOnV1() throws {
    let fixture = try GroupFixture()
    guard let place = fixture.group.place("cpu"), !place.isUnified else {
      return skip("cpu is on cgroup v2, which clamps by definition")
    }
    var resources = RuntimeSpec.Resources()
    var cpu = RuntimeSpec.Resources.CPU()
    cpu.shares = 1
    resources.cpu = cpu
    let error = #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
    #expect(error?.description == "the minimum allowed cpu-shares is 2")
  }

  @Test func memoryAndSwapMoveUpAndDownTogether() throws {
    let fixture = try GroupFixture { $0.memory = memory(32 << 20, swap: 64 << 20) }
    var resources = RuntimeSpec.Resources()
    for (limit, swap) in [(128, 256), (16, 32), (64, -1), (32, 32), (-1, -1), (48, 96)] as [(Int64, Int64)] {
      resources.memory = memory(limit == -1 ? -1 : limit << 20, swap: swap == -1 ? -1 : swap << 20)
      try fixture.group.update(resources)
      #expect(try fixture.group.stats().memory?.limit == (limit == -1 ? nil : UInt64(limit) << 20))
    }
    resources.memory = memory(-1)
    try fixture.group.update(resources)
    #expect(try fixture.group.stats().memory?.limit == nil)
  }

  @Test func aLimitBelowWhatIsUsedIsRefusedInWordsOnV1() throws {
    let fixture = try GroupFixture { $0.memory = memory(64 << 20, swap: 64 << 20) }
    guard let place = fixture.group.place("memory"), !place.isUnified else {
      return skip("memory is on cgroup v2, whose memory.max kills rather than refuses")
    }
    let pipe = try Sys.pipe()
    let reader = Descriptor(owning: pipe.read)
    let writer = Descriptor(owning: pipe.write)
    // 8 MB in a shell variable
    let child = try fixture.run(
      "x=$(head -c 8000000 /dev/zero | tr '\\0' x); echo up; while :; do sleep 60; done", output: writer.raw)
    var byte: UInt8 = 0
    _ = try withUnsafeMutableBytes(of: &byte) { try Sys.read(reader.raw, $0) }
    #expect(byte == UInt8(ascii: "u"))
    var resources = RuntimeSpec.Resources()
    resources.memory = memory(4 << 20)
    let error = #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
    #expect(error?.errno == .busy)
    #expect(error?.description.hasPrefix("unable to set memory limit to 4194304 (current usage: ") == true)
    try fixture.group.killAll()
    _ = try child.wait()
  }

  @Test func swapBelowMemoryIsRefused() throws {
    let fixture = try GroupFixture()
    var resources = RuntimeSpec.Resources()
    resources.memory = memory(32 << 20, swap: 16 << 20)
    #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
  }

  @Test func reservationBlockIOAndUnifiedAreWrittenOrWarnedAbout() throws {
    let fixture = try GroupFixture()
    var resources = RuntimeSpec.Resources()
    resources.memory = RuntimeSpec.Resources.Memory()
    resources.memory?.reservation = 8 << 20
    var blockIO = RuntimeSpec.Resources.BlockIO()
    blockIO.weight = 300
    resources.blockIO = blockIO
    resources.unified = ["memory.high": "33554432"]
    let warnings: [String]
    do {
      warnings = try fixture.group.update(resources)
    } catch {
      Issue.record("\(error)")
      return
    }
    print("warnings: \(warnings)")
    let place = try #require(fixture.group.place("memory"))
    #expect(try fixture.group.number(place, place.isUnified ? "memory.low" : "memory.soft_limit_in_bytes") == 8 << 20)
    if place.isUnified {
      #expect(try fixture.group.number(place, "memory.high") == 33_554_432)
    } else {
      #expect(warnings.contains { $0.contains("memory.high") })
    }
  }

  @Test func unifiedNamesCantLeaveTheGroup() throws {
    let fixture = try GroupFixture()
    guard fixture.layout.unified != nil else { return skip("no cgroup v2 tree") }
    var resources = RuntimeSpec.Resources()
    resources.unified = ["../cgroup.procs": "1"]
    #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
  }

  @Test func statsCountWhatWasUsed() throws {
    let fixture = try GroupFixture()
    let result = try fixture.output("i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done")
    #expect(result.code == 0)
    let stats = try fixture.group.stats()
    #expect(stats.cpu?.usage ?? 0 > 1_000_000)
    #expect(stats.pids?.current == 0)
    #expect(stats.memory?.stat.isEmpty == false)
    #expect(stats.memory?.maxUsage ?? 1 > 0)
    #expect(stats.memory?.limit == nil)
  }

  @Test func supportTellsWhatTheTestsAboveFound() throws {
    let fixture = try GroupFixture()
    let support = try CgroupSupport(fixture.group)
    print("support: \(support)")
    #expect(
      support.memoryLimit && support.cpuQuota && support.cpuShares && support.pids && support.devices && support.freezer
    )
    #expect(Cgroups.parseList(support.cpus)?.isEmpty == false)
  }
}

@Suite struct DeviceTests {
  /// A node of its own for /dev/kmsg (1:11), which the default rules don't allow, and for /dev/null.
  private func withNodes(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/berth-devices-\(getpid())-\(Sys.random(4).map { String($0, radix: 16) }.joined())"
    try Sys.mkdir(directory)
    defer { do { try Sys.removeTree(directory) } catch { Issue.record("\(error)") } }
    do {
      try Sys.mknod(directory + "/kmsg", mode: 0o020600, device: cl_makedev(1, 11))
      try Sys.mknod(directory + "/null", mode: 0o020600, device: cl_makedev(1, 3))
      _ = try Sys.open(directory + "/kmsg", O_RDONLY | O_NONBLOCK)
    } catch { return skip("device nodes can't be made or opened here: \(error)") }
    try body(directory)
  }

  @Test func theDefaultRulesAllowNullAndMknodButNothingElse() throws {
    try withNodes { directory in
      let fixture = try GroupFixture { $0.devices = Cgroups.defaultDevices }
      #expect(try fixture.output(": > \(directory)/null && head -c 1 /dev/urandom >/dev/null").succeeded)
      let denied = try fixture.output("exec 3< \(directory)/kmsg")
      #expect(denied.code != 0)
      #expect(denied.text.contains("Operation not permitted") || denied.text.contains("cannot open"), "\(denied.text)")
      #expect(try fixture.output("mknod \(directory)/new c 1 11").succeeded)
    }
  }

  @Test func aRuleWithoutMDeniesMknodAndAnUpdateChangesIt() throws {
    try withNodes { directory in
      let null = RuntimeSpec.DeviceRule(allow: true, type: "c", major: 1, minor: 3, access: "rw")
      let fixture = try GroupFixture { $0.devices = [.init(allow: false), null] }
      #expect(try fixture.output("mknod \(directory)/new c 1 3").code != 0)
      #expect(try fixture.output(": > \(directory)/null").succeeded)

      var resources = RuntimeSpec.Resources()
      resources.devices = [.init(allow: false), null, .init(allow: true, type: "c", major: 1, minor: 11, access: "r")]
      try fixture.group.update(resources)
      #expect(try fixture.output("exec 3< \(directory)/kmsg").succeeded)
      #expect(try fixture.output("exec 3> \(directory)/kmsg").code != 0)
      #expect(try fixture.output(": > \(directory)/null").succeeded)

      resources.devices = Cgroups.allDevices
      try fixture.group.update(resources)
      #expect(try fixture.output("exec 3<> \(directory)/kmsg && mknod \(directory)/new c 1 3").succeeded)

      resources.devices = [.init(allow: false), null]
      try fixture.group.update(resources)
      #expect(try fixture.output("exec 3< \(directory)/kmsg").code != 0)
    }
  }

  @Test func aDenialInsideAWildcardBindsOnV2AndIsRefusedOnV1() throws {
    try withNodes { directory in
      let fixture = try GroupFixture()
      var resources = RuntimeSpec.Resources()
      resources.devices = [
        .init(allow: false), .init(allow: true, type: "c", access: "rwm"),
        .init(allow: false, type: "c", major: 1, minor: 11, access: "w"),
      ]
      if try #require(fixture.group.place("devices")).isUnified {
        try fixture.group.update(resources)
        #expect(try fixture.output("exec 3< \(directory)/kmsg").succeeded)
        #expect(try fixture.output("exec 3<> \(directory)/kmsg").code != 0)
        #expect(try fixture.output(": > \(directory)/null").succeeded)
      } else {
        let error = #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
        #expect(error?.description.contains("cannot punch hole") == true)
      }
    }
  }

  @Test func faultyRulesAreNamed() throws {
    let fixture = try GroupFixture()
    var resources = RuntimeSpec.Resources()
    for rule in [
      RuntimeSpec.DeviceRule(allow: true, type: "x"), .init(allow: true, type: "c", access: "rz"),
      .init(allow: true, type: "c", major: 1 << 40), .init(allow: true, type: "a", major: 1),
    ] {
      resources.devices = [rule]
      #expect(throws: CgroupError.self) { try fixture.group.update(resources) }
    }
  }

  @Test func rulesAreReducedToWhatCounts() throws {
    let program = try DeviceProgram(
      [.init(allow: true, type: "c", major: 7, access: "r"), .init(allow: false)] + [
        .init(allow: true, type: "c", major: 1, minor: 3, access: "r"),
        .init(allow: true, type: "c", major: 1, minor: 3, access: "w"),
      ])
    #expect(program.rules == [.init(allow: true, type: 2, major: 1, minor: 3, access: 6)])
    #expect(!program.allowsByDefault)
    #expect(try DeviceProgram(Cgroups.defaultDevices).punchedHole() == nil)
  }
}

@Suite struct PoolTests {
  @Test func aClaimedGroupIsLikeAMadeOne() throws {
    let layout = try GroupFixture.layout()
    let parent = GroupFixture.uniquePath("/berth-tests-pool")
    var pool = CgroupPool(parent: parent, layout: layout, owner: getpid())
    defer {
      do {
        try pool.drain()
        try Cgroup(path: parent, layout: layout).remove()
      } catch { Issue.record("\(error)") }
      for place in (try? Cgroup(path: parent, layout: layout).parent?.places) ?? [] { try? Sys.rmdir(place.directory) }
    }
    try pool.fill(to: 2)
    #expect(pool.count == (layout.hierarchies.isEmpty ? 0 : 2))
    var resources = RuntimeSpec.Resources()
    resources.devices = Cgroups.defaultDevices
    resources.pids = 7
    let claimed = try pool.claim("one", resources)
    #expect(pool.count == (layout.hierarchies.isEmpty ? 0 : 1))
    #expect(try claimed.cgroup.stats().pids?.limit == 7)
    for place in claimed.cgroup.places { #expect(Sys.exists(place.directory), "\(place.directory)") }
    if let place = claimed.cgroup.place("devices"), !place.isUnified {
      #expect(try claimed.cgroup.read(place, "devices.list").contains("c 136:* rwm"))
    }
    #expect(try Cgroup(path: parent, layout: layout).children() == ["one"])

    // other device rules: a group of its own
    let other = try pool.claim("two", RuntimeSpec.Resources())
    #expect(other.cgroup.exists)
    #expect(pool.count == (layout.hierarchies.isEmpty ? 0 : 1))

    // a name that is taken isn't overwritten, and the spare group stays whole
    if !layout.hierarchies.isEmpty {
      #expect(throws: CgroupError.self) { try pool.claim("one", resources) }
      #expect(pool.count == 1)
      #expect(try pool.claim("three", resources).cgroup.exists)
    }
  }

  @Test func aSweepRemovesTheSparesOfTheDeadOnly() throws {
    let layout = try GroupFixture.layout()
    let parent = try Cgroup(path: GroupFixture.uniquePath("/berth-tests-sweep"), layout: layout)
    defer {
      do { try parent.remove() } catch { Issue.record("\(error)") }
      for place in parent.parent?.places ?? [] { try? Sys.rmdir(place.directory) }
    }
    let mine = parent.child(".spare-\(getpid())-0")
    let dead = parent.child(".spare-4194304-0")  // above the largest pid_max
    let container = parent.child("c0ffee")
    for group in [mine, dead, container] { try group.create(RuntimeSpec.Resources()) }
    try CgroupPool.sweep(parent: parent.path, layout: layout)
    #expect(!dead.exists)
    #expect(mine.exists)
    #expect(try parent.children() == ["c0ffee"])
  }
}
