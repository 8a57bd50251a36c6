/// A content's digest, `sha256:<64 hexadecimal digits>`: checked, so that it can be part of a path (image-spec, descriptor.md).
///
/// SHA-256 alone is accepted: nothing else is in use, and a digest that can't be verified is worth nothing.
public struct Digest: Sendable, Hashable, Comparable, CustomStringConvertible {
  /// 64 lower-case hexadecimal digits.
  public let hex: String

  /// `sha256:` and the digits.
  public var description: String { "sha256:" + hex }

  /// The first twelve digits, as Docker shows identifiers.
  public var short: String { String(hex.prefix(12)) }

  /// `nil` unless it is `sha256:` and 64 lower-case hexadecimal digits.
  public init?(_ text: String) {
    guard text.hasPrefix("sha256:") else { return nil }
    self.init(hex: String(text.dropFirst(7)))
  }

  /// `nil` unless there are 64 lower-case hexadecimal digits.
  public init?(hex: String) {
    guard hex.utf8.count == 64, hex.utf8.allSatisfy(Self.isHexadecimal) else { return nil }
    self.hex = hex
  }

  /// From the 32 bytes of a SHA-256; `nil` when there are more or fewer.
  public init?(sha256 bytes: some Collection<UInt8>) {
    guard bytes.count == 32 else { return nil }
    let digits: StaticString = "0123456789abcdef"
    var text: [UInt8] = []
    text.reserveCapacity(64)
    for byte in bytes {
      text.append(digits.utf8Start[Int(byte >> 4)])
      text.append(digits.utf8Start[Int(byte & 15)])
    }
    hex = String(decoding: text, as: UTF8.self)
  }

  public static func < (a: Digest, b: Digest) -> Bool { a.hex < b.hex }

  static func isHexadecimal(_ byte: UInt8) -> Bool {
    (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
  }
}
