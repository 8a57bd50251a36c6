import OCI

/// `--format` of lists: a table with columns' titles, JSON a line, or a template for each row.
struct TableFormat {
  private let template: Template
  private let isTable: Bool

  /// `source`: what the user gave or the command's own, beginning with `table` for one.
  init(_ source: String) throws {
    var text = source
    isTable = text.hasPrefix("table")
    if isTable { text.removeFirst(5) } else if text == "json" { text = "{{json .}}" }
    text = text.trimmed([" "]).replacing("\\t", with: "\t").replacing("\\n", with: "\n")
    do { template = try Template(text) } catch let error as TemplateError {
      throw CommandFailure("template parsing error: \(error)")
    }
  }

  func uses(field: String) -> Bool { template.uses(field: field) }

  /// All rows, with the titles above them when it is a table.
  func render(titles: [String: String], rows: [TemplateRecord]) throws -> String {
    var body = ""
    do {
      for row in rows { body += try template.execute(.record(row)) + "\n" }
    } catch let error as TemplateError { throw CommandFailure("template parsing error: \(error)") }
    guard isTable else { return body }
    var writer = TabWriter(minimumWidth: 10, padding: 3)
    writer.write(try header(titles) + "\n" + body)
    return writer.finish()
  }

  private func header(_ titles: [String: String]) throws -> String {
    let record = TemplateRecord(typeName: "formatter.SubHeaderContext", names: Array(titles.keys)) {
      titles[$0].map { .string($0) }
    } method: { name, arguments in
      guard name == "Label", case .string(let label)? = arguments.first else { return nil }
      // The last part of `com.example.some-label`, its dashes as spaces.
      let last = label.split(separator: ".", omittingEmptySubsequences: false).last.map(String.init) ?? ""
      return .string(last.replacing("-", with: " ").replacing("_", with: " "))
    }
    do { return try template.execute(.record(record), header: true) } catch { return "" }
  }
}

extension String {
  /// Every occurrence of a text replaced.
  func replacing(_ text: String, with other: String) -> String {
    var output: [UInt8] = []
    let bytes = Array(utf8)
    let mark = Array(text.utf8)
    var index = 0
    while index < bytes.count {
      if bytes[index...].starts(with: mark) {
        output += other.utf8
        index += mark.count
      } else {
        output.append(bytes[index])
        index += 1
      }
    }
    return String(decoding: output, as: UTF8.self)
  }
}
