import Images
import NIOHTTP1
import OCI

/// `/berth/system/…`: what Docker has no words for.
extension SystemRoutes {
  func addOwn(to router: inout Router) { router.add(.POST, "/berth/system/check") { try await check($0) } }

  /// `POST /berth/system/check?repair=1`: a line for each thing that is read (`{"status": "Checking blob", "id": …}`), a line for each
  /// fault (`{"fault": {…}}`) as soon as it is found, at last `{"summary": {…}}`.
  private func check(_ request: Request) async throws -> Response {
    let repair = request.query.bool("repair")
    let credentials = ImageRoutes.credentials(request)
    return .stream(["Content-Type": "application/json"]) { stream in
      await ProgressLines.run(to: stream) { tell in
        let check = try await nouns.images.check(
          repair: repair, credentials: credentials,
          tell: { what, id in tell(["status": JSON("Checking \(what)"), "id": JSON(id)]) },
          found: { tell(["fault": Self.fault($0)]) })
        tell([
          "summary": [
            "Images": JSON(check.images), "Blobs": JSON(check.blobs), "Layers": JSON(check.layers),
            "Snapshots": JSON(check.snapshots), "Faults": JSON(check.faults.count),
            "Repaired": JSON(check.faults.count { $0.repair != nil }), "Clean": JSON(check.isClean),
          ]
        ])
      }
    }
  }

  private static func fault(_ fault: StoreFault) -> JSON {
    var json = JSONBuilder()
    json.set("Kind", fault.kind.rawValue)
    json.set("ID", fault.id)
    json.set("Problem", fault.problem)
    json.set("Images", fault.images)
    json.set("Repair", fault.repair)
    json.set("Refusal", fault.refusal)
    return json.json
  }
}
