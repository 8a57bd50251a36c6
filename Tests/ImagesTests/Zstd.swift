import Synchronization

/// A zstd frame of raw blocks (RFC 8878): compressed in form alone.
enum Zstd {
  static func frame(_ data: [UInt8]) -> [UInt8] {
    var bytes: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0x00, 0x38]
    var rest = data[...]
    repeat {
      let part = rest.prefix(100_000)
      rest = rest.dropFirst(100_000)
      let header = part.count << 3 | (rest.isEmpty ? 1 : 0)
      bytes += [UInt8(header & 255), UInt8(header >> 8 & 255), UInt8(header >> 16 & 255)] + part
    } while !rest.isEmpty
    return bytes
  }
}

/// Bytes that another thread writes.
final class Output: Sendable {
  private let state = Mutex<[UInt8]>([])
  var bytes: [UInt8] { state.withLock { $0 } }
  func append(_ bytes: [UInt8]) { state.withLock { $0 += bytes } }
}
