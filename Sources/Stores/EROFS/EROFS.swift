/// Layers that need no unpacking: a tar as it is, and a small EROFS image over it that says where each file's bytes lie in there.
///
/// Owns: `LayerTree`, the inodes and names of a layer in memory, made of a tar's members with whiteouts as overlayfs wants them, or of the
/// indexes of several layers upon one another with their whiteouts resolved; `Index`, the tree's form on disk, which the kernel mounts
/// (Linux 6.12: EROFS from a file, without a loop device); `IndexedLayer`, which does the first in one pass with the writing of the tar.
///
/// An index has blocks of 512 bytes, as tar has. Every file is a chunk-based inode that points into a *device*; devices are plain files,
/// named when it is mounted, in order:
///
///     layer's index:    1 = the layer's tar   2 = `extra`, if the tar has sparse files whose runs don't begin at a block
///     image's index:    the devices of the layers, bottom first
///
/// What the format can't hold is refused or left out as on a directory tree: an attribute of a name that EROFS doesn't know is told as a
/// warning, a device number beyond 12 and 20 bits refused. A sparse file's map is bounded (`Index.chunkLimit`), as is all that a tree
/// keeps in memory (`LayerTree.inodeLimit`, `byteLimit`), since a small archive can ask for more than any image needs.
///
/// The first 1,024 bytes of an index, which EROFS leaves to others, hold its owner's record.
///
/// Nothing is synced or named here: see `Snapshotter`. All of it blocks. What a tar says is hostile; an index is our own work, yet
/// every number that is read of one is checked, since a disk may lie.
///
/// Must not: let the kernel see metadata that came from elsewhere, touch a member's path on a real file system, or know of images.
public enum EROFS {
  /// Bytes of a block, as power of two.
  static let blockBits = 9
  static let block = 512
}
