import CLinux
import Cgroups
import ContainerRuntime
import Kernel
import OCI

/// A shim before it has a container: it waits for its plan, and makes ready what any plan will need.
///
/// The daemon keeps some waiting, so that a start waits for neither process nor cgroup. One whose daemon dies ends, and takes
/// what it made along; what one leaves that was killed, `CgroupPool.sweep` finds by its pid.
struct Opening {
  var groups: CgroupPool?
  private let buffer: PageBuffer

  /// Where the daemon has its groups; nil before it said so.
  private var parent: Cgroup?

  init(_ loop: EventLoop) { buffer = loop.buffer }

  struct Launch {
    let directory: String
    let plan: LaunchPlan
    let root: SharedDescriptor?
  }

  /// The container to be; nil when the daemon has gone, or let go of this shim.
  mutating func await(_ control: Int32) throws(SyscallError) -> Launch? {
    var isQuiet = false
    while true {
      guard try Sys.poll(control, Int16(POLLIN), timeout: isQuiet ? -1 : Self.quiet) != 0 else {
        isQuiet = true
        giveBackMemory()
        continue
      }
      isQuiet = false
      let received: ShimProtocol.Received?
      do throws(SyscallError) { received = try ShimProtocol.receive(control, through: buffer.bytes) } catch {
        switch error.errno {
        case .wouldBlock: continue
        case .connectionReset: return nil
        default: throw error
        }
      }
      guard let received else { return nil }
      buffer.used = max(buffer.used, min(received.message.count, buffer.bytes.count))
      let message: ShimProtocol.Opening
      do throws(JSONError) { message = try ShimProtocol.Opening(decoding: received.message) } catch {
        Complaint.tell("opening: \(error)")
        throw SyscallError("recvmsg", "opening", Errno(rawValue: EBADMSG))
      }
      switch message {
      case .launch(let directory, let plan):
        return Launch(directory: directory, plan: plan, root: received.descriptors.first)
      case .namespaces(let users, let groups, let network):
        try Self.answer(users, groups, network, joining: received.descriptors.first, on: control)
      case .ahead(let parent, let layout, _):
        // Its plan has been read, that it is quicker the next time, and can be forgotten.
        var pool = groups ?? CgroupPool(parent: parent, layout: layout, owner: getpid())
        // Without one the launch makes its group itself, and tells what is wrong.
        do throws(CgroupError) { try pool.fill(to: 1) } catch { Complaint.tell("\(error)") }
        groups = pool
        self.parent = try? Cgroup(path: parent, layout: layout)
      }
    }
  }

  private static func answer(
    _ users: [RuntimeSpec.IDMapping], _ groups: [RuntimeSpec.IDMapping], _ network: Bool, joining: SharedDescriptor?,
    on control: Int32
  ) throws(SyscallError) {
    do throws(SyscallError) {
      let made = try ContainerRuntime.makeNamespaces(users, groups, joining: joining, network: network)
      let descriptors = [made.user.raw] + (made.network.map { [$0.raw] } ?? [])
      try ShimProtocol.send(Array("ok".utf8), descriptors: descriptors, on: control)
    } catch {
      try ShimProtocol.send(Array("error: \(error)".utf8), on: control)
    }
  }

  /// Milliseconds without a message after which no container is expected any more: what the start of a process and the reading of a
  /// sample plan touched (1.2 MB) goes back, and a launch faults in again what it needs.
  private static let quiet: Int32 = 2000

  private func giveBackMemory() {
    buffer.giveBack()
    malloc_trim(0)
    cl_give_back_stack()
    cl_give_back_code()
  }

  /// Removes groups that weren't used. One that was is absent under its old name, which is as good.
  mutating func drain() {
    do throws(CgroupError) { try groups?.drain() } catch { Complaint.tell("\(error)") }
    groups = nil
  }

  /// For a shim that was never given a container: the daemon has gone, or lets go of it because it goes. The last one out takes the
  /// groups' parent along.
  mutating func leave() {
    drain()
    parent?.removeIfUnused()
  }

  /// Shows the run directory among the process's arguments, where there was a placeholder of the same length.
  static func show(_ directory: String) {
    guard CommandLine.argc == 2, let argument = CommandLine.unsafeArgv[1] else { return }
    let length = strlen(argument)
    let bytes = Array(directory.utf8)
    guard bytes.count == length else { return }
    for (index, byte) in bytes.enumerated() { argument[index] = CChar(bitPattern: byte) }
  }
}
