import Kernel

/// Layers upon one another become one tree, as overlayfs would show them: what a later layer has hides what lies below, directories
/// merge, whiteouts and opaque directories do their work and vanish.
extension LayerTree {
  /// The tree of layers' indexes, bottom first. `devices`: how many each of them has.
  public static func merging(_ indexes: [[UInt8]], devices: [Int]) throws -> LayerTree {
    let merged = LayerTree()
    var firstDevice = 1
    for (index, count) in zip(indexes, devices) {
      try merged.lay(try reading(index: index, firstDevice: firstDevice))
      firstDevice += count
    }
    return merged
  }

  /// Lays another tree over this one.
  func lay(_ upper: LayerTree) throws {
    var copies: [Int32: Int32] = [:]
    try copyMetadata(of: upper.inodes[0], in: upper, to: 0)
    var pending: [(lower: Int32, upper: Int32)] = [(0, 0)]
    while let pair = pending.popLast() {
      for entry in upper.sortedEntries(of: pair.upper) {
        try upper.withName(entry) { name in
          let inode = upper.inodes[Int(entry.inode)]
          if inode.isWhiteout { return try set(pair.lower, name, to: -1) }
          guard inode.isDirectory else {
            let copy = try copies[entry.inode] ?? add(copy(of: inode, in: upper))
            copies[entry.inode] = copy
            return try set(pair.lower, name, to: copy)
          }
          pending.append((try directory(name, in: pair.lower, under: inode, of: upper), entry.inode))
        }
      }
    }
  }

  /// The directory that a directory above merges into: the one that is there, unless it is hidden.
  private func directory(
    _ name: UnsafeRawBufferPointer, in parent: Int32, under inode: Inode, of upper: LayerTree
  ) throws -> Int32 {
    if let existing = lookup(parent, name), inodes[Int(existing)].isDirectory,
      !upper.attributes(of: inode).contains(.opaque)
    {
      try copyMetadata(of: inode, in: upper, to: existing)
      return existing
    }
    var new = Inode(mode: inode.mode)
    new.parent = parent
    let index = try add(new)
    try copyMetadata(of: inode, in: upper, to: index)
    try set(parent, name, to: index)
    return index
  }

  private func copyMetadata(of inode: Inode, in upper: LayerTree, to index: Int32) throws {
    let reference = try add(attributes: upper.attributes(of: inode).filter { $0 != .opaque })
    update(index) { own in
      own.mode = inode.mode
      own.uid = inode.uid
      own.gid = inode.gid
      own.seconds = inode.seconds
      own.nanoseconds = inode.nanoseconds
      own.attributes = reference
    }
  }

  private func copy(of inode: Inode, in upper: LayerTree) throws -> Inode {
    var copy = inode
    copy.attributes = try add(attributes: upper.attributes(of: inode))
    if inode.payload >= 0 {
      copy.payload =
        inode.type == .symbolicLink
        ? try add(text: upper.texts[Int(inode.payload)]) : try add(map: upper.maps[Int(inode.payload)])
    }
    return copy
  }
}
