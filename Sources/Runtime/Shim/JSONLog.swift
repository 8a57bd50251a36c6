import CLinux
import ContainerRuntime
import Kernel

/// Docker's json-file log: one JSON object a line, rotated by size.
///
/// Lines are those of the streams; one of more than 16 KiB becomes several records, of which only the last ends in
/// `\n`, all with the time of the first (moby, daemon/logger/copier.go). A record is written whole or not at all, and
/// never across two files: what a full disk cut off is taken back.
///
/// ```
/// <path>       the newest records
/// <path>.1     those before, and so on to <path>.<maximumFiles - 1>
/// ```
final class JSONLog {
  enum Stream: Int { case stdout, stderr }

  /// Longest piece of a line in one record.
  static let pieceLimit = 16 << 10

  /// A line that has begun.
  struct Partial {
    var bytes: [UInt8] = []
    /// When its first record was made; nil: none was yet.
    var time: Int64?
  }

  let plan: LaunchPlan.Log
  var file: Descriptor
  /// Bytes in the file.
  var size: Int64
  var partials = [Partial(), Partial()]
  /// Records that wait to be written, at the end of one read at the latest.
  var output: PageBuffer
  var outputCount = 0
  private var clock = LogClock()
  /// Records that could not be written.
  private(set) var lost: UInt64 = 0

  init(_ plan: LaunchPlan.Log) throws(SyscallError) {
    self.plan = plan
    file = try Self.open(plan.path, O_APPEND)
    output = try PageBuffer(capacity: 256 << 10)
    size = try Sys.lseek(file.raw, 0, SEEK_END)
    // A shim that was killed while it wrote may have left a torn record: keep the next one apart from it.
    var last: UInt8 = 0x0A
    if size > 0 {
      _ = try withUnsafeMutableBytes(of: &last) { byte throws(SyscallError) in
        try Sys.pread(file.raw, byte, at: size - 1)
      }
    }
    if last != 0x0A {
      try Sys.writeAll(file.raw, [0x0A])
      size += 1
    }
  }

  static func open(_ path: String, _ flags: Int32) throws(SyscallError) -> Descriptor {
    try Sys.open(path, O_RDWR | O_CREAT | O_NOFOLLOW | flags, mode: 0o640)
  }

