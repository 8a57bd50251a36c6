/// An Ethernet address of six bytes.
public struct HardwareAddress: Sendable, Hashable, CustomStringConvertible {
  public let bytes: [UInt8]

  /// nil unless there are six bytes.
  public init?(bytes: some Collection<UInt8>) {
    guard bytes.count == 6 else { return nil }
    self.bytes = Array(bytes)
  }

  /// `02:42:ac:11:00:02`, also with hyphens.
  public init?(_ text: String) {
    let parts = text.split(omittingEmptySubsequences: false) { $0 == ":" || $0 == "-" }
    let bytes = parts.compactMap { $0.utf8.count == 2 ? UInt8($0, radix: 16) : nil }
    guard parts.count == 6, bytes.count == 6 else { return nil }
    self.bytes = bytes
  }

  /// Locally administered, made from an IPv4 address as Docker makes it: `02:42:` and the address.
  public init(for address: IPv4Address) { bytes = [0x02, 0x42] + address.bytes }

  /// A group address can't be an interface's own.
  public var isMulticast: Bool { bytes[0] & 1 == 1 }

  public var description: String {
    bytes.map { byte in
      let digits = String(byte, radix: 16)
      return digits.utf8.count == 1 ? "0" + digits : digits
    }.joined(separator: ":")
  }
}
