/// Aligns columns that are divided by tabs, as Go's text/tabwriter: a column is a block of adjacent lines that have it,
/// the text after a line's last tab belongs to none.
struct TabWriter {
  private let minimumWidth: Int
  private let padding: Int
  private var lines: [[String]] = [[]]

  init(minimumWidth: Int, padding: Int) {
    self.minimumWidth = minimumWidth
    self.padding = padding
  }

  mutating func write(_ text: String) {
    var cell = ""
    for scalar in text.unicodeScalars {
      switch scalar {
      case "\t":
        lines[lines.count - 1].append(pending + cell)
        pending = ""
        cell = ""
      case "\n":
        lines[lines.count - 1].append(pending + cell)
        pending = ""
        cell = ""
        lines.append([])
      default: cell.unicodeScalars.append(scalar)
      }
    }
    pending += cell
  }

  private var pending = ""

  /// The aligned text of all that was written.
  mutating func finish() -> String {
    if !pending.isEmpty {
      lines[lines.count - 1].append(pending)
      pending = ""
    }
    var output = ""
    var widths: [Int] = []
    format(0, lines.count, &widths, &output)
    lines = [[]]
    return output
  }

  private func format(_ from: Int, _ to: Int, _ widths: inout [Int], _ output: inout String) {
    let column = widths.count
    var start = from
    var index = from
    while index < to {
      guard column < lines[index].count - 1 else {
        index += 1
        continue
      }
      writeLines(start, index, widths, &output)
      start = index
      var width = minimumWidth
      while index < to, column < lines[index].count - 1 {
        width = max(width, DisplayWidth.of(lines[index][column]) + padding)
        index += 1
      }
      widths.append(width)
      format(start, index, &widths, &output)
      widths.removeLast()
      start = index
    }
    writeLines(start, to, widths, &output)
  }

  private func writeLines(_ from: Int, _ to: Int, _ widths: [Int], _ output: inout String) {
    for index in from..<max(from, to) {
      for (column, cell) in lines[index].enumerated() {
        output += cell
        if column < widths.count, column < lines[index].count - 1 {
          output += String(repeating: " ", count: max(0, widths[column] - DisplayWidth.of(cell)))
        }
      }
      if index < lines.count - 1 { output += "\n" }
    }
  }
}