  /// Takes what a stream gave. Whole lines are in the file when this returns; the beginning of a line waits for its
  /// end.
  func append(_ stream: Stream, _ bytes: UnsafeRawBufferPointer) {
    var rest = bytes
    while !rest.isEmpty {
      let room = Self.pieceLimit - partials[stream.rawValue].bytes.count
      let window = UnsafeRawBufferPointer(rebasing: rest.prefix(room))
      if let newline = Self.newline(in: window) {
        emit(stream, UnsafeRawBufferPointer(rebasing: window[..<newline]), last: true)
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(newline + 1))
      } else if window.count == room {
        emit(stream, window, last: false)
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(room))
      } else {
        partials[stream.rawValue].bytes += window
        break
      }
    }
    flush()
  }

  private static func newline(in bytes: UnsafeRawBufferPointer) -> Int? {
    guard let start = bytes.baseAddress, let found = memchr(start, 0x0A, bytes.count) else { return nil }
    return UnsafeRawPointer(found) - start
  }

  /// The stream has ended: a line without an end is logged as it is.
  func end(_ stream: Stream) {
    if !partials[stream.rawValue].bytes.isEmpty {
      emit(stream, UnsafeRawBufferPointer(start: nil, count: 0), last: false, all: true)
    }
    partials[stream.rawValue] = Partial()
    flush()
  }

  /// Makes a record of the partial line and `bytes`. Unless it is the `last` of its line (or `all`), an unfinished
  /// UTF-8 sequence at its end waits for the next, so that splitting destroys no character.
  private func emit(_ stream: Stream, _ bytes: UnsafeRawBufferPointer, last: Bool, all: Bool = false) {
    var partial = partials[stream.rawValue]
    partials[stream.rawValue] = Partial()
    let now = partial.time ?? Sys.realtimeNanoseconds()
    if last && partial.bytes.isEmpty {
      record(stream, bytes, last: true, time: now)
      return
    }
    partial.bytes += bytes
    let kept = last || all ? 0 : UTF8Tail.length(partial.bytes)
    partial.bytes.withUnsafeBytes { whole in
      record(stream, UnsafeRawBufferPointer(rebasing: whole.dropLast(kept)), last: last, time: now)
    }
    if !last { partials[stream.rawValue] = Partial(bytes: Array(partial.bytes.suffix(kept)), time: now) }
  }

  /// The largest record: every byte of a piece as `\u00xx`, and the members around it.
  private static let recordLimit = pieceLimit * 6 + 256

  private func record(_ stream: Stream, _ text: UnsafeRawBufferPointer, last: Bool, time: Int64) {
    if let maximum = plan.maximumSize, size + Int64(outputCount) >= maximum {
      flush()
      rotate()
    }
    if output.bytes.count - outputCount < Self.recordLimit { flush() }
    var writer = LogWriter(UnsafeMutableRawBufferPointer(rebasing: output.bytes[outputCount...]))
    writer.put("{\"log\":\"")
    writer.escape(text)
    if last { writer.put("\\n") }
    writer.put(stream == .stdout ? "\",\"stream\":\"stdout\",\"time\":\"" : "\",\"stream\":\"stderr\",\"time\":\"")
    clock.write(time, &writer)
    writer.put("\"}\n")
    outputCount += writer.count
    output.used = max(output.used, outputCount)
  }

  /// Writes the waiting records. What can't be written is given up: a full disk must not stop the container.
  private func flush() {
    guard outputCount > 0 else { return }
    defer { outputCount = 0 }
    var rest = UnsafeRawBufferPointer(rebasing: output.bytes[..<outputCount])
    let start = size
    while !rest.isEmpty {
      do throws(SyscallError) {
        let written = try Sys.write(file.raw, rest)
        size += Int64(written)
        rest = UnsafeRawBufferPointer(rebasing: rest.dropFirst(written))
      } catch {
        giveUp(rest, writtenSince: start, error)
        return
      }
    }
  }

  private func giveUp(_ rest: UnsafeRawBufferPointer, writtenSince start: Int64, _ error: SyscallError) {
    let written = Int(size - start)
    let whole = output.bytes[..<written].lastIndex(of: 0x0A).map { $0 + 1 } ?? 0
    if lost == 0 { Complaint.tell("write \"\(plan.path)\": \(error.errno)") }
    for byte in output.bytes[whole..<outputCount] where byte == 0x0A { lost += 1 }
    guard whole < written else { return }
    do throws(SyscallError) {
      try Sys.ftruncate(file.raw, start + Int64(whole))
      size = start + Int64(whole)
    } catch { Complaint.tell("truncate \"\(plan.path)\": \(error.errno)") }
  }

  func sync() {
    do throws(SyscallError) { try Sys.fdatasync(file.raw) } catch {
      Complaint.tell("sync \"\(plan.path)\": \(error.errno)")
    }
  }

  /// Moves the file aside and begins a new one, which is made first: when the disk has no room for it, nothing is
  /// moved, and the log goes on in the same file, larger than it should be.
  private func rotate() {
    do throws(SyscallError) {
      let fresh = plan.path + ".new"
      let next = try Self.open(fresh, O_APPEND | O_TRUNC)
      if plan.maximumFiles > 1 {
        for index in stride(from: plan.maximumFiles - 1, through: 1, by: -1) {
          let older = index == 1 ? plan.path : "\(plan.path).\(index - 1)"
          do throws(SyscallError) {
            try Sys.rename(older, to: "\(plan.path).\(index)")
          } catch  where error.errno == .noSuchFile {}
        }
      }
      try Sys.rename(fresh, to: plan.path)
      file = next
      size = 0
    } catch { Complaint.tell("rotate: \(error)") }
  }
}
