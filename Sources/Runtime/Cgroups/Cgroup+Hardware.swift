import Kernel
import OCI

/// Limits that few hosts have a controller for. Nobody asks for them without need, so a host that can't keep them refuses.
extension Cgroup {
  /// v1's net_cls and net_prio; v2 has neither (packets are matched by the group itself there).
  func setNetwork(_ network: RuntimeSpec.Resources.Network) throws(CgroupError) {
    if let classID = network.classID, classID != 0 {
      guard let place = place("net_cls") else { throw refusal("net_cls", "network.classID", "\(classID)") }
      try write(place, "net_cls.classid", String(classID))
    }
    for (index, entry) in network.priorities.enumerated() {
      guard let place = place("net_prio") else {
        throw refusal("net_prio", "network.priorities[\(index)]", entry.name)
      }
      // IFNAMSIZ, its zero included (netdevice(7))
      guard (1..<16).contains(entry.name.utf8.count), entry.name.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2f }) else {
        throw CgroupError(
          "set", controller: "net_prio", path: place.directory, value: entry.name, .invalidArgument,
          reason: "linux.resources.network.priorities[\(index)].name: \"\(entry.name)\" is no interface's name")
      }
      try write(place, "net_prio.ifpriomap", "\(entry.name) \(entry.priority)")
    }
  }

  /// The same file in v1 and v2: `mlx4_0 hca_handle=2 hca_object=max`.
  func setRDMA(_ device: String, _ limit: RuntimeSpec.Resources.RDMA) throws(CgroupError) {
    guard let place = place("rdma") else { throw refusal("rdma", "rdma[\"\(device)\"]", device) }
    guard !device.isEmpty, device.utf8.allSatisfy({ $0 > 0x20 && $0 != 0x2f }) else {
      throw CgroupError(
        "set", controller: "rdma", path: place.directory, value: device, .invalidArgument,
        reason: "linux.resources.rdma: \"\(device)\" is no device's name")
    }
    var words = [device]
    if let handles = limit.hcaHandles { words.append("hca_handle=\(handles)") }
    if let objects = limit.hcaObjects { words.append("hca_object=\(objects)") }
    guard words.count > 1 else { return }
    try write(place, "rdma.max", words.joined(separator: " "))
  }

  /// What this host can't keep, told by its place in the configuration.
  func refusal(_ controller: String, _ field: String, _ value: String) -> CgroupError {
    CgroupError(
      "set", controller: controller, path: path, value: value, .notSupported,
      reason: "linux.resources.\(field): no \(controller) controller is mounted on this host")
  }
}
