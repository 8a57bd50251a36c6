import Kernel

/// The kernel's security modules that a configuration may name labels and profiles of.
public enum SecurityModules {
  /// Its file system is mounted as long as it is enabled (selinux(8)).
  public static var hasSELinux: Bool { Sys.exists("/sys/fs/selinux/enforce") }

  /// As libapparmor's aa_is_enabled(2) has it.
  public static var hasAppArmor: Bool {
    (try? Sys.readFile("/sys/module/apparmor/parameters/enabled"))?.first == UInt8(ascii: "Y")
  }
}
