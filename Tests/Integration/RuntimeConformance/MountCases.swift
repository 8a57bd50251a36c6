import Kernel
import OCI

/// Rows about mounts, labels and what a process is limited to.
extension RuntimeConformanceTests {
  static let mountCases: [Case] =
    [
      Case(
        "tmpcopyup", "stat -c '%n %a %u %F' /data /data/*; touch /data/new && echo written",
        """
        /data 755 0 directory
        /data/hidden 755 0 directory
        written
        """
      ) { spec in mount(&spec, "tmpfs", ["tmpcopyup"]) },
      Case("tmpfs keeps the mode of what it hides", "stat -c %a /tmp", "755") { spec in
        spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
      },
    ] + recursive + propagation + rootPropagation + links + labels + process

  private static func mount(_ spec: inout RuntimeSpec, _ source: String, _ options: [String]) {
    spec.mounts.append(
      RuntimeSpec.Mount(
        destination: "/data", type: source == "tmpfs" ? "tmpfs" : "bind", source: source, options: options))
  }

  /// The host's /dev has file systems below it. Each line of mountinfo has the word, or lacks it.
  private static let recursive: [Case] = {
    let lines = "grep ' /data' /proc/self/mountinfo"
    func all(_ options: [String], have word: String, _ differs: [String: String] = [:]) -> Case {
      Case(
        "\(options.joined(separator: ",")) of a tree", "\(lines) | wc -l | grep -cv '^1$'; \(lines) | grep -vc \(word)",
        "1\n0", differs: differs
      ) { spec in
        mount(&spec, "/dev", ["rbind"] + options)
        spec.process?.args[2] += "; true"
      }
    }
    func none(_ options: [String], have word: String, _ differs: [String: String] = [:]) -> Case {
      Case(
        "\(options.joined(separator: ",")) of a tree", "\(lines) | wc -l | grep -cv '^1$'; \(lines) | grep -c \(word)",
        "1\n0", differs: differs
      ) { spec in
        mount(&spec, "/dev", ["rbind"] + options)
        spec.process?.args[2] += "; true"
      }
    }
    let crun = ["crun": "doesn't clear the field of access times first, as mount_setattr(2) asks"]
    let both = crun.merging(["runc": "sets what an earlier word said, too"]) { $1 }
    let young = ["crun": "has no nosymfollow", "runc": "nosymfollow came with version 1.2"]
    return [
      all(["rro"], have: "' ro,'"), all(["rro", "rrw"], have: "' rw,'"),
      all(["rnosuid"], have: "nosuid"), none(["rsuid"], have: "nosuid"),
      all(["rnodev"], have: "nodev"), none(["rdev"], have: "nodev"),
      all(["rnoexec"], have: "noexec"), none(["rexec"], have: "noexec"),
      all(["rnoatime"], have: "noatime", crun), none(["rnoatime", "ratime"], have: "noatime", both),
      none(["rstrictatime"], have: "-E 'relatime|noatime'", crun),
      all(["rstrictatime", "rrelatime"], have: "relatime", both),
      all(["rnodiratime"], have: "nodiratime", crun), none(["rnodiratime", "rdiratime"], have: "nodiratime", both),
      all(["rnosymfollow"], have: "nosymfollow", young),
      none(["rnosymfollow", "rsymfollow"], have: "nosymfollow", young),
      Case(
        "a tmpfs takes a tree's words too", "grep ' /data ' /proc/self/mountinfo | awk '{print $6}'",
        "ro,noexec,relatime",
        differs: ["runc": "forgets them where nothing is bound"]
      ) { spec in mount(&spec, "tmpfs", ["rro", "rnoexec"]) },
      Case(
        "norelatime leaves the kernel's choice", "grep ' /data ' /proc/self/mountinfo | awk '{print $6}'", "rw,relatime"
      ) { spec in mount(&spec, "tmpfs", ["norelatime"]) },
      Case(
        "nosymfollow", "cat /data/hello /data/link 2>/dev/null || echo refused", "hello\nrefused", differs: young
      ) { spec in mount(&spec, "bound", ["bind", "nosymfollow"]) },
    ]
  }()

  private static let propagation: [Case] = ["tmpfs", "bound"].flatMap { source in
    [
      ("private", "-"), ("rprivate", "-"), ("slave", "-"), ("rslave", "-"), ("shared", "shared"), ("rshared", "shared"),
      ("unbindable", "unbindable"), ("runbindable", "unbindable"),
    ].map { word, tag in
      Case(
        "\(word) \(source)", "awk '$5==\"/data\"{sub(/:.*/, \"\", $7); print $7}' /proc/self/mountinfo", tag,
        differs: tag == "-" ? [:] : ["crun": "makes everything private again with its default for the root"]
      ) { spec in mount(&spec, source, ["rbind"].filter { _ in source != "tmpfs" } + [word])
      }
    }
  }

  private static let rootPropagation: [Case] =
    [
      ("private", "-"), ("rprivate", "-"), ("slave", "-"), ("rslave", "-"), ("shared", "shared"), ("rshared", "shared"),
      ("unbindable", "unbindable"), ("runbindable", "unbindable"),
    ].map { word, tag in
      Case(
        "rootfsPropagation \(word)", "awk '$5==\"/\"{sub(/:.*/, \"\", $7); print $7}' /proc/self/mountinfo", tag,
        differs: word.contains("shared") || word.contains("unbindable")
          ? [
            "runc": "sets it before the change of root, which takes it away (mended in version 1.2)",
            "crun": "can't mask files then",
          ].filter { $0.key == "runc" || word == "runbindable" } : [:]
      ) { spec in spec.linux.rootfsPropagation = word }
    } + [
      Case(
        "an unknown rootfsPropagation is refused", "true", nil, status: 1, says: "linux.rootfsPropagation: ",
        differs: ["crun": "takes it for private"]
      ) { spec in spec.linux.rootfsPropagation = "sideways" }
    ]

