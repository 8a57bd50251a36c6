/// The keys that leave a terminal without ending what runs in it.
///
/// Syntax as Docker's `--detach-keys` (github.com/moby/term, ascii.go): keys joined by commas, each a single byte,
/// `DEL`, or `ctrl-` with `@`, `a` to `z`, `[`, `\`, `]`, `^` or `_`.
public struct DetachKeys: Sendable, Equatable {
  /// What the terminal sends for them; never empty.
  public let bytes: [UInt8]

  /// `ctrl-p,ctrl-q`
  public static let standard = DetachKeys(bytes: [16, 17])

  private init(bytes: [UInt8]) { self.bytes = bytes }

  /// Bytes as they come over the wire; nil when there are none.
  public init?(raw bytes: [UInt8]) {
    guard !bytes.isEmpty else { return nil }
    self.bytes = bytes
  }

  /// A part of a list of keys that is no key.
  public struct UnknownKey: Error, Sendable, Equatable, CustomStringConvertible {
    public let key: String
    public init(key: String) { self.key = key }
    /// Docker's words.
    public var description: String { "Unknown character: '\(key)'" }
  }

  /// Reads a list of keys. The empty text is `standard`.
  public init(_ text: String) throws(UnknownKey) {
    guard !text.isEmpty else {
      self = .standard
      return
    }
    var bytes: [UInt8] = []
    for key in text.split(separator: ",", omittingEmptySubsequences: false) {
      guard let byte = Self.byte(of: key.utf8) else { throw UnknownKey(key: String(key)) }
      bytes.append(byte)
    }
    self.bytes = bytes
  }

  private static func byte(of key: Substring.UTF8View) -> UInt8? {
    if key.count == 1 { return key.first }
    if key.elementsEqual("DEL".utf8) { return 127 }
    guard key.count == 6, key.starts(with: "ctrl-".utf8), let letter = key.last else { return nil }
    switch letter {
    case UInt8(ascii: "a")...UInt8(ascii: "z"): return letter - UInt8(ascii: "a") + 1
    case UInt8(ascii: "@"), UInt8(ascii: "[")...UInt8(ascii: "_"): return letter - UInt8(ascii: "@")
    default: return nil
    }
  }
}

/// Looks for detach keys in what is typed. Bytes that may be the beginning of the keys are held back until it is known.
public struct DetachKeyMatcher: Sendable {
  private let keys: [UInt8]
  private var matched = 0

  public init(_ keys: DetachKeys) { self.keys = keys.bytes }

  /// Takes what was typed. Answers what is to be passed on; true when the keys were found, and what follows them is
  /// dropped.
  public mutating func pass(_ typed: UnsafeRawBufferPointer) -> (passed: [UInt8], detached: Bool) {
    var passed: [UInt8] = []
    passed.reserveCapacity(matched + typed.count)
    for byte in typed {
      if byte == keys[matched] {
        matched += 1
        if matched == keys.count {
          matched = 0
          return (passed, true)
        }
        continue
      }
      // The held bytes and this one: the longest end of them that may still begin the keys stays held.
      let held = keys[..<matched] + [byte]
      matched = 0
      for length in stride(from: held.count - 1, to: 0, by: -1) where keys.starts(with: held.suffix(length)) {
        matched = length
        break
      }
      passed += held.dropLast(matched)
    }
    return (passed, false)
  }
}
