import Dispatch
public import Kernel
import Synchronization

/// Pulls from another source on a thread of its own, a few buffers ahead: inflating and hashing go on while files are written.
///
/// The other source is touched by that thread alone until the end, or an error, has been read from here; then it is the caller's again.
/// Dropped early, it waits for the read that is under way: not for sources that may stall.
public final class ReadAhead: ByteSource {
  private let shared: Shared
  private var thread: Thread?
  private var current: Buffer?
  private var position = 0
  private var isAtEnd = false

  private struct Buffer {
    let bytes: UnsafeMutableRawBufferPointer
    var count = 0
  }

  /// What both threads see. A buffer belongs to whoever took it out of its list.
  private final class Shared: @unchecked Sendable {  // SAFETY: `source` is the thread's alone, the rest can be shared
    let source: any ByteSource
    let free: DispatchSemaphore
    let filled = DispatchSemaphore(value: 0)
    let state: Mutex<State>
    let memory: [UnsafeMutableRawBufferPointer]

    struct State: @unchecked Sendable {  // SAFETY: the pointers are into `memory`, which outlives them
      var free: [Buffer]
      var filled: [Buffer] = []
      var error: (any Error)?
      var isStopped = false
    }

    init(_ source: any ByteSource, buffers: Int, size: Int) {
      self.source = source
      free = DispatchSemaphore(value: 0)
      memory = (0..<buffers).map { _ in .allocate(byteCount: size, alignment: 4096) }
      state = Mutex(State(free: memory.map { Buffer(bytes: $0) }))
      // Raised, not made with the count: a semaphore may not go below what it was made with.
      for _ in 0..<buffers { free.signal() }
    }

    deinit { for buffer in memory { buffer.deallocate() } }

    func run() {
      while true {
        free.wait()
        let taken = state.withLock { state -> Buffer? in state.isStopped ? nil : state.free.popLast() }
        guard var buffer = taken else { return }
        var failure: (any Error)?
        buffer.count = 0
        do {
          while buffer.count < buffer.bytes.count {
            let read = try source.read(into: UnsafeMutableRawBufferPointer(rebasing: buffer.bytes[buffer.count...]))
            if read == 0 { break }
            buffer.count += read
          }
        } catch { failure = error }
        let isLast = failure != nil || buffer.count < buffer.bytes.count
        state.withLock { state in
          state.filled.append(buffer)
          state.error = failure
        }
        filled.signal()
        if isLast { return }
      }
    }
  }

  public init(_ source: any ByteSource, buffers: Int = 4, size: Int = 1 << 20) throws(SyscallError) {
    shared = Shared(source, buffers: max(2, buffers), size: max(512, size))
    thread = try Thread(name: "read-ahead") { [shared] in shared.run() }
  }

  deinit {
    shared.state.withLock { $0.isStopped = true }
    shared.free.signal()
    if let thread = thread.take() { thread.join() }
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    while true {
      if let current, position < current.count {
        let count = min(buffer.count, current.count - position)
        buffer.copyMemory(from: UnsafeRawBufferPointer(rebasing: current.bytes[position..<position + count]))
        position += count
        return count
      }
      if isAtEnd {
        // The bytes before an error were good; it is told when they have been read.
        if let error = shared.state.withLock({ $0.error }) { throw error }
        return 0
      }
      try next()
    }
  }

  /// Gives the read buffer back and waits for another.
  private func next() throws {
    if let current {
      if current.count < current.bytes.count {
        isAtEnd = true
        return
      }
      shared.state.withLock { $0.free.append(current) }
      self.current = nil
      shared.free.signal()
    }
    shared.filled.wait()
    current = shared.state.withLock { $0.filled.removeFirst() }
    position = 0
  }
}
