import CLinux
import Kernel

/// The files of one log: `path` is being written, `path.1` came before it, and so on.
struct LogFiles: Sendable {
  let path: String

  /// One of them, opened.
  struct Entry: Sendable {
    let file: SharedDescriptor
    let inode: UInt64
  }

  /// All that are there, oldest first; a file that is rotated meanwhile isn't opened twice.
  func open() throws(SyscallError) -> [Entry] {
    var result: [Entry] = []
    var index = 0
    while index < 1000 {
      let name = index == 0 ? path : "\(path).\(index)"
      do throws(SyscallError) {
        let file = SharedDescriptor(try Sys.open(name))
        let inode = UInt64(try Sys.fstat(file.raw).st_ino)
        if !result.contains(where: { $0.inode == inode }) { result.append(Entry(file: file, inode: inode)) }
      } catch  where error.errno == .noSuchFile {
        // The file that is written may be missing for the moment of a rotation.
        if index > 0 { break }
      }
      index += 1
    }
    return result.reversed()
  }

  /// Where the last `count` lines begin: the entry and the offset in it. Reads backwards, only what is needed.
  static func tail(_ entries: [Entry], _ count: Int) throws(SyscallError) -> (index: Int, offset: Int64) {
    var last: Int64 = 0
    if let entry = entries.last { last = try size(entry) }
    guard count > 0 else { return (max(0, entries.count - 1), last) }
    var missing = count
    for index in entries.indices.reversed() {
      let size = try size(entries[index])
      var end = size
      while end > 0 {
        let start = max(0, end - blockSize)
        let block = try read(entries[index], at: start, count: Int(end - start))
        for position in block.indices.reversed() where block[position] == UInt8(ascii: "\n") {
          // The line feed at the very end ends the last line and begins none.
          if start + Int64(position) + 1 == size { continue }
          missing -= 1
          if missing == 0 { return (index, start + Int64(position) + 1) }
        }
        end = start
      }
      if size > 0 {
        missing -= 1
        if missing == 0 { return (index, 0) }
      }
    }
    return (0, 0)
  }

  static let blockSize: Int64 = 64 << 10

  private static func size(_ entry: Entry) throws(SyscallError) -> Int64 {
    Int64(try Sys.fstat(entry.file.raw).st_size)
  }

  /// At most `count` bytes; fewer at the end.
  static func read(_ entry: Entry, at offset: Int64, count: Int) throws(SyscallError) -> [UInt8] {
    var failure: SyscallError?
    let bytes = [UInt8](unsafeUninitializedCapacity: count) { buffer, length in
      length = 0
      do throws(SyscallError) {
        while length < count {
          let part = UnsafeMutableRawBufferPointer(rebasing: UnsafeMutableRawBufferPointer(buffer)[length..<count])
          let got = try Sys.pread(entry.file.raw, part, at: offset + Int64(length))
          if got == 0 { break }
          length += got
        }
      } catch { failure = error }
    }
    if let failure { throw failure }
    return bytes
  }
}
