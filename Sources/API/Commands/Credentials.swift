import OCI

/// What `login` left in `~/.docker/config.json` or with a helper, as the API takes it.
enum Credentials {
  /// The X-Registry-Auth header for an image's registry; nil when nothing is known.
  static func header(for repository: String) throws -> String? {
    let registry = String(Pull.canonical(repository, all: true).prefix { $0 != "/" })
    guard let auth = try CredentialStore().credentials(CredentialStore.key(registry)) else { return nil }
    return Base64.encode(auth.encoded(), urlSafe: true)
  }
}
