import CLinux
public import Kernel

/// A file, pipe or socket, from where it stands to its end. Closes it.
public final class DescriptorSource: ByteSource, Sendable {
  private let descriptor: SharedDescriptor

  public init(_ descriptor: consuming Descriptor) { self.descriptor = SharedDescriptor(descriptor) }
  public init(_ descriptor: SharedDescriptor) { self.descriptor = descriptor }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int { try Sys.read(descriptor.raw, buffer) }
}

/// A part of a file, read without moving the file's own position. Doesn't own the descriptor.
public final class FileRangeSource: ByteSource {
  private let descriptor: SharedDescriptor
  private var offset: Int64
  private var left: Int64

  public init(_ descriptor: SharedDescriptor, offset: Int64 = 0, length: Int64) {
    self.descriptor = descriptor
    self.offset = offset
    left = length
  }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let wanted = Int(min(Int64(buffer.count), left))
    guard wanted > 0 else { return 0 }
    let count = try Sys.pread(descriptor.raw, UnsafeMutableRawBufferPointer(rebasing: buffer[..<wanted]), at: offset)
    guard count > 0 else { throw ArchiveError("the file ends \(left) bytes before its end") }
    offset += Int64(count)
    left -= Int64(count)
    return count
  }
}

/// Bytes in memory.
public final class MemorySource: ByteSource {
  private let bytes: [UInt8]
  private var position = 0

  public init(_ bytes: [UInt8]) { self.bytes = bytes }

  public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    let count = min(buffer.count, bytes.count - position)
    buffer.copyBytes(from: bytes[position..<position + count])
    position += count
    return count
  }
}

extension ByteSource {
  /// Reads what is left, for the sake of what it does on the way: a digest, a check.
  public func drain() throws {
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { chunk.deallocate() }
    while try read(into: chunk) > 0 {}
  }

  /// All that is left, at most `limit` bytes; more is an error.
  public func readAll(limit: Int) throws -> [UInt8] {
    var bytes: [UInt8] = []
    let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 64 << 10, alignment: 16)
    defer { chunk.deallocate() }
    while true {
      let count = try read(into: chunk)
      if count == 0 { return bytes }
      guard bytes.count + count <= limit else { throw ArchiveError("more than \(limit) bytes") }
      bytes.append(contentsOf: UnsafeRawBufferPointer(rebasing: chunk[..<count]))
    }
  }
}
