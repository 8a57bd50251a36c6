public import Archive
import CLinux
import Errdefs
import Kernel
import Rootfs
import Synchronization

extension Volumes {
  /// What goes out of a volume.
  public enum Compression: String, Sendable {
    case none = ""
    case zstd
  }

  /// Writes a volume's content as a tar, its own directory as `./`, from a thread that may block. The volume is there at the call, or it
  /// throws.
  public func export(
    _ reference: String, compression: Compression = .none
  ) throws -> @Sendable (_ sink: @escaping @Sendable (UnsafeRawBufferPointer) throws -> Void) async throws -> Void {
    let volume = try find(reference).volume
    return { [self] sink in
      // A reader may take its time, so not in the volume's queue.
      try await using([volume.id]) { places in
        let place = try Self.place(of: volume, in: places)
        try await blocking {
          let top = SharedDescriptor(try Sys.open(place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW))
          let buffered = BufferedSink(sink)
          let packed = compression == .zstd ? try ZstdSink { try buffered.write($0) } : nil
          let writer = TarWriter { bytes in
            if let packed { try packed.write(bytes) } else { try buffered.write(bytes) }
          }
          try TreePacker(writer).add(top, path: [], as: Array("./".utf8))
          try writer.finish()
          try packed?.finish()
          try buffered.flush()
        }
      }
    }
  }

  /// A new volume with the content of a tar (plain, gzip or zstd): there whole, or not at all.
  public func importArchive(_ source: any ByteSource & Sendable, as name: String) async throws -> Volume {
    try await makeNew(name, like: nil) { data in
      let archive = try Decompressor(source)
      let tree = MountedTree(root: try Sys.open(data, O_PATH | O_DIRECTORY | O_NOFOLLOW))
      let top = try tree.find("/", followingLast: true)
      let extractor = TreeExtractor(into: top, of: tree, target: name, keepsKinds: false, owner: .archive)
      extractor.takesRoot = true
      try extractor.extract(TarReader(archive))
      try archive.drain()
    }
  }
}
