import CLinux

extension Cgroups {
  /// v1's `cpu.shares` (2…262144, default 1024) as v2's `cpu.weight` (1…10000, default 100): the curve through the three pairs that
  /// runc uses since 1.4. 0 is unset.
  public static func cpuWeight(shares: UInt64) -> UInt64 {
    switch shares {
    case 0: return 0
    case ...2: return 1
    case 262_144...: return 10000
    default:
      let log = cl_log2(Double(shares))
      let exponent = (log * log + 125 * log) / 612 - 7.0 / 34.0
      return UInt64(cl_pow(10, exponent).rounded(.up))
    }
  }

  /// v1's `blkio.weight` (10…1000) as v2's `io.weight` (1…10000), linear.
  public static func ioWeight(blkioWeight: UInt16) -> UInt64 {
    blkioWeight == 0 ? 0 : 1 + UInt64(max(blkioWeight, 10) - 10) * 9999 / 990
  }

  /// OCI's `swap` (memory and swap together) as v2's `memory.swap.max`: nil is unset, -1 unlimited. Throws the reason.
  static func swapLimit(memoryAndSwap: Int64?, memory: Int64?) throws(SwapReason) -> Int64? {
    guard let memoryAndSwap, memoryAndSwap != 0 else {
      // memory made unlimited and swap not named: both, as v1 can have no less swap than memory
      return memory == -1 ? -1 : nil
    }
    if memoryAndSwap == -1 { return -1 }
    guard let memory, memory != 0 else { throw SwapReason(text: "unable to set swap limit without memory limit") }
    if memory == -1 { return memoryAndSwap }
    guard memory > 0 else { throw SwapReason(text: "invalid memory value: \(memory)") }
    guard memoryAndSwap >= memory else { throw SwapReason(text: "memory+swap limit should be >= memory limit") }
    return memoryAndSwap - memory
  }

  struct SwapReason: Error { let text: String }

  /// A list of processors or memory nodes, `0-3,5`, as the kernel reads it; nil when it isn't one.
  public static func parseList(_ text: String) -> Set<Int>? {
    var result: Set<Int> = []
    for part in text.split(separator: ",", omittingEmptySubsequences: false) {
      let trimmed = part.split(separator: " ").joined()
      if trimmed.isEmpty { continue }
      let ends = trimmed.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
      guard let first = ends.first.flatMap({ Int($0) }), let last = ends.last.flatMap({ Int($0) }), first >= 0,
        first <= last,
        last < 65536
      else { return nil }
      result.formUnion(first...last)
    }
    return result
  }
}
