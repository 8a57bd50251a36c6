import EngineClient
import OCI

/// Verbs of volumes that docker hasn't.
extension Command {
  private static func own(_ name: String, _ verb: String = "") -> String {
    "/berth/volumes/\(PercentEncoding.encode(name))" + (verb.isEmpty ? "" : "/\(verb)")
  }

  private static let quiesce = Flag(.bool, "quiesce", "Hold the containers that use the volume still meanwhile")

  static let volumeClone = Command(
    name: "clone", usage: "[OPTIONS] VOLUME NEW_NAME", summary: "Make a volume with a copy of another's content",
    arguments: .exactly(2), flags: [quiesce]
  ) { invocation in
    var query: Query = ["name": invocation.arguments[1]]
    query.add("quiesce", invocation.values.bool("quiesce"))
    let volume = try invocation.client.post(own(invocation.arguments[0], "clone"), query: query).json()
    invocation.output.line(volume["Name"]?.stringValue ?? "")
  }

  static let volumeRename = Command(
    name: "rename", usage: "VOLUME NEW_NAME", summary: "Give a volume another name, also while it is in use",
    arguments: .exactly(2)
  ) { invocation in
    _ = try invocation.client.post(own(invocation.arguments[0], "rename"), query: ["name": invocation.arguments[1]])
      .json()
  }

  static let volumeSnapshot = Command(
    name: "snapshot", usage: "[OPTIONS] VOLUME NAME", summary: "Keep a volume's present content under a name",
    arguments: .exactly(2),
    flags: [quiesce, Flag(.bool, "delete", "Delete the snapshot of that name instead")]
  ) { invocation in
    let (volume, name) = (invocation.arguments[0], invocation.arguments[1])
    if invocation.values.bool("delete") {
      _ = try invocation.client.delete(own(volume, "snapshots/\(PercentEncoding.encode(name))")).readAll()
      return
    }
    var query: Query = ["name": name]
    query.add("quiesce", invocation.values.bool("quiesce"))
    let snapshot = try invocation.client.post(own(volume, "snapshots"), query: query).json()
    invocation.output.line(snapshot["Name"]?.stringValue ?? "")
  }

  static let volumeSnapshots = Command(
    name: "snapshots", usage: "VOLUME", summary: "List a volume's snapshots", arguments: .exactly(1)
  ) { invocation in
    for snapshot in try invocation.client.get(own(invocation.arguments[0], "snapshots")).json().arrayValue ?? [] {
      invocation.output.line("\(snapshot["Name"]?.stringValue ?? "")\t\(snapshot["CreatedAt"]?.stringValue ?? "")")
    }
  }

  static let volumeRestore = Command(
    name: "restore", usage: "VOLUME SNAPSHOT [NEW_NAME]",
    summary: "Put a snapshot's content in place of a volume's, or into a new volume", arguments: .range(2, 3)
  ) { invocation in
    var query: Query = ["snapshot": invocation.arguments[1]]
    if invocation.arguments.count > 2 { query.add("name", ifAny: invocation.arguments[2]) }
    let volume = try invocation.client.post(own(invocation.arguments[0], "restore"), query: query).json()
    invocation.output.line(volume["Name"]?.stringValue ?? "")
  }

  static let volumeUpdate = Command(
    name: "update", usage: "[OPTIONS] VOLUME", summary: "Protect a volume from removal, or make it larger",
    arguments: .exactly(1),
    flags: [
      Flag(.bool, "protect", "Neither rm nor prune may take it"), Flag(.bool, "unprotect", "Let it be removed again"),
      Flag(.string, "size", "The new size of a volume that was made with --opt size"),
    ]
  ) { invocation in
    var query = Query()
    if invocation.values.bool("protect") || invocation.values.bool("unprotect") {
      query.add("protected", invocation.values.bool("protect") ? "1" : "0")
    }
    query.add("size", ifAny: invocation.values.string("size"))
    let volume = try invocation.client.post(own(invocation.arguments[0], "update"), query: query).json()
    invocation.output.line(volume["Name"]?.stringValue ?? "")
  }

  static let volumeUndelete = Command(
    name: "undelete", usage: "[OPTIONS] [VOLUME [NEW_NAME]]",
    summary: "Bring a removed volume back; without one, list the trash", arguments: .atMost(2),
    flags: [Flag(.bool, "empty", "Delete all that is in the trash for good")]
  ) { invocation in
    if invocation.values.bool("empty") {
      for name in try invocation.client.delete("/berth/trash/volumes").json().arrayValue ?? [] {
        invocation.output.line(name.stringValue ?? "")
      }
      return
    }
    guard let name = invocation.arguments.first else {
      for volume in try invocation.client.get("/berth/trash/volumes").json().arrayValue ?? [] {
        let words = ["Name", "RemovedAt", "ID"].map { volume[$0]?.stringValue ?? "" }
        invocation.output.line(words.joined(separator: "\t"))
      }
      return
    }
    var query = Query()
    if invocation.arguments.count > 1 { query.add("name", ifAny: invocation.arguments[1]) }
    let volume = try invocation.client.post(
      "/berth/trash/volumes/\(PercentEncoding.encode(name))/undelete", query: query
    ).json()
    invocation.output.line(volume["Name"]?.stringValue ?? "")
  }

  static let volumeExport = Command(
    name: "export", usage: "[OPTIONS] VOLUME", summary: "Export a volume's content as a tar archive",
    arguments: .exactly(1),
    flags: [
      Flag(.string, "output", short: "o", "Write to a file, instead of STDOUT"), quiesce,
      Flag(.string, "compress", "\"zstd\", or nothing for a plain tar"),
    ]
  ) { invocation in
    var query = Query()
    query.add("quiesce", invocation.values.bool("quiesce"))
    query.add("compress", ifAny: invocation.values.string("compress"))
    try download(
      invocation, Request("GET", own(invocation.arguments[0], "export"), query: query), what: "export a volume")
  }

  static let volumeImport = Command(
    name: "import", usage: "FILE|- VOLUME",
    summary: "Make a volume with the content of a tar archive (plain, gzip, zstd)",
    arguments: .exactly(2)
  ) { invocation in
    let source = invocation.arguments[0]
    try withInput(source == "-" ? "" : source) { fd in
      var request = Request("POST", own(invocation.arguments[1], "import"), query: Query())
      request.headers.append(("Content-Type", "application/x-tar"))
      request.upload = try Upload(fd)
      invocation.output.line(try invocation.client.send(request).json()["Name"]?.stringValue ?? "")
    }
  }
}
