import CLinux
import EngineClient
import Kernel
import OCI
import Terminal

extension Command {
  static let login = Command(
    name: "login", usage: "[OPTIONS] [SERVER]", summary: "Authenticate to a registry",
    description: "Authenticate to a registry.\nDefaults to Docker Hub if no server is specified.",
    arguments: .atMost(1),
    flags: [
      Flag(.string, "password", short: "p", "Password or Personal Access Token (PAT)"),
      Flag(.bool, "password-stdin", "Take the Password or Personal Access Token (PAT) from stdin"),
      Flag(.string, "username", short: "u", "Username"),
    ]
  ) { invocation in
    let values = invocation.values
    var user = values.string("username")
    var password = values.string("password")
    if !password.isEmpty {
      invocation.context.printError("WARNING! Using --password via the CLI is insecure. Use --password-stdin.")
      if values.bool("password-stdin") {
        throw CommandFailure("--password and --password-stdin are mutually exclusive")
      }
    }
    if values.bool("password-stdin") {
      if user.isEmpty { throw CommandFailure("Must provide --username with --password-stdin") }
      password = String(decoding: try Sys.readAll(0, limit: 1 << 20), as: UTF8.self)
      while password.hasSuffix("\n") || password.hasSuffix("\r") { password.removeLast() }
    }
    let key = CredentialStore.key(invocation.arguments.first ?? "")
    var store = try CredentialStore()
    if user.isEmpty && password.isEmpty, let known = try store.credentials(key) {
      // Somebody is logged in: see whether that still holds.
      user = known["username"]?.stringValue ?? ""
      password = known["password"]?.stringValue ?? ""
    }
    if user.isEmpty || password.isEmpty {
      guard Terminal.isTerminal(0) else {
        throw CommandFailure("Error: Cannot perform an interactive login from a non TTY device")
      }
      if user.isEmpty { user = try Prompt.line("Username: ", echo: true) }
      if user.isEmpty { throw CommandFailure("Error: Non-null Username Required") }
      if password.isEmpty { password = try Prompt.line("Password: ", echo: false) }
      if password.isEmpty { throw CommandFailure("Error: Password Required") }
    }
    let body: JSON = ["username": JSON(user), "password": JSON(password), "serveraddress": JSON(key)]
    let answer = try invocation.client.send(Request("POST", "/auth", body: body)).json()
    let isSafe = try store.store(
      key, user: user, password: password, identityToken: answer["IdentityToken"]?.stringValue ?? "")
    if !isSafe {
      invocation.context.printError(
        """

        WARNING! Your credentials are stored unencrypted in '\(store.path)'.
        Configure a credential helper to remove this warning. See
        https://docs.docker.com/go/credential-store/

        """)
    }
    invocation.output.line(answer["Status"]?.stringValue ?? "Login Succeeded")
  }

  static let logout = Command(
    name: "logout", usage: "[SERVER]", summary: "Log out from a registry",
    description: "Log out from a registry.\nIf no server is specified, the default is defined by the daemon.",
    arguments: .atMost(1)
  ) { invocation in
    let key = CredentialStore.key(invocation.arguments.first ?? "")
    var store = try CredentialStore()
    let isKnown = try store.erase(key)
    invocation.output.line(isKnown ? "Removing login credentials for \(key)" : "Not logged in to \(key)")
  }
}

/// Asking the user on the terminal.
enum Prompt {
  /// A line of standard input, with echo or without; the terminal is put back whatever happens but a signal.
  static func line(_ prompt: String, echo: Bool) throws -> String {
    try Output.write(1, Array(prompt.utf8)[...])
    var before = termios()
    let isQuiet = !echo && tcgetattr(0, &before) == 0
    if isQuiet {
      var quiet = before
      quiet.c_lflag &= ~tcflag_t(ECHO)
      _ = tcsetattr(0, TCSANOW, &quiet)
    }
    defer {
      if isQuiet {
        _ = tcsetattr(0, TCSANOW, &before)
        try? Output.write(1, Array("\n".utf8)[...])
      }
    }
    var bytes: [UInt8] = []
    while bytes.count < 64 << 10 {
      var byte: UInt8 = 0
      let count = try withUnsafeMutableBytes(of: &byte) { try Sys.read(0, $0) }
      if count == 0 || byte == UInt8(ascii: "\n") { break }
      bytes.append(byte)
    }
    return String(decoding: bytes, as: UTF8.self)
  }
}
