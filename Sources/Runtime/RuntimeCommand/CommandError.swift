import Cgroups
import ContainerRuntime
import Kernel
import OCI

/// Why a command failed, in words that engines look for.
struct CommandError: Error {
  let message: String
  /// `nil`: what the command has for failures.
  let status: Int32?

  init(_ message: String, status: Int32? = nil) {
    self.message = message
    self.status = status
  }

  init(_ error: SyscallError, doing action: String? = nil) {
    self.init(action.map { "\($0): \(error)" } ?? "\(error)")
  }

  init(_ error: CgroupError) { self.init((error.field.map { "linux.resources.\($0): " } ?? "") + "\(error)") }

  init(_ error: JSONError, in file: String) { self.init("\(file): \(error)") }
}

/// Runs a body whose failures are the kernel's.
@discardableResult
func attempt<T: ~Copyable>(_ action: @autoclosure () -> String, _ body: () throws(SyscallError) -> T)
  throws(CommandError) -> T
{
  do throws(SyscallError) { return try body() } catch { throw CommandError(error, doing: action()) }
}

/// Runs a body whose failures are a cgroup's.
@discardableResult
func attemptCgroup<T>(_ body: () throws(CgroupError) -> T) throws(CommandError) -> T {
  do throws(CgroupError) { return try body() } catch { throw CommandError(error) }
}
