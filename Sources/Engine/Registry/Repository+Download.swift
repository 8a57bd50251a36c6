import AsyncHTTPClient
import Errdefs
public import NIOCore
import NIOHTTP1
public import OCI

extension Repository {
  /// A blob's bytes, in order and to its end, handed to `write`, which may make it wait. A connection that breaks is taken up again
  /// where it broke, as long as every few attempts bring a byte. The bytes aren't verified here, their number is.
  /// `from`: so many bytes are there already. `onRetry` hears of each pause, in seconds. Throws `RegistryError`, `EngineError` or a cancellation. Answers whether it was resumed.
  @discardableResult
  public func download(
    _ blob: ContentDescriptor, from offset: Int64 = 0, onRetry: @Sendable (Int) -> Void = { _ in },
    write: @Sendable (ByteBuffer) async throws -> Void
  ) async throws -> Bool {
    guard offset < blob.size || blob.size == 0 else { return false }
    return try await telling {
      var received = offset
      var failures = 0
      var isResumed = false
      while true {
        let before = received
        do {
          try await fromSources(.pull) { endpoint in try await part(blob, endpoint, &received, write) }
          return isResumed
        } catch let failure as WriteFailure {
          throw failure.cause
        } catch {
          guard Self.mayPass(error) else { throw error }
          failures = received > before ? 1 : failures + 1
          guard failures < registry.configuration.attempts else { throw error }
          isResumed = isResumed || received > 0
        }
        let pause = Retry.pause(attempt: failures - 1, after: nil)
        onRetry(max(1, Int(pause.components.seconds)))
        try await Task.sleep(for: pause)
      }
    }
  }

  private static func mayPass(_ error: any Error) -> Bool {
    if let error = error as? NoAnswer { return Retry.isPassing(error.cause) }
    return Retry.isPassing(error)
  }

  /// One answer's worth of it, from where it stands.
  private func part(
    _ blob: ContentDescriptor, _ endpoint: Endpoint, _ received: inout Int64,
    _ write: @Sendable (ByteBuffer) async throws -> Void
  ) async throws {
    var call = Call(path: "/v2/\(endpoint.path)/blobs/\(blob.digest)", scope: endpoint.scope("pull"))
    if received > 0 { call.headers.add(name: "Range", value: "bytes=\(received)-") }
    let answer = try await send(call, to: endpoint)
    var skip: Int64 = 0
    switch answer.status {
    case .ok: skip = received
    case .partialContent where received > 0:
      guard let range = answer.headers.first(name: "Content-Range"), range.hasPrefix("bytes \(received)-") else {
        throw EngineError.system("the registry answers another part of \(blob.digest) than was asked for")
      }
    default: throw await answer.error()
    }
    if let length = answer.headers.first(name: "Content-Length").flatMap({ Int64($0) }) {
      let expected = blob.size - received + skip
      guard length == expected else {
        throw EngineError.system("blob \(blob.digest) has \(length) bytes, its manifest says \(expected)")
      }
    }
    for try await bytes in answer.body {
      var bytes = bytes
      if skip > 0 {
        let skipped = min(Int64(bytes.readableBytes), skip)
        bytes.moveReaderIndex(forwardBy: Int(skipped))
        skip -= skipped
      }
      guard bytes.readableBytes > 0 else { continue }
      guard received + Int64(bytes.readableBytes) <= blob.size else {
        throw EngineError.system("blob \(blob.digest) has more bytes than the \(blob.size) that its manifest says")
      }
      let count = Int64(bytes.readableBytes)
      do { try await write(bytes) } catch { throw WriteFailure(cause: error) }
      received += count
    }
    guard received == blob.size else { throw CutShort(received: received, expected: blob.size) }
  }

  /// A whole small blob, verified.
  public func blob(_ blob: ContentDescriptor, limit: Int64) async throws -> [UInt8] {
    guard blob.size <= limit else {
      throw EngineError.invalidParameter("blob \(blob.digest) has \(blob.size) bytes, more than \(limit)")
    }
    let collected = Collected()
    try await download(blob) { await collected.add($0) }
    let bytes = await collected.bytes
    guard Self.digest(bytes) == blob.digest else {
      throw EngineError.system("filesystem layer verification failed for digest \(blob.digest)")
    }
    return bytes
  }
}

private actor Collected {
  var bytes: [UInt8] = []
  func add(_ part: ByteBuffer) { bytes += part.readableBytesView }
}

/// The bytes' taker failed, not their giver.
private struct WriteFailure: Error { var cause: any Error }
