public import OCI

extension Cgroups {
  /// Docker's rules for an ordinary container: everything denied, then `mknod` of any device, and use of null, zero, full,
  /// random, urandom, tty, console, ptmx and the pseudo-terminals.
  public static let defaultDevices: [RuntimeSpec.DeviceRule] = [
    .init(allow: false, access: "rwm"),
    .init(allow: true, type: "c", access: "m"),
    .init(allow: true, type: "b", access: "m"),
    .init(allow: true, type: "c", major: 1, minor: 3, access: "rwm"),  // null
    .init(allow: true, type: "c", major: 1, minor: 5, access: "rwm"),  // zero
    .init(allow: true, type: "c", major: 1, minor: 7, access: "rwm"),  // full
    .init(allow: true, type: "c", major: 1, minor: 8, access: "rwm"),  // random
    .init(allow: true, type: "c", major: 1, minor: 9, access: "rwm"),  // urandom
    .init(allow: true, type: "c", major: 5, minor: 0, access: "rwm"),  // tty
    .init(allow: true, type: "c", major: 5, minor: 1, access: "rwm"),  // console
    .init(allow: true, type: "c", major: 5, minor: 2, access: "rwm"),  // ptmx
    .init(allow: true, type: "c", major: 136, access: "rwm"),  // pts/*
  ]

  /// `--privileged`.
  public static let allDevices: [RuntimeSpec.DeviceRule] = [.init(allow: true, access: "rwm")]
}
