import ContentStore
import Errdefs
import Logging
import Metadata
import OCI
import Synchronization

extension Images {
  /// The table as the database and the content store have it. An image whose configuration can't be read is told in the log and left
  /// alone: neither shown nor deleted.
  func readTable() throws -> ImageTable {
    let (images, names, layers) = try metadata.readBlocking { transaction in
      (try transaction.images(), try transaction.imageNames(), try transaction.layers())
    }
    var table = ImageTable()
    for (key, record) in layers {
      guard let id = Digest(key), let entry = try? ImageTable.LayerEntry(record: record) else {
        logger.error("a layer's record can't be read", metadata: ["layer": "\(key)"])
        continue
      }
      table.layers[id] = entry
    }
    for (key, record) in images {
      guard let id = Digest(key) else {
        logger.error("an image's record can't be read", metadata: ["image": "\(key)"])
        continue
      }
      do {
        let fields = try JSONFields(JSON.parse(record))
        let config = try ImageConfig(decoding: try content.read(id))
        table.put(
          id,
          ImageTable.Entry(
            config: config, added: Timestamp(nanosecondsSinceEpoch: try fields.int("added") ?? 0),
            lastTagged: try fields.int("lastTagged").map { Timestamp(nanosecondsSinceEpoch: $0) },
            parent: try fields.string("parent").flatMap { Digest($0) },
            manifests: try fields.list("manifests") { fields throws(JSONError) in try ContentDescriptor(fields) } ?? [],
            indexes: try fields.list("indexes") { fields throws(JSONError) in try ContentDescriptor(fields) } ?? [])
        )
      } catch {
        logger.error("an image can't be read", metadata: ["image": "\(id)", "error": "\(error)"])
        unreadable.withLock { _ = $0.insert(id) }
      }
    }
    for (name, image) in names {
      guard let reference = try? Reference(name), let id = Digest(image) else {
        logger.error("an image's name can't be read", metadata: ["name": "\(name)", "image": "\(image)"])
        continue
      }
      // The name of an image that can't be read waits with it.
      guard table.entries[id] != nil else { continue }
      table.setName(reference, to: id)
    }
    return table
  }
}

extension ImageTable.Entry {
  var record: String {
    var json = JSONBuilder()
    json.set("added", added.nanosecondsSinceEpoch)
    json.set("lastTagged", lastTagged?.nanosecondsSinceEpoch)
    json.set("parent", parent?.description)
    if !manifests.isEmpty { json.set("manifests", .array(manifests.map(\.json))) }
    if !indexes.isEmpty { json.set("indexes", .array(indexes.map(\.json))) }
    return json.json.text
  }
}

extension ImageTable.LayerEntry {
  init(record: String) throws(JSONError) {
    let fields = try JSONFields(JSON.parse(record))
    size = try fields.required("size", try fields.int("size"))
    blob = try fields.object("blob") { fields throws(JSONError) in try ContentDescriptor(fields) }
  }

  var record: String {
    var json = JSONBuilder()
    json.set("size", size)
    json.set("blob", blob?.json)
    return json.json.text
  }
}
