import Kernel
import OCI

extension Cgroup {
  /// Writes every limit that is named; answers warnings for those whose controller this host lacks.
  func apply(_ resources: RuntimeSpec.Resources) throws(CgroupError) -> [String] {
    var warnings: [String] = []
    if !resources.devices.isEmpty {
      if let place = place("devices") {
        if let warning = try apply(devices: resources.devices, place) { warnings.append(warning) }
      } else {
        warnings.append("device rules discarded: no devices controller is mounted")
      }
    }
    if let memory = resources.memory, memory.namesAny {
      if let place = place("memory") {
        warnings += place.isUnified ? try setMemoryV2(memory, place) : try setMemoryV1(memory, place)
      } else {
        warnings.append("memory limits discarded: no memory controller is mounted")
      }
    }
    if let cpu = resources.cpu {
      if cpu.namesTime {
        if let place = place("cpu") {
          warnings += place.isUnified ? try setCPUV2(cpu, place) : try setCPUV1(cpu, place)
        } else {
          warnings.append("cpu limits discarded: no cpu controller is mounted")
        }
      }
      warnings += try setCpuset(cpu)
    }
    if let pids = resources.pids {
      if let place = place("pids") {
        // as runc: 0 can't be meant as "none at all", and pids.max 1 is what it comes to
        try write(place, "pids.max", pids < 0 ? "max" : String(max(pids, 1)))
      } else {
        warnings.append("pids limit discarded: no pids controller is mounted")
      }
    }
    if let blockIO = resources.blockIO, blockIO.namesAny {
      if let place = place("blkio") {
        warnings += place.isUnified ? try setBlockIOV2(blockIO, place) : try setBlockIOV1(blockIO, place)
      } else {
        warnings.append("block io limits discarded: no blkio controller is mounted")
      }
    }
    for limit in resources.hugepageLimits {
      if let place = place("hugetlb") {
        try setHugepages(limit, place)
      } else {
        throw refusal("hugetlb", "hugepageLimits", limit.pageSize)
      }
    }
    if let network = resources.network { try setNetwork(network) }
    for (device, limit) in resources.rdma.sorted(by: { $0.key < $1.key }) { try setRDMA(device, limit) }
    if !resources.unified.isEmpty { warnings += try setUnified(resources.unified) }
    return warnings
  }

  private func setCpuset(_ cpu: RuntimeSpec.Resources.CPU) throws(CgroupError) -> [String] {
    let settings = [("cpuset.cpus", cpu.cpus ?? ""), ("cpuset.mems", cpu.mems ?? "")].filter { !$0.1.isEmpty }
    if settings.isEmpty { return [] }
    guard let place = place("cpuset") else { return ["cpuset discarded: no cpuset controller is mounted"] }
    for (file, value) in settings { try write(place, file, value) }
    return []
  }

  private func setHugepages(_ limit: RuntimeSpec.Resources.HugepageLimit, _ place: Place) throws(CgroupError) {
    guard limit.pageSize.utf8.allSatisfy({ (0x30...0x39).contains($0) || (0x41...0x5a).contains($0) }) else {
      throw CgroupError("set", controller: "hugetlb", path: place.directory, value: limit.pageSize, .invalidArgument)
    }
    let suffix = place.isUnified ? "max" : "limit_in_bytes"
    try write(place, "hugetlb.\(limit.pageSize).\(suffix)", String(limit.limit))
    // reservations are limited apart since Linux 5.7
    _ = try writeIfPresent(place, "hugetlb.\(limit.pageSize).rsvd.\(suffix)", String(limit.limit))
  }

  /// `unified` names files of v2 (config-linux.md): on a host without them they are a warning, as is a name on a v1 controller.
  private func setUnified(_ settings: [String: String]) throws(CgroupError) -> [String] {
    guard let place = unifiedPlace else { return ["unified settings discarded: no cgroup v2 tree is mounted"] }
    var warnings: [String] = []
    for (file, value) in settings.sorted(by: { $0.key < $1.key }) {
      guard !file.contains("/"), file.contains("."), file != ".." else {
        throw CgroupError("set", controller: "unified", path: file, value: value, .invalidArgument)
      }
      // a flat-keyed file (io.max) takes one line a write
      for line in value.split(separator: "\n") where try !writeIfPresent(place, file, String(line)) {
        let controller = file.prefix { $0 != "." }
        if layout.mode == .v2 {
          throw CgroupError(
            "set", controller: String(controller), path: place.directory + "/" + file, value: value, .noSuchFile,
            reason: "unified resource \(file) can't be set: controller \(controller) not available")
        }
        warnings.append("unified resource \(file) discarded: controller \(controller) isn't in the cgroup v2 tree")
        break
      }
    }
    return warnings
  }
}

extension RuntimeSpec.Resources.Memory {
  var namesAny: Bool {
    limit != nil || reservation != nil || swap != nil || swappiness != nil || disableOOMKiller != nil
      || kernelTCP != nil
  }
}

extension RuntimeSpec.Resources.CPU {
  var namesTime: Bool {
    (shares ?? 0) != 0 || (quota ?? 0) != 0 || (period ?? 0) != 0 || burst != nil || idle != nil
      || (realtimeRuntime ?? 0) != 0
      || (realtimePeriod ?? 0) != 0
  }
}

extension RuntimeSpec.Resources.BlockIO {
  var namesAny: Bool {
    (weight ?? 0) != 0 || (leafWeight ?? 0) != 0 || !weightDevice.isEmpty || !throttleReadBps.isEmpty
      || !throttleWriteBps.isEmpty
      || !throttleReadIOPS.isEmpty || !throttleWriteIOPS.isEmpty
  }

  /// The throttles with v1's file and v2's key of each.
  var throttles: [(file: String, key: String, values: [RuntimeSpec.Resources.Throttle])] {
    [
      ("blkio.throttle.read_bps_device", "rbps", throttleReadBps),
      ("blkio.throttle.write_bps_device", "wbps", throttleWriteBps),
      ("blkio.throttle.read_iops_device", "riops", throttleReadIOPS),
      ("blkio.throttle.write_iops_device", "wiops", throttleWriteIOPS),
    ]
  }
}
