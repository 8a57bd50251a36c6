import CLinux
public import Kernel

/// The times at which the init stage came to its steps, in memory that parent and child share.
public struct StepTrace {
  private let times: UnsafeMutablePointer<UInt64>

  public init() throws(SyscallError) {
    let size = 4096
    guard let memory = mmap(nil, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0),
      Int(bitPattern: memory) != -1
    else {
      throw SyscallError("mmap", "\(size)", .current)
    }
    times = memory.bindMemory(to: UInt64.self, capacity: size / 8)
  }

  func mark(_ step: Stage.Step) {
    guard let index = Stage.Step.allCases.firstIndex(of: step) else { return }
    times[index] = Sys.monotonicNanoseconds()
  }

  /// The steps with the monotonic nanosecond at which each began; those not come to are left out.
  public var steps: [(name: String, at: UInt64)] {
    Stage.Step.allCases.enumerated().compactMap {
      times[$0.offset] == 0 ? nil : ($0.element.rawValue, times[$0.offset])
    }
  }

  public func clear() { for index in Stage.Step.allCases.indices { times[index] = 0 } }
}
