/// A command ends with this status; the message, when there is one, goes to stderr as it is.
public struct CommandFailure: Error {
  public let message: String
  public let status: Int32

  public init(_ message: String = "", status: Int32 = 1) {
    self.message = message
    self.status = status
  }
}
