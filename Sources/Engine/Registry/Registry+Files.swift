import AsyncHTTPClient
import Errdefs
public import NIOCore
import NIOHTTP1

/// A file of an HTTP server whose answer has begun.
public struct RemoteFile: Sendable {
  /// As it was asked for.
  public let url: String
  /// Bytes, when the server tells.
  public let size: Int64?
  let answer: Answer

  /// The bytes in order, to the end that the server told.
  public func read(_ write: (ByteBuffer) async throws -> Void) async throws {
    var received: Int64 = 0
    for try await bytes in answer.body {
      received += Int64(bytes.readableBytes)
      try await write(bytes)
    }
    if let size, received != size {
      throw EngineError.system("\(url): \(CutShort(received: received, expected: size))")
    }
  }
}

extension Registry {
  /// What `docker import URL` reads. Follows redirects, never from TLS to plain HTTP.
  public func file(_ text: String) async throws -> RemoteFile {
    guard var place = Location(text.contains("://") ? text : "http://\(text)") else {
      throw EngineError.invalidParameter("\"\(text)\" isn't an http or https URL")
    }
    let url = place.url
    for _ in 0..<10 {
      var request = HTTPClientRequest(url: place.url)
      request.headers.add(name: "User-Agent", value: "berth/0.1.0")
      let answer: Answer
      do { answer = try await execute(request, host: place.host, timeout: .seconds(60)) } catch let error as NoAnswer {
        throw error.engineError
      }
      if [301, 302, 303, 307, 308].contains(answer.status.code), let target = answer.headers.first(name: "Location") {
        guard let next = place.resolve(target), place.scheme == "http" || next.scheme == "https" else {
          throw EngineError.system("\(url) redirects to \"\(target)\"")
        }
        place = next
        continue
      }
      guard answer.status == .ok else {
        let status = "\(answer.status.code) \(answer.status.reasonPhrase)"
        throw EngineError(
          answer.status.code == 404 ? .notFound : answer.status.code < 500 ? .invalidParameter : .system,
          "failed to GET \(url) with status \(status)")
      }
      return RemoteFile(
        url: url, size: answer.headers.first(name: "Content-Length").flatMap { Int64($0) }, answer: answer)
    }
    throw EngineError.system("\(url): more than 10 redirects")
  }
}
