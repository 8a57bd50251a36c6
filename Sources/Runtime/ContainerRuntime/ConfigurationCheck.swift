import Cgroups
import CLinux
import Kernel
import OCI
import Rootfs

/// What a configuration may not say, or can't be given by this kernel: found before anything is made, and told by the path of the field.
enum ConfigurationCheck {
  static func run(_ spec: RuntimeSpec) throws(LaunchFailure) {
    try names(spec)
    if let annotations = spec.annotations, annotations.keys.contains("") {
      throw refusal("annotations", "a key is empty")
    }
    for (index, mount) in spec.mounts.enumerated() { try check(mount, spec.linux, "mounts[\(index)]") }
    if let hooks = spec.hooks { try check(hooks) }
    try check(spec.linux)
    if let resources = spec.linux.resources { try check(resources) }
  }

  /// A refusal, by the field's path.
  static func refusal(_ path: String, _ text: String) -> LaunchFailure {
    LaunchFailure(step: "plan", errno: EINVAL, object: path, message: "\(path): \(text)")
  }

  /// What ends at a NUL for the kernel would be another text there.
  private static func checkText(_ text: String, _ path: String) throws(LaunchFailure) {
    if text.utf8.contains(0) { throw refusal(path, "a NUL byte") }
  }

  private static func names(_ spec: RuntimeSpec) throws(LaunchFailure) {
    for (field, name) in [("hostname", spec.hostname ?? ""), ("domainname", spec.domainname ?? "")]
    where !name.isEmpty {
      guard spec.linux.namespace(.uts) != nil else {
        throw refusal(field, "unable to set \(field) without a private UTS namespace")
      }
      // __NEW_UTS_LEN (linux/utsname.h)
      guard name.utf8.count <= 64 else { throw refusal(field, "\(name.utf8.count) bytes are more than 64") }
      try checkText(name, field)
    }
  }

  private static func check(_ mount: RuntimeSpec.Mount, _ linux: RuntimeSpec.Linux, _ path: String)
    throws(LaunchFailure)
  {
    guard !mount.destination.isEmpty else { throw refusal(path + ".destination", "is empty") }
    try checkText(mount.destination, path + ".destination")
    try checkText(mount.source ?? "", path + ".source")
    try checkText(mount.type ?? "", path + ".type")
    for (index, option) in mount.options.enumerated() { try checkText(option, "\(path).options[\(index)]") }
    try check(mount.uidMappings, path + ".uidMappings")
    try check(mount.gidMappings, path + ".gidMappings")
    guard mount.uidMappings.isEmpty == mount.gidMappings.isEmpty else {
      throw refusal(
        path + (mount.uidMappings.isEmpty ? ".uidMappings" : ".gidMappings"),
        "uidMappings and gidMappings are both needed")
    }
    if mount.uidMappings.isEmpty, linux.namespace(.user) == nil,
      let index = mount.options.firstIndex(where: { $0 == "idmap" || $0 == "ridmap" })
    {
      throw refusal("\(path).options[\(index)]", "neither the mount nor the container has a mapping")
    }
    if mount.type == "bind" || MountOptions(mount.options).bind {
      guard mount.source.map({ !$0.isEmpty }) ?? false else { throw refusal(path + ".source", "is missing") }
    } else if (mount.type ?? "").isEmpty {
      throw refusal(path + ".type", "is missing, and nothing is bound")
    }
  }

  private static func check(_ hooks: RuntimeSpec.Hooks) throws(LaunchFailure) {
    for point in HookPoint.allCases {
      for (index, hook) in hooks[point].enumerated() {
        let path = "hooks.\(point.rawValue)[\(index)]"
        guard hook.path.hasPrefix("/") else {
          throw refusal(path + ".path", "\"\(hook.path)\" is not an absolute path")
        }
        for text in [hook.path] + (hook.args ?? []) + (hook.env ?? []) { try checkText(text, path) }
        if let timeout = hook.timeout, timeout <= 0 { throw refusal(path + ".timeout", "\(timeout) is not above 0") }
      }
    }
  }

