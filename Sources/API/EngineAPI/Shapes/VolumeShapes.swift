import OCI
import Volumes

/// Docker's `Volume` (volume/service/convert.go).
enum VolumeShapes {
  /// `usage`: bytes and the number of containers.
  static func volume(_ volume: Volume, usage: (size: Int64, references: Int)? = nil) -> JSON {
    var json = JSONBuilder()
    json.set("CreatedAt", Timestamp(seconds: volume.created / 1_000_000_000).description)
    json.set("Driver", "local")
    json.set("Labels", volume.labels.isEmpty ? .null : JSON(volume.labels))
    json.set("Mountpoint", volume.mountpoint)
    json.set("Name", volume.name)
    json.set("Options", volume.options.isEmpty ? .null : JSON(volume.options))
    json.set("Scope", "local")
    if let usage { json.set("UsageData", ["RefCount": JSON(usage.references), "Size": JSON(usage.size)]) }
    // Berth's own: what stays when the name changes.
    json.set("ID", volume.id)
    return json.json
  }
}
