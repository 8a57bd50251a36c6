import CLinux
import struct Crypto.SHA256
public import Errdefs
import Kernel
public import OCI

/// What is wrong with a blob on the disk.
public enum ContentFault: Sendable, Equatable {
  case missing
  /// What it hashes to.
  case damaged(Digest)
}

extension ContentStore {
  /// Reads the whole blob and hashes it; nil when it is what its name says. Blocks.
  public func verify(_ digest: Digest) throws(EngineError) -> ContentFault? {
    do throws(SyscallError) {
      let file = try Sys.open(path(digest), O_RDONLY | O_NOFOLLOW)
      var hasher = SHA256()
      let chunk = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 20, alignment: 4096)
      defer { chunk.deallocate() }
      var offset: Int64 = 0
      while true {
        let count = try Sys.pread(file.raw, chunk, at: offset)
        if count == 0 { break }
        hasher.update(bufferPointer: UnsafeRawBufferPointer(rebasing: chunk[..<count]))
        offset += Int64(count)
      }
      guard let found = Digest(sha256: Array(hasher.finalize())) else { preconditionFailure("SHA-256 has 32 bytes") }
      return found == digest ? nil : .damaged(found)
    } catch {
      if error.errno == .noSuchFile { return .missing }
      throw .system("read content \(digest): \(error)", cause: error)
    }
  }

  /// All blobs that have a name. Blocks.
  public func digests() throws(EngineError) -> [Digest] {
    do throws(SyscallError) {
      let directory = try Sys.open(blobs, O_RDONLY | O_DIRECTORY)
      return try Sys.entries(directory.raw).compactMap { Digest(hex: $0.name) }.sorted()
    } catch { throw .system("list the content store: \(error)", cause: error) }
  }

  /// Takes a blob that isn't what its name says out of everybody's sight, for whoever wants to know what became of it: nothing is deleted.
  /// Answers where it lies now. Absent is success. Blocks.
  @discardableResult
  public func quarantine(_ digest: Digest) throws(EngineError) -> String? {
    let target = "\(root)/quarantine/\(digest.hex)-\(Sys.realtimeNanoseconds())"
    do throws(SyscallError) {
      try Sys.mkdirAll("\(root)/quarantine", mode: 0o700)
      try Sys.rename(path(digest), to: target)
    } catch {
      if error.errno == .noSuchFile { return nil }
      throw .system("quarantine content \(digest): \(error)", cause: error)
    }
    try syncNames()
    return target
  }
}
