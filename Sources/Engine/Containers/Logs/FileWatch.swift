import CLinux
import Dispatch
import Kernel
import Synchronization

/// Tells when files below a directory change: one inotify(7) instance for all followers of logs, read by one dispatch source.
///
/// Must not: read the files, or hold its lock while it wakes anybody.
final class FileWatch: Sendable {
  private struct State {
    /// By watch descriptor: who is to be woken.
    var followers: [Int32: [UInt64: AsyncStream<Void>.Continuation]] = [:]
    var next: UInt64 = 0
  }

  private let inotify: SharedDescriptor
  // SAFETY: it is resumed before init ends and cancelled in deinit, nothing else touches it.
  private nonisolated(unsafe) let source: any DispatchSourceRead  // SAFETY: see above
  private let state = Mutex(State())

  init() throws(SyscallError) {
    let descriptor = SharedDescriptor(try Sys.inotify())
    inotify = descriptor
    source = DispatchSource.makeReadSource(
      fileDescriptor: descriptor.raw, queue: DispatchQueue(label: "log watch", qos: .userInitiated))
    source.setEventHandler { [weak self] in self?.drain() }
    source.setCancelHandler { _ = descriptor }
    source.resume()
  }

  deinit { source.cancel() }

  /// Wakes whenever something below `directory` was written, made or renamed; wakes that nobody took are one.
  func changes(in directory: String) throws(SyscallError) -> AsyncStream<Void> {
    let (stream, continuation) = AsyncStream.makeStream(of: Void.self, bufferingPolicy: .bufferingNewest(1))
    let mask = UInt32(IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE)
    let result: Result<(Int32, UInt64), SyscallError> = state.withLock { state in
      do throws(SyscallError) {
        // The same directory gives the same watch.
        let watch = try Sys.inotifyAdd(inotify.raw, directory, mask)
        let id = state.next
        state.next &+= 1
        state.followers[watch, default: [:]][id] = continuation
        return .success((watch, id))
      } catch { return .failure(error) }
    }
    let (watch, id) = try result.get()
    continuation.onTermination = { [weak self] _ in self?.forget(watch, id) }
    return stream
  }

  private func forget(_ watch: Int32, _ id: UInt64) {
    state.withLock { state in
      state.followers[watch]?[id] = nil
      guard state.followers[watch]?.isEmpty == true else { return }
      state.followers[watch] = nil
      _ = inotify_rm_watch(inotify.raw, watch)
    }
  }

  private func drain() {
    var changed: Set<Int32> = []
    var gone: Set<Int32> = []
    withUnsafeTemporaryAllocation(byteCount: 16 << 10, alignment: 8) { buffer in
      while let count = try? Sys.read(inotify.raw, buffer), count > 0 {
        var offset = 0
        let header = MemoryLayout<inotify_event>.size
        while offset + header <= count {
          let event = buffer.loadUnaligned(fromByteOffset: offset, as: inotify_event.self)
          changed.insert(event.wd)
          if event.mask & UInt32(IN_IGNORED) != 0 { gone.insert(event.wd) }
          offset += header + Int(event.len)
        }
      }
    }
    let woken = state.withLock { state in
      let continuations = changed.flatMap { state.followers[$0].map { Array($0.values) } ?? [] }
      for watch in gone { state.followers[watch] = nil }
      return continuations
    }
    for continuation in woken { continuation.yield() }
  }
}
