import ContainerRuntime
import OCI
import Testing

/// Documents changed at random, with a fixed seed: each is read and checked, or refused, and none ends the process.
struct ConfigurationFuzzTests {
  private struct Generator {
    var state: UInt64
    mutating func next(_ limit: Int) -> Int {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return Int((state >> 33) % UInt64(max(limit, 1)))
    }
  }

  /// Everything in it, so that every reader has something to misread.
  private static let document = #"""
    {"ociVersion":"1.3.0","process":{"terminal":true,"consoleSize":{"width":80,"height":24},"user":{"uid":1,"gid":2,"umask":18,
    "additionalGids":[3,4]},"args":["sh","-c","true"],"env":["A=b"],"cwd":"/","capabilities":{"bounding":["CAP_KILL"],"ambient":["CAP_X"]},
    "rlimits":[{"type":"RLIMIT_NOFILE","soft":1,"hard":2}],"noNewPrivileges":true,"oomScoreAdj":3,"scheduler":{"policy":"SCHED_DEADLINE",
    "flags":["SCHED_FLAG_RECLAIM"],"runtime":1,"deadline":2,"period":3},"ioPriority":{"class":"IOPRIO_CLASS_BE","priority":4},
    "execCPUAffinity":{"initial":"0-1","final":"1"}},"root":{"path":"rootfs","readonly":true},"hostname":"a","domainname":"b",
    "mounts":[{"destination":"/proc","type":"proc","source":"proc","options":["nosuid","rro","shared","mode=755"]}],
    "hooks":{"prestart":[{"path":"/a","args":["b"],"env":["c=d"],"timeout":5}]},"annotations":{"a":"b"},
    "linux":{"namespaces":[{"type":"mount"},{"type":"uts"},{"type":"network","path":""},{"type":"user"},{"type":"time"}],
    "uidMappings":[{"containerID":0,"hostID":1000,"size":65536}],"gidMappings":[{"containerID":0,"hostID":1000,"size":65536}],
    "timeOffsets":{"monotonic":{"secs":-1,"nanosecs":5}},"devices":[{"type":"c","path":"/dev/x","major":1,"minor":3,"fileMode":438}],
    "cgroupsPath":"/a/b","resources":{"devices":[{"allow":false,"access":"rwm","type":"a","major":1,"minor":-1}],
    "memory":{"limit":1000,"reservation":-1,"swap":2000,"kernelTCP":3,"swappiness":60,"disableOOMKiller":true,"checkBeforeUpdate":true},
    "cpu":{"shares":2,"quota":-1,"burst":1,"period":100000,"realtimeRuntime":1,"realtimePeriod":2,"cpus":"0-3,7","mems":"0","idle":1},
    "pids":{"limit":-1},"blockIO":{"weight":10,"leafWeight":1000,"weightDevice":[{"major":8,"minor":0,"weight":500}],
    "throttleReadBpsDevice":[{"major":8,"minor":0,"rate":18446744073709551615}]},"hugepageLimits":[{"pageSize":"2MB","limit":1}],
    "network":{"classID":1,"priorities":[{"name":"eth0","priority":1}]},"rdma":{"mlx":{"hcaHandles":1}},"unified":{"memory.high":"1"}},
    "rootfsPropagation":"slave","sysctl":{"net.ipv4.ip_forward":"1"},"maskedPaths":["/a"],"readonlyPaths":["/b"],
    "mountLabel":"","personality":{"domain":"LINUX32"},"intelRdt":{"closID":"a","schemata":["L3:0=f"]},
    "memoryPolicy":{"mode":"MPOL_BIND","nodes":"0-3","flags":["MPOL_F_STATIC_NODES"]},"netDevices":{"eth0":{"name":"a"}},
    "seccomp":{"defaultAction":"SCMP_ACT_ERRNO","defaultErrnoRet":1,"architectures":["SCMP_ARCH_X86_64"],"flags":[],"listenerPath":"/a",
    "syscalls":[{"names":["kill"],"action":"SCMP_ACT_ALLOW","args":[{"index":0,"value":18446744073709551615,"op":"SCMP_CMP_EQ"}]}]}}}
    """#

  private static let values: [JSON] = [
    .null, true, .int(0), .int(-1), .int(.max), .int(.min), .double(1e300), .double(-0.5),
    .double(18_446_744_073_709_551_616), "",
    "a", "\u{0}", "-", "0-", "4294967295-4294967296", "9999999999999999999999", "/", "..", "\u{1F40B}", [],
    .object(JSONObject()), [[]],
    .string(String(repeating: "x", count: 5000)),
  ]

  private static func check(_ bytes: [UInt8]) -> Bool {
    do {
      let spec = try RuntimeSpec(decoding: bytes)
      _ = spec.encoded()
      let plan = LaunchPlan(
        id: "fuzz", spec: spec, rootfs: .directory("/"),
        stdio: LaunchPlan.Stdio(terminal: false, openStdin: false, stdinOnce: false), exitRecord: "")
      try ContainerRuntime.check(plan)
      return true
    } catch { return false }
  }

  @Test func bytesChangedAtRandom() {
    let bytes = Array(Self.document.utf8)
    var generator = Generator(state: 0xbe47)
    var refused = 0
    for _ in 0..<3_000 {
      var changed = bytes
      for _ in 0...generator.next(3) {
        let place = generator.next(changed.count)
        switch generator.next(4) {
        case 0: changed[place] = UInt8(generator.next(256))
        case 1: changed.remove(at: place)
        case 2: changed.insert(UInt8(ascii: "9"), at: place)
        default: changed.removeSubrange(place..<min(place + generator.next(20), changed.count))
        }
      }
      if !Self.check(changed) { refused += 1 }
    }
    #expect(refused > 1_000)
  }

  @Test func valuesChangedAtRandom() throws {
    let base = try JSON.parse(Array(Self.document.utf8))
    var generator = Generator(state: 0x5eed)
    var refused = 0
    for _ in 0..<6_000 {
      var changed = base
      for _ in 0...generator.next(2) { changed = Self.changed(changed, &generator, depth: 0) }
      if !Self.check(changed.encoded()) { refused += 1 }
    }
    #expect(refused > 1_000)
  }

  /// Another value somewhere below.
  private static func changed(_ json: JSON, _ generator: inout Generator, depth: Int) -> JSON {
    if depth > 0, generator.next(6) == 0 { return values[generator.next(values.count)] }
    switch json {
    case .object(let object) where !object.isEmpty:
      let (key, value) = object.members[generator.next(object.count)]
      var result = object
      result[key] = changed(value, &generator, depth: depth + 1)
      return .object(result)
    case .array(var list) where !list.isEmpty:
      let index = generator.next(list.count)
      switch generator.next(8) {
      case 0: list.remove(at: index)
      case 1: list.append(list[index])
      default: list[index] = changed(list[index], &generator, depth: depth + 1)
      }
      return .array(list)
    default: return values[generator.next(values.count)]
    }
  }
}
