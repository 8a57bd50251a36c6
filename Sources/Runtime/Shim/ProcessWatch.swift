import ContainerRuntime
import Kernel

/// Waits for the end of a process and reaps it.
final class ProcessWatch: Source {
  let process: ContainerProcess
  private let onExit: (Sys.Exit) -> Void

  init(_ loop: EventLoop, _ process: ContainerProcess, _ onExit: @escaping (Sys.Exit) -> Void) {
    self.process = process
    self.onExit = onExit
    super.init(loop, fd: process.pidfd.raw, owned: false)
    watch(Self.readable)
  }

  override func ready(_ events: UInt32) {
    do throws(SyscallError) {
      guard let exit = try process.wait(nonBlocking: true) else { return }
      close()
      onExit(exit)
    } catch {
      // Not our child any more: it can't be waited for, and its status is lost.
      Complaint.tell("\(error)")
      close()
      onExit(.signaled(9))
    }
  }
}