  private static func check(_ linux: RuntimeSpec.Linux) throws(LaunchFailure) {
    if let name = linux.rootfsPropagation, !name.isEmpty, Rootfs.RootPropagation(rawValue: name) == nil {
      throw refusal("linux.rootfsPropagation", "unknown propagation \"\(name)\"")
    }
    if let label = linux.mountLabel, !label.isEmpty, !SecurityModules.hasSELinux {
      throw refusal("linux.mountLabel", "SELinux is disabled or not supported")
    }
    if let path = linux.cgroupsPath, !path.isEmpty {
      guard !path.split(separator: "/").contains(where: { $0 == ".." || $0 == "." }),
        path.contains(where: { $0 != "/" })
      else { throw refusal("linux.cgroupsPath", "\"\(path)\" is no group's path") }
      try checkText(path, "linux.cgroupsPath")
    }
    for (field, paths) in [("maskedPaths", linux.maskedPaths), ("readonlyPaths", linux.readonlyPaths)] {
      for (index, path) in paths.enumerated() { try checkText(path, "linux.\(field)[\(index)]") }
    }
    for (index, device) in linux.devices.enumerated() {
      let path = "linux.devices[\(index)]"
      guard ["c", "u", "b", "p"].contains(device.type) else {
        throw refusal(path + ".type", "\"\(device.type)\" is no kind of device")
      }
      guard device.path.hasPrefix("/") else {
        throw refusal(path + ".path", "\"\(device.path)\" is not an absolute path")
      }
      try checkText(device.path, path + ".path")
      // The kernel's own widths (linux/kdev_t.h)
      guard (0..<(1 << 12)).contains(device.major) else {
        throw refusal(path + ".major", "\(device.major) is no number")
      }
      guard (0..<(1 << 20)).contains(device.minor) else {
        throw refusal(path + ".minor", "\(device.minor) is no number")
      }
    }
    for clock in linux.timeOffsets.keys.sorted() where clock != "monotonic" && clock != "boottime" {
      throw refusal("linux.timeOffsets", "unknown clock \"\(clock)\"")
    }
    for (clock, offset) in linux.timeOffsets.sorted(by: { $0.key < $1.key }) where offset.nanosecs >= 1_000_000_000 {
      throw refusal("linux.timeOffsets.\(clock).nanosecs", "\(offset.nanosecs) is a second or more")
    }
    for (field, mappings) in [("uidMappings", linux.uidMappings), ("gidMappings", linux.gidMappings)] {
      guard mappings.isEmpty || linux.namespace(.user) != nil else {
        throw refusal("linux.\(field)", "there is no user namespace")
      }
      try check(mappings, "linux.\(field)")
    }
  }

  private static func check(_ mappings: [RuntimeSpec.IDMapping], _ path: String) throws(LaunchFailure) {
    for (index, mapping) in mappings.enumerated() {
      guard mapping.size > 0 else { throw refusal("\(path)[\(index)].size", "is 0") }
      for (name, first) in [("containerID", mapping.containerID), ("hostID", mapping.hostID)]
      where first.addingReportingOverflow(mapping.size - 1).overflow {
        throw refusal("\(path)[\(index)].\(name)", "\(first) and \(mapping.size) ids come to more than there are")
      }
    }
  }

  private static func check(_ resources: RuntimeSpec.Resources) throws(LaunchFailure) {
    let path = "linux.resources"
    for (index, rule) in resources.devices.enumerated() {
      let rulePath = "\(path).devices[\(index)]"
      if let type = rule.type, !type.isEmpty, !["a", "c", "b"].contains(type) {
        throw refusal(rulePath + ".type", "\"\(type)\" is no kind of device")
      }
      if let access = rule.access, !access.allSatisfy({ "rwm".contains($0) }) {
        throw refusal(rulePath + ".access", "\"\(access)\" has other letters than rwm")
      }
    }
    for (name, list) in [("cpus", resources.cpu?.cpus), ("mems", resources.cpu?.mems)] {
      if let list, !list.isEmpty, Cgroups.parseList(list) == nil {
        throw refusal("\(path).cpu.\(name)", "\"\(list)\" is no list of numbers")
      }
    }
    if let idle = resources.cpu?.idle, idle != 0, idle != 1 {
      throw refusal("\(path).cpu.idle", "\(idle) is neither 0 nor 1")
    }
    if let swappiness = resources.memory?.swappiness, swappiness > 100, swappiness != .max {
      throw refusal("\(path).memory.swappiness", "\(swappiness) is not between 0 and 100")
    }
    if let memory = resources.memory {
      for (name, value) in [
        ("limit", memory.limit), ("reservation", memory.reservation), ("swap", memory.swap),
        ("kernelTCP", memory.kernelTCP),
      ] {
        if let value, value < -1 { throw refusal("\(path).memory.\(name)", "\(value) is below -1") }
      }
      if let both = memory.swap, let limit = memory.limit, both > 0, limit > 0, both < limit {
        throw refusal(
          "\(path).memory.swap", "\(both), memory and swap together, is less than the memory limit \(limit)")
      }
    }
    for (name, weight) in [("weight", resources.blockIO?.weight), ("leafWeight", resources.blockIO?.leafWeight)] {
      if let weight, weight != 0, !(10...1000).contains(weight) {
        throw refusal("\(path).blockIO.\(name)", "\(weight) is not between 10 and 1000")
      }
    }
    for (index, limit) in resources.hugepageLimits.enumerated() {
      // `2MB`, `1GB`, `64KB`
      let digits = limit.pageSize.prefix { $0.isNumber }
      guard !digits.isEmpty, ["KB", "MB", "GB"].contains(limit.pageSize.dropFirst(digits.count)) else {
        throw refusal("\(path).hugepageLimits[\(index)].pageSize", "\"\(limit.pageSize)\" is no size of pages")
      }
    }
    for name in resources.unified.keys.sorted() where name.contains("/") || !name.contains(".") || name.contains("..") {
      throw refusal("\(path).unified", "\"\(name)\" is no file of a group")
    }
  }
}

extension ContainerRuntime {
  /// Everything that `prepare` refuses before it makes anything: for who wants to know without making it.
  public static func check(_ plan: LaunchPlan) throws(LaunchFailure) {
    _ = try ProcessRequest(plan)
    _ = try NamespaceSetup(plan.spec.linux)
    try Sysctl.validate(plan.spec.linux.sysctl, plan.spec)
    try ConfigurationCheck.run(plan.spec)
    _ = try NetDevices(plan.spec.linux)
  }
}
