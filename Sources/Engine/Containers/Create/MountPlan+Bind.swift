import Errdefs

extension MountPlan {
  /// `source:target[:mode]`, where a source without a slash at its beginning is a volume's name, or `target` alone
  /// (volume/mounts/linux_parser.go `ParseMountRaw`).
  static func bind(_ text: String, driver: String) throws -> Item {
    let specification = "invalid volume specification: '\(text)'"
    let parts = text.split(separator: ":", omittingEmptySubsequences: false).map(String.init)
    guard (1...3).contains(parts.count), !parts[0].isEmpty else { throw EngineError.invalidParameter(specification) }
    var source = ""
    var target = parts[0]
    var mode = ""
    if parts.count > 1 {
      // `/path:rw`: a volume without a name has no mode.
      if parts.count == 2, ModeWords(parts[1]) != nil { throw EngineError.invalidParameter(specification) }
      source = parts[0]
      target = parts[1]
      if parts.count == 3 { mode = parts[2] }
    }
    guard let words = ModeWords(mode) else { throw EngineError.invalidParameter("invalid mode: \(mode)") }
    let type = source.hasPrefix("/") ? "bind" : "volume"
    func refuse(_ reason: String) -> EngineError {
      .invalidParameter("\(specification): invalid mount config for type \"\(type)\": \(reason)")
    }
    guard !target.isEmpty else { throw refuse("field Target must not be empty") }
    guard target.hasPrefix("/") else { throw refuse("invalid mount path: '\(target)' mount path must be absolute") }
    let destination = Path.clean(target)
    guard destination != "/" else { throw refuse("invalid specification: destination can't be '/'") }
    let propagation = words.propagation ?? (type == "bind" ? "rprivate" : "")
    if type == "bind" {
      guard !words.noCopy else { throw refuse("field VolumeOptions must not be specified") }
      var point = Point(
        type: type, source: Path.clean(source), destination: destination, mode: mode, rw: !words.readOnly,
        propagation: propagation)
      point.options = ["rbind", propagation] + (words.readOnly ? ["rro"] : [])
      point.createsSource = true
      return Item(point: point)
    }
    guard words.propagation == nil else { throw refuse("field BindOptions must not be specified") }
    if source.isEmpty, words.readOnly { throw refuse("must not set ReadOnly mode when using anonymous volumes") }
    var point = Point(
      type: type, name: source, source: "", destination: destination, driver: driver.isEmpty ? "local" : driver,
      mode: mode.isEmpty ? "z" : mode, rw: !words.readOnly)
    point.anonymous = source.isEmpty
    point.options = ["rbind", "rprivate"] + (words.readOnly ? ["ro"] : [])
    var item = Item(point: point)
    item.copies = !words.noCopy
    return item
  }
}
