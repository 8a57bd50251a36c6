import enum Crypto.P256
import Errdefs
import FoundationEssentials
import Kernel
import NIOCore
import NIOPosix
public import OCI

extension Repository {
  /// Throws `.forbidden`, which names the rule, for an image that the policy doesn't let in. `digests`: of what the name stands for, and of
  /// the image in it; a signature of either counts, since the one holds the other.
  public func admit(_ reference: Reference, _ digests: [Digest]) async throws {
    let path = registry.configuration.policyPath
    guard let policy = try await NIOThreadPool.singleton.runIfActive({ try SignaturePolicy(path: path) }) else {
      return
    }
    let rule = policy.rule(for: reference.tagged)
    for requirement in rule.requirements {
      func refuse(_ reason: String) -> EngineError {
        EngineError(
          .forbidden,
          "image \(reference.familiar) is rejected by policy \(path): rule \"\(requirement.type)\" of \(rule.scope)\(reason)"
        )
      }
      switch requirement {
      case .accept: continue
      case .reject: throw refuse("")
      case .signed(let signed):
        var reason = "no signature was found"
        var isSigned = false
        for digest in digests where !isSigned {
          let found = try await verify(reference.tagged, digest, signed)
          isSigned = found == nil
          if let found { reason = found }
        }
        guard isSigned else { throw refuse(": \(reason)") }
      }
    }
  }

  /// Why no signature of the digest holds; nil when one does.
  private func verify(_ reference: Reference, _ digest: Digest, _ signed: SignaturePolicy.Signed) async throws
    -> String?
  {
    let keys = try await NIOThreadPool.singleton.runIfActive { try signed.publicKeys() }
    let manifest: ImageManifest
    do {
      let remote = try await self.manifest("sha256-\(digest.hex).sig")
      manifest = try ImageManifest(decoding: remote.bytes)
    } catch let error as RegistryError where error.status == 404 { return "no signature was found" } catch let error
      as JSONError
    { return "its signatures can't be read: \(error)" }
    var reason = "no signature was found"
    for layer in manifest.layers.prefix(64) where layer.mediaType == Payload.mediaType {
      guard let text = layer.annotations?["dev.cosignproject.cosign/signature"], let bytes = Base64.decode(text),
        let signature = try? P256.Signing.ECDSASignature(derRepresentation: bytes)
      else {
        reason = "a signature can't be read"
        continue
      }
      let payload = try await blob(layer, limit: 128 << 10)
      guard keys.contains(where: { $0.isValidSignature(signature, for: payload) }) else {
        reason = "a signature isn't by the key"
        continue
      }
      do throws(JSONError) {
        let payload = try Payload(payload)
        if payload.digest != digest {
          reason = "a signature is for \(payload.digest)"
        } else if !signed.identity.matches(reference, signed: payload.reference) {
          reason = "a signature is for the name \"\(payload.reference)\""
        } else {
          return nil
        }
      } catch { reason = "a signature's payload can't be read: \(error)" }
    }
    return reason
  }
}

extension Registry {
  /// Throws `.forbidden`, which names the rule, when the policy lets no archive of the kind in. Blocks.
  public func admitArchive(_ transport: String) throws {
    let path = configuration.policyPath
    guard let policy = try SignaturePolicy(path: path) else { return }
    let rule = policy.rule(ofTransport: transport)
    for requirement in rule.requirements {
      if case .accept = requirement { continue }
      var reason = ""
      if case .signed = requirement { reason = ": an archive has no signatures" }
      throw EngineError(
        .forbidden,
        "archive is rejected by policy \(path): rule \"\(requirement.type)\" of \(rule.scope)\(reason)")
    }
  }
}

/// What cosign signs: containers-signature(5), "simple signing".
private struct Payload {
  static let mediaType = "application/vnd.dev.cosign.simplesigning.v1+json"

  var digest: Digest
  var reference: String

  init(_ bytes: [UInt8]) throws(JSONError) {
    let critical = try JSONFields(JSON.parse(bytes)).object("critical") { fields throws(JSONError) in
      let type = try fields.string("type")
      guard type == "cosign container image signature" else {
        throw JSONError(path: fields.path(of: "type"), "it is \(type ?? "missing")")
      }
      let digest = try fields.fields("image")?.string("docker-manifest-digest").flatMap { Digest($0) }
      let reference = try fields.fields("identity")?.string("docker-reference")
      guard let digest, let reference else { throw JSONError(path: fields.path, "it names no image") }
      return (digest, reference)
    }
    guard let critical else { throw JSONError(path: "critical", "it is missing") }
    (digest, reference) = critical
  }
}

extension SignaturePolicy.Signed {
  /// Blocks.
  fileprivate func publicKeys() throws -> [P256.Signing.PublicKey] {
    var keys: [P256.Signing.PublicKey] = []
    for path in keyPaths {
      do { keys.append(try Self.key(Sys.readFile(path, limit: 64 << 10))) } catch {
        throw EngineError.system("signature policy: key \(path): \(error)", cause: error)
      }
    }
    for key in self.keys { keys.append(try Self.key(key)) }
    return keys
  }

  private static func key(_ bytes: [UInt8]) throws -> P256.Signing.PublicKey {
    do { return try P256.Signing.PublicKey(pemRepresentation: String(decoding: bytes, as: UTF8.self)) } catch {
      throw EngineError.system("it isn't a public ECDSA key on P-256, which alone can be verified", cause: error)
    }
  }
}
