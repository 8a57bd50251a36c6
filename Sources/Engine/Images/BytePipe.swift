import Archive
import Dispatch
import NIOCore
import Synchronization

/// Bytes from a task, which waits without a thread, to a thread that reads them. At most `capacity` bytes lie between, but for one part.
///
/// States: open → `finish` or `fail` → ended; `abandon` by the reader makes writes throw.
final class BytePipe: ByteSource, Sendable {
  private struct State {
    var parts = CircularBuffer<ByteBuffer>()
    var bytes = 0
    var isEnded = false
    var isAbandoned = false
    var error: (any Error)?
    var writer: CheckedContinuation<Void, any Error>?
  }

  struct Abandoned: Error {}

  private let state = Mutex(State())
  /// Raised for every part and for the end.
  private let filled = DispatchSemaphore(value: 0)
  private let capacity: Int

  init(capacity: Int = 8 << 20) { self.capacity = capacity }

  /// Returns when there is room for more. Throws `Abandoned` when nobody reads any more.
  func write(_ bytes: ByteBuffer) async throws {
    guard bytes.readableBytes > 0 else { return }
    try await withCheckedThrowingContinuation { continuation in
      let answer = state.withLock { state -> Result<Void, any Error>? in
        guard !state.isAbandoned else { return .failure(Abandoned()) }
        state.parts.append(bytes)
        state.bytes += bytes.readableBytes
        if state.bytes < capacity { return .success(()) }
        state.writer = continuation
        return nil
      }
      filled.signal()
      if let answer { continuation.resume(with: answer) }
    }
  }

  /// No more will come; an error is what the reader gets at the end.
  func finish(_ error: (any Error)? = nil) {
    state.withLock { state in
      state.isEnded = true
      state.error = state.error ?? error
    }
    filled.signal()
  }

  /// Nobody reads any more.
  func abandon() {
    let writer = state.withLock { state in
      state.isAbandoned = true
      state.isEnded = true
      state.error = state.error ?? Abandoned()
      state.parts.removeAll()
      state.bytes = 0
      return state.writer.take()
    }
    // A reader may wait on a thread of its own.
    filled.signal()
    writer?.resume(throwing: Abandoned())
  }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    filled.wait()
    // Whatever is left is told again, for the next read.
    defer { filled.signal() }
    while true {
      let (count, writer, isEnded, error) = state.withLock { state in take(&state, into: buffer) }
      writer?.resume()
      if count > 0 { return count }
      if let error { throw error }
      if isEnded { return 0 }
      filled.wait()
    }
  }

  private func take(_ state: inout State, into buffer: UnsafeMutableRawBufferPointer) -> (
    Int, CheckedContinuation<Void, any Error>?, Bool, (any Error)?
  ) {
    var count = 0
    while count < buffer.count, !state.parts.isEmpty {
      let first = state.parts.startIndex
      let wanted = min(buffer.count - count, state.parts[first].readableBytes)
      state.parts[first].readWithUnsafeReadableBytes { bytes in
        UnsafeMutableRawBufferPointer(rebasing: buffer[count...]).copyMemory(
          from: UnsafeRawBufferPointer(rebasing: bytes[..<wanted]))
        return wanted
      }
      count += wanted
      if state.parts[first].readableBytes == 0 { state.parts.removeFirst() }
    }
    state.bytes -= count
    let writer = state.bytes < capacity ? state.writer.take() : nil
    return (count, writer, state.isEnded, state.parts.isEmpty ? state.error : nil)
  }
}
