import ContainerRuntime
import OCI

/// `features`: what this runtime can do (runtime-spec, features.md).
enum Features {
  static let command = RuntimeCommand.Command(
    name: "features", usage: "", summary: "show what the runtime can do", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    Output.write(document.indented("  ") + "\n")
    return 0
  }

  static var document: JSON {
    [
      "ociVersionMin": "1.0.0",
      "ociVersionMax": .string(OCI.runtimeVersion),
      "hooks": [],
      "mountOptions": JSON(mountOptions),
      "linux": [
        "namespaces": JSON(RuntimeSpec.NamespaceKind.allCases.map(\.rawValue).sorted()),
        "capabilities": JSON(ContainerRuntime.capabilityNames),
        "cgroup": ["v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false],
        "seccomp": [
          "enabled": true,
          "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
          ],
          "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
          ],
          "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
          "knownFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
          "supportedFlags": ["SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC"],
        ],
        "apparmor": ["enabled": true],
        "selinux": ["enabled": false],
        "intelRdt": ["enabled": false],
        "mountExtensions": ["idmap": ["enabled": false]],
      ],
      "annotations": ["dev.berth.runtime.version": .string(RuntimeCommand.version)],
      "potentiallyUnsafeConfigAnnotations": [],
    ]
  }

  private static let mountOptions = [
    "async", "atime", "bind", "defaults", "dev", "diratime", "exec", "noatime", "nodev", "nodiratime", "noexec",
    "norelatime", "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime",
    "relatime", "rexec", "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid",
    "rnosymfollow", "ro", "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid",
    "rsymfollow", "runbindable", "rw", "shared", "slave", "strictatime", "suid", "symfollow", "sync", "tmpcopyup",
    "unbindable",
  ]
}
