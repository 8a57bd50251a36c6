import ContainerRuntime
import OCI
import Seccomp

/// `features`: what this runtime can do (runtime-spec, features.md).
enum Features {
  static let command = RuntimeCommand.Command(
    name: "features", usage: "", summary: "show what the runtime can do", run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    Output.write(document.indented("  ") + "\n")
    return 0
  }

  /// What this program can do, whatever this kernel has of it (features.md), but for `supportedFlags`.
  static var document: JSON {
    [
      "ociVersionMin": "1.0.0",
      "ociVersionMax": .string(OCI.runtimeVersion),
      "hooks": JSON(HookPoint.allCases.map(\.rawValue)),
      "mountOptions": JSON(mountOptions),
      "linux": [
        "namespaces": JSON(RuntimeSpec.NamespaceKind.allCases.map(\.rawValue).sorted()),
        "capabilities": JSON(ContainerRuntime.capabilityNames),
        "cgroup": ["v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true],
        "seccomp": [
          "enabled": true,
          "actions": [
            "SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_KILL", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_KILL_THREAD",
            "SCMP_ACT_LOG", "SCMP_ACT_NOTIFY", "SCMP_ACT_TRACE", "SCMP_ACT_TRAP",
          ],
          "operators": [
            "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_LE", "SCMP_CMP_LT", "SCMP_CMP_MASKED_EQ",
            "SCMP_CMP_NE",
          ],
          "archs": ["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", "SCMP_ARCH_X32", "SCMP_ARCH_X86", "SCMP_ARCH_X86_64"],
          "knownFlags": JSON(Seccomp.knownFlags),
          "supportedFlags": JSON(Seccomp.supportedFlags()),
        ],
        "apparmor": ["enabled": true],
        "selinux": ["enabled": true],
        "intelRdt": ["enabled": true, "schemata": true, "monitoring": true],
        "memoryPolicy": [
          "modes": JSON(ContainerRuntime.memoryPolicyModes), "flags": JSON(ContainerRuntime.memoryPolicyFlags),
        ],
        "mountExtensions": ["idmap": ["enabled": true]],
        "netDevices": ["enabled": true],
      ],
      "annotations": ["dev.berth.runtime.version": .string(RuntimeCommand.version)],
      "potentiallyUnsafeConfigAnnotations": [],
    ]
  }

  private static let mountOptions = [
    "async", "atime", "bind", "copy-symlink", "defaults", "dest-nofollow", "dev", "diratime", "dirsync", "exec",
    "idmap",
    "lazytime", "loud", "mand", "noatime", "nodev", "nodiratime", "noexec", "nolazytime", "nomand", "norelatime",
    "nostrictatime", "nosuid", "nosymfollow", "private", "ratime", "rbind", "rdev", "rdiratime", "relatime", "rexec",
    "ridmap",
    "rnoatime", "rnodev", "rnodiratime", "rnoexec", "rnorelatime", "rnostrictatime", "rnosuid", "rnosymfollow", "ro",
    "rprivate", "rrelatime", "rro", "rrw", "rshared", "rslave", "rstrictatime", "rsuid", "rsymfollow", "runbindable",
    "rw", "shared", "silent", "slave", "src-nofollow", "strictatime", "suid", "symfollow", "sync", "tmpcopyup",
    "unbindable",
  ]
}
