/// The system calls. Descriptors in arguments are borrowed numbers; descriptors in results are owned.
///
/// `Sys+….swift` hold them by facility: files, mounts, processes, sockets, events.
public enum Sys {
  /// The one place where EINTR is retried and errno is read. `object` is evaluated only on failure.
  @inlinable
  @discardableResult
  public static func retrying<T: FixedWidthInteger & SignedInteger>(
    _ call: @autoclosure () -> StaticString, _ object: @autoclosure () -> String = "", _ body: () -> T
  ) throws(SyscallError) -> T {
    while true {
      let result = body()
      if result >= 0 { return result }
      let error = Errno.current
      if error == .interrupted { continue }
      throw SyscallError("\(call())", object(), error)
    }
  }
}
