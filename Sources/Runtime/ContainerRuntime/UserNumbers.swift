import OCI
public import Rootfs

/// A container's user as numbers, for whoever isn't in it: by its own `/etc/passwd` and `/etc/group`, read with our own parser below its
/// root.
public enum UserNumbers {
  /// `name|uid[:group|gid]`. Throws `unable to find user x: no matching entries in passwd file`.
  public static func resolve(_ specification: String, in root: borrowing Root) throws(LaunchFailure) -> (
    uid: UInt32, gid: UInt32
  ) {
    let user = try UserLookup(
      specification, additional: [], user: RuntimeSpec.User(), in: root, stage: Stage(channel: -1))
    return (user.uid, user.gid)
  }
}
