import CLinux
import Kernel
import OCI

extension Cgroup {
  /// Applies device rules in their order; answers a warning or nil.
  func apply(devices rules: [RuntimeSpec.DeviceRule], _ place: Place) throws(CgroupError) -> String? {
    let program: DeviceProgram
    do throws(DeviceProgram.Fault) { program = try DeviceProgram(rules) } catch {
      throw CgroupError("set", controller: "devices", path: place.directory, .invalidArgument, reason: error.text)
    }
    if place.isUnified { return try attach(program, place) }
    if let hole = program.punchedHole() {
      throw CgroupError(
        "set", controller: "devices", path: place.directory, .invalidArgument,
        reason:
          "requested rule \(hole.denial) not supported by devices cgroupv1 (cannot punch hole in existing rule \(hole.wildcard))"
      )
    }
    try writeDevices(rules, place)
    return nil
  }

  /// v1: one line a rule. What the last rule for all devices makes void isn't written.
  private func writeDevices(_ rules: [RuntimeSpec.DeviceRule], _ place: Place) throws(CgroupError) {
    let start = rules.lastIndex { ($0.type ?? "a") == "a" } ?? rules.startIndex
    var files: [Bool: SharedDescriptor] = [:]
    for rule in rules[start...] {
      let path = place.directory + (rule.allow ? "/devices.allow" : "/devices.deny")
      let line = DeviceProgram.text(rule)
      do throws(SyscallError) {
        let file: SharedDescriptor
        if let open = files[rule.allow] {
          file = open
        } else {
          file = SharedDescriptor(try Sys.open(path, O_WRONLY))
          files[rule.allow] = file
        }
        try Sys.writeAll(file.raw, line)
      } catch {
        throw CgroupError("set", controller: "devices", path: path, value: line, error.errno)
      }
    }
  }

  /// BPF_PROG_TYPE_CGROUP_DEVICE and BPF_CGROUP_DEVICE (linux/bpf.h).
  private static let programType: UInt32 = 15
  private static let attachType: UInt32 = 6
  private static let allowMulti: UInt32 = 2
  private static let replace: UInt32 = 4

  /// v2: loads the program and attaches it, in place of the one that was there.
  private func attach(_ program: DeviceProgram, _ place: Place) throws(CgroupError) -> String? {
    do throws(SyscallError) {
      let directory = try Sys.open(place.directory, O_RDONLY | O_DIRECTORY)
      let old = try attachedPrograms(directory.raw)
      // the groups above decide alone
      if program.allowsByDefault && program.rules.isEmpty && old.isEmpty { return nil }
      let code = program.instructions()
      let loaded = try load(code)
      if old.count == 1 {
        try Sys.retrying("bpf attach", place.directory) {
          cl_bpf_prog_attach(directory.raw, loaded.raw, Self.attachType, Self.allowMulti | Self.replace, old[0].raw)
        }
        return nil
      }
      try Sys.retrying("bpf attach", place.directory) {
        cl_bpf_prog_attach(directory.raw, loaded.raw, Self.attachType, Self.allowMulti, 0)
      }
      // several programs must all agree: the former ones have no say any more
      for former in old {
        try Sys.retrying("bpf detach", place.directory) {
          cl_bpf_prog_detach(directory.raw, former.raw, Self.attachType)
        }
      }
      return nil
    } catch {
      throw CgroupError("set", controller: "devices", path: place.directory, value: error.call, error.errno)
    }
  }

  private func load(_ code: [UInt64]) throws(SyscallError) -> Descriptor {
    Descriptor(
      owning: Int32(
        try Sys.retrying("bpf load", "device program of \(code.count) instructions") {
          cl_bpf_prog_load(Self.programType, code, UInt32(code.count), nil, 0)
        }))
  }

  private func attachedPrograms(_ directory: Int32) throws(SyscallError) -> [SharedDescriptor] {
    var ids = [UInt32](repeating: 0, count: 64)
    var count = UInt32(ids.count)
    try Sys.retrying("bpf query") { cl_bpf_prog_query(directory, Self.attachType, &ids, &count) }
    var programs: [SharedDescriptor] = []
    for id in ids.prefix(Int(count)) {
      programs.append(
        SharedDescriptor(owning: Int32(try Sys.retrying("bpf open", "program \(id)") { cl_bpf_prog_open(id) })))
    }
    return programs
  }
}
