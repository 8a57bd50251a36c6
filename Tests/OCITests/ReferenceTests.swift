import OCI
import Testing

@Suite struct ReferenceTests {
  @Test(arguments: [
    ("busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
    ("user/app", "docker.io/user/app:latest", "user/app:latest"),
    ("docker.io/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("index.docker.io/library/busybox", "docker.io/library/busybox:latest", "busybox:latest"),
    ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
    ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
    ("localhost:5000/app:v1", "localhost:5000/app:v1", "localhost:5000/app:v1"),
    ("ghcr.io/org/app_x__y.z-1--2", "ghcr.io/org/app_x__y.z-1--2:latest", "ghcr.io/org/app_x__y.z-1--2:latest"),
    ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
    ("Registry/app", "Registry/app:latest", "Registry/app:latest"),
  ])
  func normalises(text: String, canonical: String, familiar: String) throws {
    let reference = try Reference(text).tagged
    #expect(reference.description == canonical)
    #expect(reference.familiar == familiar)
    #expect(try Reference(reference.familiar).tagged == reference)
  }

  @Test func keepsTagAndDigest() throws {
    let hex = String(repeating: "a", count: 64)
    let reference = try Reference("busybox:1@sha256:\(hex)")
    #expect(reference.tag == "1")
    #expect(reference.digest?.hex == hex)
    #expect(reference.familiar == "busybox:1@sha256:\(hex)")
    #expect(try Reference("busybox@sha256:\(hex)").tagged.tag == nil)
  }

  @Test(arguments: [
    ("", "invalid reference format"), ("a//b", "invalid reference format"), ("/a", "invalid reference format"),
    ("a:", "invalid reference format"), ("a:b:c", "invalid reference format"), ("a b", "invalid reference format"),
    ("a___b", "invalid reference format"), ("-a", "invalid reference format"), ("a..b", "invalid reference format"),
    ("a@sha256:abc", "invalid reference format"), ("ä", "invalid reference format"),
    ("a:.x", "invalid reference format"), ("host:port/a", "invalid reference format"),
    ("Foo", "invalid reference format: repository name (library/Foo) must be lowercase"),
    ("a/Foo:1", "invalid reference format: repository name (a/Foo) must be lowercase"),
    (
      String(repeating: "0", count: 64),
      "invalid repository name (\(String(repeating: "0", count: 64))), cannot specify 64-byte hexadecimal strings"
    ),
  ])
  func refuses(text: String, message: String) {
    #expect(throws: ReferenceError(message)) { try Reference(text) }
  }

  @Test func refusesWhatIsTooLong() {
    #expect(throws: ReferenceError.self) { try Reference(String(repeating: "a", count: 256)) }
    #expect(throws: ReferenceError.self) { try Reference("a:" + String(repeating: "b", count: 129)) }
    #expect(throws: Never.self) { try Reference("a:" + String(repeating: "b", count: 128)) }
  }
}

@Suite struct DigestTests {
  @Test func acceptsSHA256Alone() {
    let hex = String(repeating: "0f", count: 32)
    #expect(Digest("sha256:\(hex)")?.hex == hex)
    #expect(Digest("sha256:\(hex)")?.short == "0f0f0f0f0f0f")
    for text in [
      "", hex, "sha512:\(hex)", "sha256:\(hex)0", "sha256:\(hex.uppercased())", "sha256:../../../etc/passwd", "sha256:",
    ] {
      #expect(Digest(text) == nil)
    }
  }

  @Test func isMadeOfBytes() {
    #expect(Digest(sha256: [UInt8](0..<32))?.hex == "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f")
    #expect(Digest(sha256: [1, 2, 3]) == nil)
  }
}
