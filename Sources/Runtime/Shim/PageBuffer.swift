import CLinux
import Kernel

/// A buffer of anonymous pages: they exist only once they are written, and can be given back to the kernel.
final class PageBuffer {
  let bytes: UnsafeMutableRawBufferPointer
  /// How far it has been written since the last `giveBack`.
  var used = 0

  init(capacity: Int) throws(SyscallError) {
    let pages = mmap(nil, capacity, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)
    guard let pages, Int(bitPattern: pages) != -1 else { throw SyscallError("mmap", "\(capacity) bytes", .current) }
    bytes = UnsafeMutableRawBufferPointer(start: pages, count: capacity)
  }

  deinit { munmap(bytes.baseAddress, bytes.count) }

  /// Drops the pages; the next bytes read from it are 0.
  func giveBack() {
    guard used > 0 else { return }
    used = 0
    // MADV_DONTNEED on a private anonymous mapping can't fail.
    madvise(bytes.baseAddress, bytes.count, Int32(MADV_DONTNEED))
  }
}
