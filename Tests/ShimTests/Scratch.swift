import Kernel
import Testing

/// A directory of a test's own, removed with this object.
final class Scratch: Sendable {
  let path: String

  init() {
    path = "/tmp/berth-shim-test-" + Sys.random(6).map { String($0, radix: 16) }.joined()
    // SAFETY: a test can't go on without its directory
    try! Sys.mkdirAll(path)
  }

  deinit {
    do throws(SyscallError) { try Sys.removeTree(path) } catch { Issue.record("\(error)") }
  }
}
