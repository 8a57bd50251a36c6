import CLinux
import Kernel

/// How layers and overlayfs mark what is gone.
public enum Whiteout {
  /// `.wh.`
  public static let prefix: [CChar] = [0x2E, 0x77, 0x68, 0x2E]
  /// `.wh..wh.`: aufs' own; all but the opaque mark mean nothing here.
  public static let metadataPrefix: [CChar] = prefix + prefix
  /// `.wh..wh..opq`
  public static let opaque: [CChar] = metadataPrefix + [0x2E, 0x6F, 0x70, 0x71, 0]

  private static let opaqueAttribute = Array("trusted.overlay.opaque".utf8CString)

  static func isWhiteout(_ status: stat) -> Bool { status.fileType == .characterDevice && status.st_rdev == 0 }

  /// `descriptor`: O_PATH will do.
  static func isOpaque(_ descriptor: Int32) throws(SyscallError) -> Bool {
    try Sys.attribute(at: descriptor, of: nil, name: opaqueAttribute) == [UInt8(ascii: "y")]
  }

  static func setOpaque(_ parent: Int32, _ name: [CChar]) throws(SyscallError) {
    try Sys.setAttribute(at: parent, of: name, name: Self.opaqueAttribute, value: [UInt8(ascii: "y")])
  }
}

extension LayerUnpacker {
  func addWhiteout(_ name: [CChar], in parent: Int32, _ member: String) throws {
    if name == Whiteout.opaque { return try Whiteout.setOpaque(parent, [0x2E, 0]) }
    if name.starts(with: Whiteout.metadataPrefix) { return }
    let hidden = Array(name.dropFirst(Whiteout.prefix.count))
    let text = MemberPath.text(hidden)
    guard !text.isEmpty, text != ".", text != ".." else {
      throw ArchiveError(member: member, "it is a whiteout of \"\(text)\"")
    }
    do throws(SyscallError) {
      try Sys.mknod(at: parent, name: hidden, mode: FileType.characterDevice.rawValue, device: 0)
    } catch {
      guard error.errno == .fileExists else { throw error }
      let status = try Sys.status(at: parent, name: hidden)
      if status.fileType == .directory { try Whiteout.setOpaque(parent, hidden) }
    }
  }
}
