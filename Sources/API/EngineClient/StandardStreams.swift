/// Takes the frames of stdout and stderr apart: `[stream, 0, 0, 0, length as 32 bits big endian]`, then the bytes.
///
/// Fed with pieces of any size, it hands on what each holds without waiting for whole frames.
public struct StandardStreams {
  public enum Stream: UInt8, Sendable {
    case stdin = 0
    case stdout = 1
    case stderr = 2
    /// An error of the daemon's in mid-stream.
    case systemError = 3
  }

  private var header: [UInt8] = []
  private var stream = Stream.stdout
  private var left = 0
  private var systemError: [UInt8] = []

  public init() {}

  /// Throws when a frame names no stream, or when the daemon tells of an error.
  public mutating func feed(_ piece: ArraySlice<UInt8>, _ deliver: (Stream, ArraySlice<UInt8>) throws -> Void) throws {
    var rest = piece
    while !rest.isEmpty {
      if left == 0 {
        let wanted = 8 - header.count
        header += rest.prefix(wanted)
        rest = rest.dropFirst(wanted)
        guard header.count == 8 else { return }
        guard let stream = Stream(rawValue: header[0]) else {
          throw ClientError.malformed("Unrecognized input header: \(header[0])")
        }
        self.stream = stream
        left = header[4...].reduce(0) { $0 << 8 | Int($1) }
        header.removeAll(keepingCapacity: true)
        continue
      }
      let part = rest.prefix(left)
      rest = rest.dropFirst(part.count)
      left -= part.count
      if stream == .systemError {
        systemError += part
        if left == 0 {
          throw ClientError.malformed("error from daemon in stream: \(String(decoding: systemError, as: UTF8.self))")
        }
      } else {
        try deliver(stream, part)
      }
    }
  }
}
