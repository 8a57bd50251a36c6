extension TarReader {
  /// More runs than this aren't a file that anybody wrote.
  private static let maximumRuns = 1 << 20

  /// GNU's sparse files: the old header with its chain of blocks, and PAX versions 0.0, 0.1 and 1.0.
  func readSparseMap(_ header: TarHeader, _ extended: PaxRecords, _ entry: inout TarEntry) throws {
    let numbers: [Int64]
    if let old = header.gnuSparse {
      entry.segments = try oldRuns(old.runs, old.isExtended, entry.printableName)
      entry.size = old.realSize
      try validate(&entry)
      return
    }
    let version = (extended.sparseMajor ?? 0, extended.sparseMinor ?? 0)
    if version == (1, 0) {
      numbers = try mapBeforeData()
    } else if version == (0, 0) || version == (0, 1) {
      guard !extended.sparseNumbers.isEmpty || extended.sparseSize != nil else { return }
      numbers = extended.sparseNumbers
    } else {
      throw refuse("its sparse format \(version.0).\(version.1) is unknown")
    }
    if let name = extended.sparseName { entry.name = name }
    guard let size = extended.sparseRealSize ?? extended.sparseSize else {
      throw refuse("a sparse file without its real size")
    }
    entry.size = size
    guard numbers.count.isMultiple(of: 2), numbers.count / 2 <= Self.maximumRuns else {
      throw refuse("its sparse map is invalid")
    }
    entry.segments = stride(from: 0, to: numbers.count, by: 2).map {
      TarEntry.Segment(offset: numbers[$0], length: numbers[$0 + 1])
    }
    try validate(&entry)
  }

  private func oldRuns(_ first: [TarEntry.Segment], _ isExtended: Bool, _ member: String) throws -> [TarEntry.Segment] {
    var runs = first
    var isExtended = isExtended
    while isExtended {
      let block = try takeBlock()
      try block.withUnsafeBytes { bytes in
        runs += try TarHeader.runs(bytes, at: 0, count: 21, member)
        isExtended = bytes[504] != 0
      }
      guard runs.count <= Self.maximumRuns else { throw refuse("its sparse map is too long") }
    }
    return runs
  }

  /// Version 1.0: decimal numbers, a line each, first their count, in blocks of their own at the front of the data.
  private func mapBeforeData() throws -> [Int64] {
    var numbers: [Int64] = []
    var expected: Int?
    var digits: [UInt8] = []
    while expected.map({ numbers.count < $0 }) ?? true {
      guard dataLeft >= Int64(Self.block) else { throw refuse("its sparse map is cut short") }
      let block = try takeBlock()
      dataLeft -= Int64(Self.block)
      for byte in block {
        if let expected, numbers.count == expected { break }
        guard byte == UInt8(ascii: "\n") else {
          guard digits.count < 20 else { throw refuse("its sparse map is invalid") }
          digits.append(byte)
          continue
        }
        guard let number = PaxRecords.number(digits[...]), number >= 0 else {
          throw refuse("its sparse map is invalid")
        }
        digits = []
        if expected == nil {
          guard number <= Int64(Self.maximumRuns) else { throw refuse("its sparse map is too long") }
          expected = Int(number) * 2
        } else {
          numbers.append(number)
        }
      }
    }
    return numbers
  }

  /// Runs in order, without overlap, within the file, and as long together as the archive's data.
  private func validate(_ entry: inout TarEntry) throws {
    guard entry.size >= 0, let segments = entry.segments else { throw refuse("its size is negative") }
    var end: Int64 = 0
    var total: Int64 = 0
    for segment in segments {
      let (next, overflow) = segment.offset.addingReportingOverflow(segment.length)
      guard segment.offset >= end, segment.length >= 0, !overflow, next <= entry.size else {
        throw refuse("its sparse map is invalid")
      }
      end = next
      total += segment.length
    }
    guard total == dataLeft else { throw refuse("its sparse map doesn't match its \(dataLeft) bytes of data") }
    entry.segments = segments.filter { $0.length > 0 }
  }
}
