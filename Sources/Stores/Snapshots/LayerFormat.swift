/// How a layer lies on the disk; those of one data root may differ.
public enum LayerFormat: String, Sendable, CaseIterable {
  /// An unpacked tree.
  case directory
  /// The layer's tar with an index over it, which the kernel mounts (Linux 6.12).
  case erofs
}
