import EngineClient
import OCI

/// `--filter key=value` as the API's `filters` parameter.
enum Filters {
  static func parameter(_ texts: [String]) -> String {
    var filters = JSONObject()
    for text in texts {
      let (key, value) = text.cut("=")
      let name = key.trimmed().lowercased()
      var values = filters[name]?.objectValue ?? JSONObject()
      values[(value ?? "").trimmed()] = true
      filters[name] = .object(values)
    }
    return filters.isEmpty ? "" : JSON.object(filters).text
  }

  static func add(_ values: FlagValues, to query: inout Query) {
    query.add("filters", ifAny: parameter(values.list("filter")))
  }
}
