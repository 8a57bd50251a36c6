extension ContainerConfig {
  /// Fills in what the user left out from the image's configuration, with Docker's rules (daemon/commit.go `merge`): a user's
  /// entrypoint drops the image's command, environment is merged by key with the user's first, labels and ports are united.
  mutating func merge(image: ContainerConfig) {
    if user.isEmpty { user = image.user }
    exposedPorts = Set(exposedPorts).union(image.exposedPorts).sorted()
    let own = env ?? []
    if own.isEmpty {
      env = image.env
    } else {
      let keys = Set(own.map(Self.key))
      env = own + (image.env ?? []).filter { !keys.contains(Self.key($0)) }
    }
    labels.merge(image.labels) { own, _ in own }
    if (entrypoint ?? []).isEmpty {
      if (cmd ?? []).isEmpty { cmd = image.cmd }
      if entrypoint == nil { entrypoint = image.entrypoint }
    }
    merge(health: image.healthcheck)
    if workingDir.isEmpty { workingDir = image.workingDir }
    if let ofImage = image.volumes { volumes = Set(volumes ?? []).union(ofImage).sorted() }
    if stopSignal.isEmpty { stopSignal = image.stopSignal }
    if stopTimeout == nil { stopTimeout = image.stopTimeout }
    // `--entrypoint ""` comes as [""]: it means none
    if entrypoint == [""] { entrypoint = nil }
  }

  private mutating func merge(health image: HealthConfig?) {
    guard let image else { return }
    guard var own = healthcheck else {
      healthcheck = image
      return
    }
    if (own.test ?? []).isEmpty { own.test = image.test }
    if own.interval == 0 { own.interval = image.interval }
    if own.timeout == 0 { own.timeout = image.timeout }
    if own.startPeriod == 0 { own.startPeriod = image.startPeriod }
    if own.startInterval == 0 { own.startInterval = image.startInterval }
    if own.retries == 0 { own.retries = image.retries }
    healthcheck = own
  }

  private static func key(_ variable: String) -> Substring { variable.prefix { $0 != "=" } }

  /// The program and its arguments: `inspect`'s `Path` and `Args`. Empty when neither image nor user said what to run.
  var command: [String] { (entrypoint ?? []) + (cmd ?? []) }

  /// The variables that Docker gives every container, then the configured ones (container/container.go
  /// `CreateDaemonEnvironment`); a configured one without `=` takes the variable away.
  func environment() -> [String] {
    var result = ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOSTNAME=\(hostname)"]
    if tty { result.append("TERM=xterm") }
    for variable in env ?? [] {
      let key = Self.key(variable)
      let index = result.firstIndex { Self.key($0) == key }
      if variable.contains("=") {
        if let index { result[index] = variable } else { result.append(variable) }
      } else if let index {
        result.remove(at: index)
      }
    }
    return result
  }
}
