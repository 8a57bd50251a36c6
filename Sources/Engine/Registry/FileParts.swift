import Errdefs
import Kernel
import NIOCore
import NIOPosix

/// A part of a file as the body of an upload, read on threads that may wait for the disk.
struct FileParts: AsyncSequence, Sendable {
  let file: SharedDescriptor
  let offset: Int64
  let length: Int64
  let tell: @Sendable (Int64) -> Void

  static let step: Int64 = 256 << 10

  struct AsyncIterator: AsyncIteratorProtocol {
    let parts: FileParts
    var position: Int64 = 0

    mutating func next() async throws -> ByteBuffer? {
      guard position < parts.length else { return nil }
      parts.tell(position)
      let (file, start, wanted) = (
        parts.file, parts.offset + position, Int(Swift.min(FileParts.step, parts.length - position))
      )
      let bytes = try await NIOThreadPool.singleton.runIfActive {
        try [UInt8](unsafeUninitializedCapacity: wanted) { buffer, count in
          count = try Sys.pread(file.raw, UnsafeMutableRawBufferPointer(buffer), at: start)
        }
      }
      guard !bytes.isEmpty else { throw EngineError.system("content ends before its end") }
      position += Int64(bytes.count)
      return ByteBuffer(bytes: bytes)
    }
  }

  func makeAsyncIterator() -> AsyncIterator { AsyncIterator(parts: self) }
}
