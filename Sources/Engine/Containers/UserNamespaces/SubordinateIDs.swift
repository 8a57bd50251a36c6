import Errdefs
import Kernel
import OCI

/// The ids of the host that a user may give to user namespaces: `/etc/subuid`, `/etc/subgid` (subuid(5)), read by our own parser, since a
/// static program has no NSS to trust.
struct SubordinateIDs {
  /// In the order of their starts.
  let ranges: [(start: UInt32, count: UInt32)]

  /// The ranges of an owner, who is named by name or by number. Lines that aren't `owner:start:count` are errors: half a mapping would
  /// be worse than none.
  init(_ text: String, owner: String, id: UInt32?, file: String) throws(EngineError) {
    var found: [(start: UInt32, count: UInt32)] = []
    for line in text.split(separator: "\n") {
      let words = line.drop { $0 == " " || $0 == "\t" }
      guard !words.isEmpty, !words.hasPrefix("#") else { continue }
      let fields = words.split(separator: ":", omittingEmptySubsequences: false)
      guard fields.count == 3, let start = UInt32(fields[1]),
        let count = UInt32(fields[2].filter { $0 != " " && $0 != "\r" })
      else { throw .invalidParameter("\(file): \"\(line)\" isn't owner:start:count") }
      guard fields[0] == owner || id.map({ fields[0] == "\($0)" }) == true, count > 0 else { continue }
      guard start > 0, UInt64(start) + UInt64(count) <= UInt64(UInt32.max) else {
        throw .invalidParameter("\(file): \"\(line)\" has ids that nobody can be given")
      }
      found.append((start, count))
    }
    found.sort { $0.start < $1.start }
    for (one, next) in zip(found, found.dropFirst()) where one.start + one.count > next.start {
      throw .invalidParameter("\(file): the ranges of \(owner) at \(one.start) and \(next.start) overlap")
    }
    // The kernel takes 340 (user_namespaces(7)).
    ranges = Array(found.prefix(340))
  }

  /// One after the other, from the container's 0 on.
  var mappings: [RuntimeSpec.IDMapping] {
    var next: UInt64 = 0
    var result: [RuntimeSpec.IDMapping] = []
    for range in ranges {
      guard next + UInt64(range.count) <= UInt64(UInt32.max) else { break }
      result.append(RuntimeSpec.IDMapping(containerID: UInt32(next), hostID: range.start, size: range.count))
      next += UInt64(range.count)
    }
    return result
  }
}
