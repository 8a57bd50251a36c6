import Containers
import Kernel
import NIOHTTP1

/// The content types of containers' streams.
enum StreamType {
  static let raw = "application/vnd.docker.raw-stream"
  static let multiplexed = "application/vnd.docker.multiplexed-stream"

  static func name(multiplexed isMultiplexed: Bool, version: APIVersion) -> String {
    isMultiplexed && version.namesMultiplexedStreams ? multiplexed : raw
  }
}

extension Request {
  /// Answers `101 UPGRADED` (`200 OK` to a client that asked for no upgrade) and gives the socket away.
  func attachConnector() -> @Sendable (_ tty: Bool) async throws -> AttachRequest.Connection {
    { tty in
      let head =
        if wantsUpgrade {
          HTTPResponseHead(
            version: .http1_1, status: .custom(code: 101, reasonPhrase: "UPGRADED"),
            headers: [
              "Content-Type": StreamType.name(multiplexed: !tty, version: version), "Connection": "Upgrade",
              "Upgrade": "tcp",
            ])
        } else {
          HTTPResponseHead(version: .http1_1, status: .ok, headers: ["Content-Type": StreamType.raw])
        }
      let taken = try await connection.takeOver(head)
      return AttachRequest.Connection(socket: SharedDescriptor(owning: taken.descriptor), pending: taken.pending)
    }
  }
}
