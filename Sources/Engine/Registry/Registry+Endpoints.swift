import Errdefs
import Kernel
import NIOCore
import NIOPosix
import OCI

extension Registry {
  /// Which servers have a repository, mirrors first. Of the three ways to say so the first counts that knows the registry: its `hosts.toml`,
  /// `registries.conf`, dockerd's `registry-mirrors`. The files are read each time, so that a change needs no restart.
  func endpoints(of repository: Repository) async throws -> [Repository.Endpoint] {
    let (domain, path) = (repository.domain, repository.path)
    let hosts = Self.host(of: domain)
    let (hostsFile, entry) = try await NIOThreadPool.singleton.runIfActive { [configuration] in
      try (configuration.hostsFile(of: domain), configuration.registriesFile()?.entry(for: "\(domain)/\(path)"))
    }
    if let entry, entry.isBlocked {
      throw EngineError(
        .forbidden,
        "registry \(entry.prefix) is blocked in \(configuration.registriesPath): \(domain)/\(path) can't be used")
    }
    if let hostsFile {
      return hostsFile.hosts.map { host in
        Repository.Endpoint(
          host: host.url.host, root: host.url.rest, path: path, scheme: Scheme(rawValue: host.url.scheme),
          isMirror: !host.isServer && host.url.host != hosts, isInsecure: host.trust.skipsVerification,
          trust: host.trust, headers: host.headers, capabilities: host.capabilities,
          namespace: host.isServer || host.url.host == hosts ? nil : domain)
      }
    }
    if let entry {
      func endpoint(_ place: RegistriesFile.Place, isMirror: Bool) -> Repository.Endpoint {
        let found = entry.repository(domain, path, at: place)
        var endpoint = Repository.Endpoint(host: Self.host(of: found.host), path: found.path, isMirror: isMirror)
        if place.isInsecure { endpoint.isInsecure = true }
        if isMirror { endpoint.capabilities = [.pull, .resolve] }
        return endpoint
      }
      let mirrors = entry.mirrors.filter {
        $0.use == .all || ($0.use == .byDigest) == repository.isByDigest
      }
      return mirrors.map { endpoint($0, isMirror: true) } + [endpoint(entry.place, isMirror: false)]
    }
    let own = Repository.Endpoint(host: hosts, path: path)
    guard domain == Reference.defaultDomain else { return [own] }
    return configuration.mirrors.compactMap { Self.mirror($0, path) } + [own]
  }

  private static func mirror(_ text: String, _ path: String) -> Repository.Endpoint? {
    guard Configuration.fault(ofMirror: text) == nil, let place = Location(text) else { return nil }
    var root = place.rest
    while root.hasSuffix("/") { root.removeLast() }
    return Repository.Endpoint(
      host: place.host, root: root + "/v2", path: path, scheme: Scheme(rawValue: place.scheme), isMirror: true,
      capabilities: [.pull, .resolve])
  }
}

extension Registry.Configuration {
  /// Reads `registries.conf`; nil when there is none. Blocks.
  func registriesFile() throws -> RegistriesFile? {
    guard !registriesPath.isEmpty, Sys.exists(registriesPath) else { return nil }
    let bytes = try Sys.readFile(registriesPath, limit: 1 << 20)
    do throws(TOMLError) { return try RegistriesFile(bytes) } catch {
      throw EngineError.system("\(registriesPath), \(error)", cause: error)
    }
  }

  /// The `hosts.toml` of a registry, from the first directory that has one; nil when none has. Blocks.
  func hostsFile(of domain: String) throws -> HostsFile? {
    for directory in certificates {
      for name in [domain, "_default"] {
        let folder = "\(directory)/\(name)"
        guard Sys.exists("\(folder)/hosts.toml") else { continue }
        let bytes = try Sys.readFile("\(folder)/hosts.toml", limit: 1 << 20)
        do throws(TOMLError) { return try HostsFile(bytes, domain: domain, directory: folder) } catch {
          throw EngineError.system("\(folder)/hosts.toml, \(error)", cause: error)
        }
      }
    }
    return nil
  }

  /// What is wrong with the files that are there, for the daemon's start. Blocks.
  public func check() throws {
    _ = try registriesFile()
    _ = try SignaturePolicy(path: policyPath)
    for directory in certificates where Sys.exists(directory) {
      let opened = try Sys.open(directory, 0o200000)
      for entry in try Sys.entries(opened.raw) where Sys.exists("\(directory)/\(entry.name)/hosts.toml") {
        _ = try hostsFile(of: entry.name)
      }
    }
  }
}
