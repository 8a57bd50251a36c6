import Netlink

/// Answers of name servers, for as long as they are good; a bounded number of bounded size.
struct ResolverCache {
  struct Key: Hashable {
    let question: [UInt8]
    /// RD, AD and CD, and whether the asker wants DNSSEC's records: the answers differ.
    let flags: UInt16
    let options: [UInt8]
    let servers: [IPAddress]
  }
  private struct Entry {
    let answer: [UInt8]
    let offsets: [Int]
    /// Nanoseconds of the monotonic clock.
    let stored: UInt64
    let expires: UInt64
  }

  private static let capacity = 1024
  private static let longest: UInt32 = 3600
  private var entries: [Key: Entry] = [:]

  /// Keeps an answer with records, or one that says for how long there is no such name.
  mutating func keep(_ answer: ArraySlice<UInt8>, for key: Key, now: UInt64) {
    guard answer.count <= 4096, let header = DNSMessage.Header(answer), !header.isTruncated,
      header.code == 0 || header.code == 3, header.answers > 0 || header.authorities > 0,
      let (offsets, shortest) = DNSMessage.lifetimes(answer), shortest > 0
    else { return }
    if entries.count >= Self.capacity {
      entries = entries.filter { $0.value.expires > now }
      if entries.count >= Self.capacity, let any = entries.keys.first { entries[any] = nil }
    }
    let seconds = UInt64(min(shortest, Self.longest))
    entries[key] = Entry(
      answer: Array(answer), offsets: offsets, stored: now, expires: now &+ seconds * 1_000_000_000)
  }

  /// The answer to that query, with lifetimes as long as they still are, or nil.
  mutating func answer(_ query: DNSMessage.Query, _ key: Key, now: UInt64) -> [UInt8]? {
    guard let entry = entries[key] else { return nil }
    guard entry.expires > now else {
      entries[key] = nil
      return nil
    }
    var answer = entry.answer
    answer.replaceSubrange(0..<2, with: DNSMessage.word(query.id))
    // as the asker wrote it: some mix cases and compare
    answer.replaceSubrange(
      DNSMessage.headerLength..<(DNSMessage.headerLength + query.question.count), with: query.question)
    let age = UInt32(clamping: (now - entry.stored) / 1_000_000_000)
    for offset in entry.offsets {
      let old = answer[offset..<(offset + 4)].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
      let new = old > age ? old - age : 0
      for index in 0..<4 { answer[offset + index] = UInt8(truncatingIfNeeded: new >> UInt32(24 - 8 * index)) }
    }
    return answer
  }
}