  private static let links: [Case] = {
    let unknown = ["crun": "has it since version 1.22", "runc": "doesn't have it"]
    return [
      Case("copy-symlink", "readlink /etc/copy", "hello", differs: ["runc": "doesn't have it"]) { spec in
        spec.root?.readonly = false
        spec.mounts.append(
          RuntimeSpec.Mount(
            destination: "/etc/copy", type: "bind", source: "bound/link", options: ["bind", "copy-symlink"]))
      },
      Case("src-nofollow", "readlink /etc/link", "hello", differs: unknown) { spec in
        spec.root?.readonly = false
        spec.mounts.append(
          RuntimeSpec.Mount(
            destination: "/etc/link", type: "bind", source: "bound/link", options: ["bind", "src-nofollow"]))
      },
      Case("dest-nofollow", "cat /bin/cat; [ -L /bin/ls ] && echo link", "hello\nlink", differs: unknown) { spec in
        spec.mounts.append(
          RuntimeSpec.Mount(
            destination: "/bin/head", type: "bind", source: "bound/hello", options: ["bind", "dest-nofollow"]))
        // A link to busybox: followed, every command would be hidden.
        spec.process?.args = ["/bin/busybox", "sh", "-c", "busybox cat /bin/head; [ -L /bin/ls ] && echo link"]
      },
    ]
  }()

  private static let labels: [Case] = [
    Case(
      "selinuxLabel without SELinux is refused", "true", nil, status: 1, says: "process.selinuxLabel: ",
      differs: ["crun": "ignores it"]
    ) { spec in spec.process?.selinuxLabel = "system_u:system_r:container_t:s0" },
    Case(
      "mountLabel without SELinux is refused", "true", nil, status: 1, says: "linux.mountLabel: ",
      differs: ["crun": "ignores it"]
    ) { spec in spec.linux.mountLabel = "system_u:object_r:container_file_t:s0" },
    Case(
      "apparmorProfile without AppArmor is refused", "true", nil, status: 1, says: "process.apparmorProfile: ",
      differs: ["crun": "ignores it"]
    ) { spec in spec.process?.apparmorProfile = "berth-no-such-profile" },
    Case(
      "apparmorProfile unconfined", "echo ran", "ran",
      differs: ["crun": "refuses it without AppArmor", "runc": "refuses it without AppArmor"]
    ) { spec in
      spec.process?.apparmorProfile = "unconfined"
    },
  ]

  private static let process: [Case] = [
    Case(
      "consoleSize", "stty size", "33 111",
      differs: ["crun": "needs a terminal of its caller's", "runc": "needs a terminal of its caller's"]
    ) { spec in
      spec.process?.terminal = true
      spec.process?.consoleSize = (width: 111, height: 33)
      // Without the carriage return that a terminal adds.
      spec.process?.args[2] = "stty -opost; stty size"
    },
    Case(
      "all rlimits", "ulimit -t; ulimit -f; ulimit -c; ulimit -s; ulimit -n; ulimit -l; ulimit -Hc",
      "100\n2\n0\n1024\n64\n3\n0"
    ) { spec in
      spec.process?.rlimits = [
        ("RLIMIT_CPU", 100), ("RLIMIT_FSIZE", 1024), ("RLIMIT_CORE", 0), ("RLIMIT_STACK", 1 << 20),
        ("RLIMIT_NOFILE", 64),
        ("RLIMIT_MEMLOCK", 3072), ("RLIMIT_DATA", 1 << 30), ("RLIMIT_RSS", 1 << 30), ("RLIMIT_NPROC", 1000),
        ("RLIMIT_AS", 1 << 30), ("RLIMIT_LOCKS", 10), ("RLIMIT_SIGPENDING", 10), ("RLIMIT_MSGQUEUE", 1000),
        ("RLIMIT_NICE", 0), ("RLIMIT_RTPRIO", 0), ("RLIMIT_RTTIME", 1_000_000),
      ].map { RuntimeSpec.Rlimit(type: $0, soft: $1, hard: $1) }
    },
    Case(
      "an unknown rlimit is refused", "true", nil, status: 1, says: "process.rlimits[1].type: "
    ) { spec in spec.process?.rlimits.append(RuntimeSpec.Rlimit(type: "RLIMIT_FISH", soft: 1, hard: 1)) },
    Case(
      "an rlimit given twice is refused", "true", nil, status: 1, says: "process.rlimits[1].type: ",
      differs: ["crun": "takes the last", "runc": "came with version 1.2"]
    ) { spec in spec.process?.rlimits.append(RuntimeSpec.Rlimit(type: "RLIMIT_NOFILE", soft: 1, hard: 1)) },
    Case(
      "a domain name of the host's is refused", "true", nil, status: 1, says: "domainname: ",
      differs: ["runc": "domainname came with version 1.2"]
    ) { spec in
      spec.linux.namespaces.removeAll { $0.kind == .uts }
      spec.hostname = nil
      spec.domainname = "example.org"
    },
  ]
}
