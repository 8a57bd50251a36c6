/// The options of one mount, sorted by who takes them: the mount itself, its propagation, or the file system.
///
/// The words are those of the runtime specification (config.md, "Linux mount options"); what isn't known goes to the file
/// system, which refuses what it doesn't know either.
public struct MountOptions: Sendable, Equatable {
  public var bind = false
  public var recursive = false
  /// MOUNT_ATTR_… to set and to clear on the mount (mount_setattr(2)).
  public var set: UInt64 = 0
  public var clear: UInt64 = 0
  /// The same for the mount and all below it (`rro`).
  public var recursiveSet: UInt64 = 0
  public var recursiveClear: UInt64 = 0
  /// MS_PRIVATE, MS_SLAVE, MS_SHARED or MS_UNBINDABLE; 0: private.
  public var propagation: UInt64 = 0
  public var propagationRecursive = false
  /// `tmpcopyup`: a tmpfs begins with what the image has at that place.
  public var copyUp = false
  public var idMapped = false
  /// `ridmap`: what is mounted below too.
  public var idMappedRecursively = false
  /// crun's `copy-symlink`: a link at the source is made again at the destination, and nothing mounted.
  public var copySymlink = false
  /// crun's `src-nofollow` and `dest-nofollow`: a link there is mounted, or mounted over, itself.
  public var sourceIsNotFollowed = false
  public var destinationIsNotFollowed = false
  /// `key=value` and flags for the file system.
  public var data: [Datum] = []

  public struct Datum: Sendable, Equatable {
    public var key: String
    public var value: String?
    public init(key: String, value: String? = nil) {
      self.key = key
      self.value = value
    }
  }

  public static let readOnly: UInt64 = 0x1
  public static let noSUID: UInt64 = 0x2
  public static let noDevices: UInt64 = 0x4
  public static let noExec: UInt64 = 0x8
  /// The field of access times: relatime is 0 in it.
  public static let accessTimes: UInt64 = 0x70
  public static let noAccessTime: UInt64 = 0x10
  public static let strictAccessTime: UInt64 = 0x20
  public static let noDirectoryAccessTime: UInt64 = 0x80
  public static let noSymlinkFollow: UInt64 = 0x20_0000

  static let unbindable: UInt64 = 1 << 17
  static let `private`: UInt64 = 1 << 18
  static let slave: UInt64 = 1 << 19
  static let shared: UInt64 = 1 << 20

  public init(_ options: [String]) {
    for option in options { add(option) }
  }

  /// Whether what is mounted on the host later, or here, is to be seen on the other side.
  public var propagates: Bool { propagation == Self.slave || propagation == Self.shared }

  private mutating func add(_ option: String) {
    switch option {
    case "", "defaults", "remount", "silent", "loud": return
    // Of file systems, not of mounts: crun takes the words for a whole tree and does nothing, as the kernel can't.
    case "rsync", "rasync", "rdirsync", "rmand", "rnomand": return
    // It is the kernel's choice where nothing else is said (mount(2)): there is nothing to take back but what was said before.
    case "norelatime": return
    case "nostrictatime": if set & Self.strictAccessTime == 0 { return } else { Self.apply(0, true, &set, &clear) }
    case "rnorelatime": return
    case "rnostrictatime":
      if recursiveSet & Self.strictAccessTime == 0 { return }
      Self.apply(0, true, &recursiveSet, &recursiveClear)
    case "bind": bind = true
    case "rbind": (bind, recursive) = (true, true)
    case "tmpcopyup": copyUp = true
    case "copy-symlink": copySymlink = true
    case "src-nofollow": sourceIsNotFollowed = true
    case "dest-nofollow": destinationIsNotFollowed = true
    case "idmap": idMapped = true
    case "ridmap": (idMapped, idMappedRecursively) = (true, true)
    case "private", "rprivate": propagate(Self.private, option)
    case "slave", "rslave": propagate(Self.slave, option)
    case "shared", "rshared": propagate(Self.shared, option)
    case "unbindable", "runbindable": propagate(Self.unbindable, option)
    default:
      if let (attribute, on) = Self.attribute(option) {
        Self.apply(attribute, on, &set, &clear)
      } else if option.hasPrefix("r"), let (attribute, on) = Self.attribute(String(option.dropFirst())) {
        Self.apply(attribute, on, &recursiveSet, &recursiveClear)
      } else if let equals = option.firstIndex(of: "=") {
        data.append(Datum(key: String(option[..<equals]), value: String(option[option.index(after: equals)...])))
      } else {
        data.append(Datum(key: option, value: nil))
      }
    }
  }

  private mutating func propagate(_ kind: UInt64, _ option: String) {
    propagation = kind
    propagationRecursive = option.hasPrefix("r")
  }

  /// A later word overrides an earlier one.
  private static func apply(_ attribute: UInt64, _ on: Bool, _ set: inout UInt64, _ clear: inout UInt64) {
    if attribute & accessTimes != 0 || attribute == 0 {
      // The field must be cleared as a whole before it gets another value.
      clear |= accessTimes
      set = set & ~accessTimes | (on ? attribute : 0)
    } else if on {
      set |= attribute
      clear &= ~attribute
    } else {
      clear |= attribute
      set &= ~attribute
    }
  }

  private static func attribute(_ word: String) -> (UInt64, Bool)? {
    switch word {
    case "ro": (readOnly, true)
    case "rw": (readOnly, false)
    case "nosuid": (noSUID, true)
    case "suid": (noSUID, false)
    case "nodev": (noDevices, true)
    case "dev": (noDevices, false)
    case "noexec": (noExec, true)
    case "exec": (noExec, false)
    case "noatime": (noAccessTime, true)
    case "atime": (noAccessTime, false)
    case "relatime": (0, true)
    case "strictatime": (strictAccessTime, true)
    case "nodiratime": (noDirectoryAccessTime, true)
    case "diratime": (noDirectoryAccessTime, false)
    case "nosymfollow": (noSymlinkFollow, true)
    case "symfollow": (noSymlinkFollow, false)
    default: nil
    }
  }
}
