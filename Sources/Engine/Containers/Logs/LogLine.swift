import OCI

/// One line of a json-file log: `{"log":"text\n","stream":"stdout","time":"2006-01-02T15:04:05.999999999Z"}`.
struct LogLine {
  enum Stream: UInt8 {
    case stdout = 1
    case stderr = 2
  }

  var text: String
  var stream: Stream
  /// Nanoseconds since 1970.
  var time: Int64

  /// `nil` for what isn't a line of a log, e.g. one that a power cut tore.
  init?(_ bytes: UnsafeBufferPointer<UInt8>) {
    guard let json = try? JSON.parse(bytes), let text = json["log"]?.stringValue,
      let written = json["time"]?.stringValue,
      let time = TimeFilter.calendar(written)
    else { return nil }
    self.text = text
    self.stream = json["stream"]?.stringValue == "stderr" ? .stderr : .stdout
    self.time = time
  }

  /// As it goes to the client.
  func write(into output: inout [UInt8], _ options: LogOptions, framed: Bool) {
    var line: [UInt8] = []
    if options.timestamps { line += Array((DockerTime.fixed(time) + " ").utf8) }
    if options.details { line.append(UInt8(ascii: " ")) }
    line += Array(text.utf8)
    if framed {
      let length = UInt32(truncatingIfNeeded: line.count)
      output += [
        stream.rawValue, 0, 0, 0, UInt8(length >> 24), UInt8(length >> 16 & 255), UInt8(length >> 8 & 255),
        UInt8(length & 255),
      ]
    }
    output += line
  }
}
