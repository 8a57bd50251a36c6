public import OCI

/// One member of a tar archive, its extended headers applied.
public struct TarEntry: Sendable {
  public enum Kind: Sendable, Equatable {
    case file
    /// To a member named by `linkName`.
    case hardLink
    /// Its text is `linkName`.
    case symbolicLink
    case characterDevice
    case blockDevice
    case directory
    case fifo
  }

  /// A run of data in a sparse file.
  public struct Segment: Sendable, Equatable {
    public var offset: Int64
    public var length: Int64

    public init(offset: Int64, length: Int64) {
      self.offset = offset
      self.length = length
    }
  }

  /// Raw bytes as the archive has them, without NUL.
  public var name: [UInt8] = []
  public var linkName: [UInt8] = []
  public var kind: Kind = .file
  /// Permission, set-id and sticky bits.
  public var mode: UInt32 = 0
  public var uid: UInt32 = 0
  public var gid: UInt32 = 0
  /// Bytes of the file as it will be, holes included.
  public var size: Int64 = 0
  public var modified = Timestamp(seconds: 0)
  public var deviceMajor: UInt32 = 0
  public var deviceMinor: UInt32 = 0
  /// Extended attributes, names and values raw, sorted by name.
  public var attributes: [(name: [UInt8], value: [UInt8])] = []
  /// Where the archive's bytes belong, in order and without overlap; `nil`: the file is its bytes.
  public var segments: [Segment]?
  /// Bytes of this member in the archive that `TarReader` hands out.
  public internal(set) var dataSize: Int64 = 0

  public init() {}

  /// The name for a message: invalid UTF-8 and control characters made visible, long ones cut.
  public var printableName: String { Self.printable(name) }

  public static func printable(_ bytes: some Collection<UInt8>) -> String {
    var text = ""
    for scalar in String(decoding: bytes.prefix(512), as: UTF8.self).unicodeScalars {
      if scalar.value < 0x20 || scalar.value == 0x7F {
        text += "\\x" + (scalar.value < 16 ? "0" : "") + String(scalar.value, radix: 16)
      } else {
        text.unicodeScalars.append(scalar)
      }
    }
    return bytes.count > 512 ? text + "…" : text
  }
}
