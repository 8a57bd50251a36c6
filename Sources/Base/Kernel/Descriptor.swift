import CLinux

/// A file descriptor with one owner, which closes it at the end of its life.
public struct Descriptor: ~Copyable, Sendable {
  /// The number, for a call that borrows it. Never close it by hand.
  public let raw: Int32

  /// Takes over an open descriptor.
  public init(owning raw: Int32) { self.raw = raw }

  deinit { _ = CLinux.close(raw) }

  /// Gives the number away: whoever takes it closes it.
  public consuming func take() -> Int32 {
    let number = raw
    discard self
    return number
  }

  public borrowing func duplicate() throws(SyscallError) -> Descriptor {
    Descriptor(owning: try Sys.fcntl(raw, F_DUPFD_CLOEXEC, 0))
  }

  /// Closes now and tells of a delayed write error (close(2) on network file systems).
  public consuming func close() throws(SyscallError) {
    let number = take()
    guard CLinux.close(number) == 0 else { throw SyscallError("close", "fd \(number)", .current) }
  }
}

/// A descriptor with several owners, closed when the last lets go: for collections, which can't hold `Descriptor`.
public final class SharedDescriptor: Sendable {
  public let raw: Int32

  public init(owning raw: Int32) { self.raw = raw }
  public init(_ descriptor: consuming Descriptor) { raw = descriptor.take() }

  deinit { _ = CLinux.close(raw) }
}
