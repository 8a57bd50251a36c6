import CLinux
import Kernel

/// The ids and capabilities that a process takes on.
struct Identity {
  private let user: UserLookup
  private let sets: CapabilitySets

  /// Capabilities that we lack ourselves are left out with a warning.
  init(_ request: ProcessRequest, _ user: UserLookup, _ stage: Stage) throws(LaunchFailure) {
    self.user = user
    // To setresuid(2) and its like -1 is no id but "as it is": root's.
    guard user.uid != .max, user.gid != .max, !user.groups.contains(.max) else {
      throw stage.failure(EINVAL, "\(user.uid):\(user.gid)", "4294967295 is no user or group id")
    }
    if !request.unknownCapabilities.isEmpty {
      stage.warn("unknown capabilities are left out: \(request.unknownCapabilities.joined(separator: ", "))")
    }
    let ours = try stage.attempt("capget") { () throws(SyscallError) in try Sys.capget().permitted }
    var sets = request.capabilities
    let missing = sets.confine(to: ours)
    if !missing.isEmpty { stage.warn("capabilities that aren't available here: \(missing.joined(separator: ", "))") }
    self.sets = sets
  }

  /// Bounding set, groups, ids. The permitted set is kept over the change of ids, to be reduced at the very last.
  func takeOn(_ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("drop capabilities") { () throws(SyscallError) in
      for number in 0..<64 where sets.bounding & (1 << UInt64(number)) == 0 {
        do throws(SyscallError) {
          try Sys.prctl(24, UInt(number))  // PR_CAPBSET_DROP
        } catch  where error.errno == .invalidArgument { break }  // beyond the kernel's last
      }
      try Sys.prctl(8, 1)  // PR_SET_KEEPCAPS
    }
    try stage.attempt("set groups") { () throws(SyscallError) in
      do throws(SyscallError) { try Sys.setgroups(user.groups) } catch
        where error.errno == .notPermitted && user.groups.allSatisfy({ $0 == user.gid })
      {
        try Sys.leaveGroups()
      }
    }
    try stage.attempt("set gid to \(user.gid)") { () throws(SyscallError) in try Sys.setgid(user.gid) }
    try stage.attempt("set uid to \(user.uid)") { () throws(SyscallError) in try Sys.setuid(user.uid) }
    try stage.attempt("drop capabilities") { () throws(SyscallError) in try Sys.prctl(8, 0) }
    // The change of ids may have made us dumpable again by a sysctl (fs.suid_dumpable).
    try stage.attempt("prctl") { () throws(SyscallError) in try Sys.prctl(4, 0) }
    // Effective again, as the ids took them: for the filter, and files as root sees them.
    let present = try stage.attempt("capget") { () throws(SyscallError) in try Sys.capget() }
    let needed = (sets.permitted | CapabilitySets.sysAdmin) & present.permitted
    try stage.attempt("drop capabilities") { () throws(SyscallError) in
      try Sys.capset(
        effective: (sets.effective | CapabilitySets.sysAdmin) & needed, permitted: needed, inheritable: sets.inheritable
      )
    }
  }

  /// The sets as they are to be.
  func dropRest(_ stage: Stage) throws(LaunchFailure) {
    try stage.attempt("set capabilities") { () throws(SyscallError) in
      try Sys.capset(effective: sets.effective, permitted: sets.permitted, inheritable: sets.inheritable)
      try Sys.prctl(47, 4)  // PR_CAP_AMBIENT_CLEAR_ALL
      for number in 0..<64 where sets.ambient & (1 << UInt64(number)) != 0 {
        try Sys.prctl(47, 2, UInt(number))  // PR_CAP_AMBIENT_RAISE
      }
    }
  }
}
