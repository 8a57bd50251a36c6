public import OCI

extension Seccomp {
  /// A profile in Docker's format (`archMap`, `includes`, `excludes`, `minKernel`) or the OCI's, as `--security-opt seccomp=FILE`
  /// sends it, with its conditions decided for a process with these capabilities (bounding set) on this kernel.
  ///
  /// A profile that says nothing at all allows everything: Docker loads no filter for it.
  public static func profile(
    json: JSON, capabilities: [String], kernel: (major: Int, minor: Int), native: Architecture = .native
  ) throws(SeccompError) -> RuntimeSpec.Seccomp {
    do throws(JSONError) {
      return try decode(
        try JSONFields(json), Situation(capabilities: Set(capabilities), kernel: kernel, native: native))
    } catch { throw SeccompError("\(error)") }
  }

  /// What conditions are decided by.
  private struct Situation {
    let capabilities: Set<String>
    let kernel: (major: Int, minor: Int)
    let native: Architecture
  }

  private static func decode(_ fields: JSONFields, _ situation: Situation) throws(JSONError) -> RuntimeSpec.Seccomp {
    let action = try fields.string("defaultAction") ?? ""
    let calls = try fields.list("syscalls") { (call) throws(JSONError) in try rule(call, situation) } ?? []
    if action.isEmpty && calls.isEmpty { return RuntimeSpec.Seccomp(defaultAction: "SCMP_ACT_ALLOW") }
    var profile = RuntimeSpec.Seccomp(defaultAction: action, defaultErrnoRet: try fields.integer("defaultErrnoRet"))
    profile.flags = try fields.strings("flags") ?? []
    profile.listenerPath = try fields.string("listenerPath")
    profile.listenerMetadata = try fields.string("listenerMetadata")
    profile.architectures = try fields.strings("architectures") ?? []
    let map =
      try fields.list("archMap") { (entry) throws(JSONError) in
        (name: try entry.string("architecture") ?? "", sub: try entry.strings("subArchitectures") ?? [])
      } ?? []
    if !profile.architectures.isEmpty && !map.isEmpty {
      throw JSONError(
        path: fields.path(of: "archMap"),
        "both 'architectures' and 'archMap' are specified in the seccomp profile, use either 'architectures' or 'archMap'"
      )
    }
    if let entry = map.first(where: { $0.name == situation.native.rawValue }) {
      profile.architectures = [entry.name] + entry.sub
    }
    profile.syscalls = calls.compactMap { $0 }
    return profile
  }

  /// nil for a rule whose conditions don't hold.
  private static func rule(_ call: JSONFields, _ situation: Situation) throws(JSONError) -> RuntimeSpec.Seccomp.Rule? {
    var names = try call.strings("names") ?? []
    // profiles of Docker before 1.12 have one name a rule
    if let name = try call.string("name"), !name.isEmpty {
      guard names.isEmpty else {
        throw JSONError(
          path: call.path, "both 'name' and 'names' are specified in the seccomp profile, use either 'name' or 'names'")
      }
      names = [name]
    }
    let args =
      try call.list("args") { (argument) throws(JSONError) in
        RuntimeSpec.Seccomp.Argument(
          index: try argument.integer("index") ?? 0, value: try unsigned(argument, "value"),
          valueTwo: try unsigned(argument, "valueTwo"), op: try argument.string("op") ?? "")
      } ?? []
    let rule = RuntimeSpec.Seccomp.Rule(
      names: names, action: try call.string("action") ?? "", errnoRet: try call.integer("errnoRet"), args: args)
    if let excludes = try call.fields("excludes") {
      if try excludes.strings("arches")?.contains(situation.native.dockerName) == true { return nil }
      if try excludes.strings("caps")?.contains(where: situation.capabilities.contains) == true { return nil }
      if let least = try leastKernel(excludes), situation.kernel >= least { return nil }
    }
    if let includes = try call.fields("includes") {
      if let arches = try includes.strings("arches"), !arches.isEmpty, !arches.contains(situation.native.dockerName) {
        return nil
      }
      if try includes.strings("caps")?.allSatisfy(situation.capabilities.contains) == false { return nil }
      if let least = try leastKernel(includes), situation.kernel < least { return nil }
    }
    return rule
  }

  /// 64 unsigned bits. What is above 2^63 has come through the parser as a double, in steps of 2048: masks of upper halves are exact,
  /// and 2^64 stands for -1.
  private static func unsigned(_ fields: JSONFields, _ key: String) throws(JSONError) -> UInt64 {
    guard let value = fields.value(key) else { return 0 }
    if let number = value.intValue, let exact = UInt64(exactly: number) { return exact }
    if case .double(let number) = value, number == 18_446_744_073_709_551_616 { return .max }
    if case .double(let number) = value, let exact = UInt64(exactly: number) { return exact }
    throw JSONError(path: fields.path(of: key), "an unsigned integer of 64 bits is expected")
  }

  /// `4.8`.
  private static func leastKernel(_ fields: JSONFields) throws(JSONError) -> (major: Int, minor: Int)? {
    guard let text = try fields.string("minKernel"), !text.isEmpty else { return nil }
    let parts = text.split(separator: ".", omittingEmptySubsequences: false)
    guard parts.count == 2, let major = Int(parts[0]), let minor = Int(parts[1]), major > 0, minor >= 0 else {
      throw JSONError(
        path: fields.path(of: "minKernel"),
        "invalid kernel version: \"\(text)\" (expected a version like 4.8)")
    }
    return (major, minor)
  }
}
