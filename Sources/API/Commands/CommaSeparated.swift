/// One record of comma-separated values (RFC 4180), as `--mount` and `--network` take them.
enum CommaSeparated {
  static func fields(_ text: String) throws -> [String] {
    var fields: [String] = []
    var field = ""
    var rest = text[...]
    while true {
      if rest.first == "\"" {
        rest.removeFirst()
        while true {
          guard let character = rest.popFirst() else {
            throw CommandFailure(
              "parse error on line 1, column \(text.utf8.count + 1): extraneous or missing \" in quoted-field")
          }
          if character == "\"" {
            guard rest.first == "\"" else { break }
            rest.removeFirst()
          }
          field.append(character)
        }
        guard rest.isEmpty || rest.first == "," else {
          throw CommandFailure(
            "parse error on line 1, column \(text.count - rest.count + 1): extraneous or missing \" in quoted-field")
        }
      } else {
        let plain = rest.prefix { $0 != "," }
        guard !plain.contains("\"") else {
          throw CommandFailure(
            "parse error on line 1, column \(text.count - rest.count + 1): bare \" in non-quoted-field")
        }
        field = String(plain)
        rest = rest.dropFirst(plain.count)
      }
      fields.append(field)
      field = ""
      guard rest.popFirst() != nil else { return fields }
    }
  }
}
