import Errdefs
public import Kernel
import NIOCore
import NIOHTTP1
public import OCI

extension Repository {
  /// Whether the repository has the blob.
  public func contains(_ digest: Digest) async throws -> Bool {
    try await telling {
      let target = try await target()
      let answer = try await send(
        Call(method: .HEAD, path: "/v2/\(target.path)/blobs/\(digest)", scope: target.scope("pull,push")), to: target)
      if answer.status == .ok { return true }
      if answer.status == .notFound { return false }
      throw RegistryError(status: answer.status, body: [])
    }
  }

  /// What became of a blob that was to be brought.
  public enum Upload: Sendable { case pushed, mounted(from: String) }

  /// Brings a blob: mounts it from `source`, a repository of the same registry that may have it, else sends it. An upload that is cut
  /// goes on where the registry says it stands. `tell` hears the bytes sent.
  public func upload(
    _ blob: ContentDescriptor, _ file: SharedDescriptor, mountFrom source: String? = nil,
    tell: @escaping @Sendable (Int64) -> Void
  ) async throws -> Upload {
    try await telling {
      let target = try await target()
      let start = "/v2/\(target.path)/blobs/uploads/"
      var call = Call(method: .POST, path: start, scope: target.scope("pull,push"))
      if let source {
        call.path += "?mount=\(blob.digest)&from=\(Registry.escape(source))"
        call.scope += " repository:\(source):pull"
      }
      var answer = try await send(call, to: target)
      if source != nil, answer.status == .created { return .mounted(from: source ?? "") }
      if source != nil, answer.status != .accepted {
        // A registry that knows no mounts, or a user who may not read there.
        answer = try await send(Call(method: .POST, path: start, scope: target.scope("pull,push")), to: target)
      }
      guard answer.status == .accepted, var place = place(answer) else { throw await answer.error() }
      var offset: Int64 = 0
      var failures = 0
      while offset < blob.size {
        do {
          let answer = try await send(part(of: blob, file, from: offset, to: place, target, tell), to: target)
          guard answer.status == .accepted || answer.status == .noContent || answer.status == .created else {
            if Retry.isPassing(answer.status) { throw Passing(error: await answer.error()) }
            throw await answer.error()
          }
          offset = blob.size
          place = self.place(answer) ?? place
        } catch {
          let isPassing = error is Passing || ((error as? NoAnswer).map { Retry.isPassing($0.cause) } ?? false)
          failures += 1
          guard isPassing, failures < registry.configuration.attempts else {
            throw (error as? Passing)?.error ?? error
          }
          try await Task.sleep(for: Retry.pause(attempt: failures - 1, after: nil))
          (offset, place) = try await standing(of: place, blob, target)
        }
      }
      var end = Call(method: .PUT, path: place, scope: target.scope("pull,push"))
      end.path += (place.contains("?") ? "&" : "?") + "digest=\(Registry.escape(blob.digest.description))"
      end.timeout = .minutes(5)
      let done = try await send(end, to: target)
      guard done.status == .created || done.status == .noContent else { throw await done.error() }
      return .pushed
    }
  }

  private func part(
    of blob: ContentDescriptor, _ file: SharedDescriptor, from offset: Int64, to place: String,
    _ target: Endpoint, _ tell: @escaping @Sendable (Int64) -> Void
  ) -> Call {
    var call = Call(method: .PATCH, path: place, scope: target.scope("pull,push"))
    // Docker sends all in one part without a range; only what goes on says where.
    if offset > 0 { call.headers.add(name: "Content-Range", value: "\(offset)-\(blob.size - 1)") }
    call.body = .file(file, offset: offset, length: blob.size - offset) { tell(offset + $0) }
    call.timeout = .hours(2)
    call.retries = false
    return call
  }

  /// How much the registry has of an upload, and where it goes on.
  private func standing(of place: String, _ blob: ContentDescriptor, _ target: Endpoint) async throws -> (Int64, String)
  {
    let answer = try await send(Call(path: place, scope: target.scope("pull,push")), to: target)
    guard answer.status == .noContent || answer.status == .ok else { throw await answer.error() }
    // `Range: 0-<last>`; a registry without a byte says 0-0 or nothing.
    let last = answer.headers.first(name: "Range").flatMap { $0.split(separator: "-").last }.flatMap { Int64($0) } ?? 0
    let offset = last > 0 ? min(last + 1, blob.size) : 0
    return (offset, self.place(answer) ?? place)
  }

  private func place(_ answer: Answer) -> String? {
    guard let location = answer.headers.first(name: "Location"), let base = Location(answer.url) else { return nil }
    return base.resolve(location)?.url
  }

  private struct Passing: Error { var error: RegistryError }
}
