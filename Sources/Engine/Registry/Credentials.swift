public import OCI

/// What a user proves to a registry who they are with: a name and a password, or a token that stands for them.
public struct Credentials: Sendable, Hashable {
  public var username: String
  public var password: String
  /// An OAuth2 refresh token (`identitytoken`), instead of a password.
  public var identityToken: String
  /// A bearer token, used as it is (`registrytoken`).
  public var registryToken: String
  public var serverAddress: String

  public init(
    username: String = "", password: String = "", identityToken: String = "", registryToken: String = "",
    serverAddress: String = ""
  ) {
    self.username = username
    self.password = password
    self.identityToken = identityToken
    self.registryToken = registryToken
    self.serverAddress = serverAddress
  }

  public var isEmpty: Bool { username.isEmpty && password.isEmpty && identityToken.isEmpty && registryToken.isEmpty }

  /// The API's `AuthConfig`.
  public init(_ fields: JSONFields) throws(JSONError) {
    self.init(
      username: try fields.string("username") ?? "", password: try fields.string("password") ?? "",
      identityToken: try fields.string("identitytoken") ?? "", registryToken: try fields.string("registrytoken") ?? "",
      serverAddress: try fields.string("serveraddress") ?? "")
    if username.isEmpty, password.isEmpty, let auth = try fields.string("auth"), let plain = Base64.decode(auth) {
      let text = String(decoding: plain, as: UTF8.self)
      username = String(text.prefix { $0 != ":" })
      password = String(text.dropFirst(username.count + 1))
    }
  }

  /// The `X-Registry-Auth` header: an `AuthConfig`, base64url. Docker's daemon ignores what it can't read on a pull, so nil for that.
  public static func header(_ text: String) -> Credentials? {
    guard !text.isEmpty, let bytes = Base64.decode(text), let value = try? JSON.parse(bytes),
      let fields = try? JSONFields(value, anyCase: true), let credentials = try? Credentials(fields),
      !credentials.isEmpty
    else { return nil }
    return credentials
  }

  var basic: String { "Basic " + Base64.encode(Array("\(username):\(password)".utf8)) }
}
