import Cgroups
import Errdefs
import Kernel
import Logging

extension Containers {
  /// Does something while the running ones of these containers stand still, without their being paused for anybody who looks. A daemon
  /// that dies meanwhile lets them go on at its next start: a note a container (`<exec-root>/frozen/<id>`) says that they are ours to thaw.
  public func frozen<T: Sendable>(_ ids: [String], _ body: @Sendable () async throws -> T) async throws -> T {
    var held: [Container] = []
    let notes = configuration.execRoot + "/frozen"
    do {
      for id in ids.sorted() {
        guard let container = try? find(id), container.state.alive, !container.state.paused else { continue }
        let snapshot = container.snapshot
        held.append(container)
        try await blocking { [self] in
          try Sys.mkdirAll(notes, mode: 0o700)
          try Sys.replaceFile(notes + "/" + snapshot.id, with: [], mode: 0o600, durable: false)
          try cgroup(of: snapshot).freeze()
        }
      }
      let result = try await body()
      await thaw(held)
      return result
    } catch {
      await thaw(held)
      throw error
    }
  }

  private func thaw(_ held: [Container]) async {
    for container in held {
      do {
        try await blocking { [self] in
          // Somebody paused it meanwhile: it stays so.
          if !container.state.paused { try cgroup(of: container.snapshot).thaw() }
          try Sys.unlink(configuration.execRoot + "/frozen/" + container.id)
        }
      } catch {
        // A container that ended has no group any more.
        if container.state.alive { logger.error("let container \(container.id) go on: \(error)") }
      }
    }
  }

  /// At the start, before containers are adopted.
  func thawForgotten() async {
    let notes = configuration.execRoot + "/frozen"
    for entry in (try? Sys.entries(of: notes)) ?? [] {
      do {
        try await blocking { [self] in
          if let container = try? find(entry.name) {
            let group = try cgroup(of: container.snapshot)
            if group.exists { try group.thaw() }
          }
          try Sys.unlink(notes + "/" + entry.name)
        }
        logger.info("container \(entry.name), which a snapshot held still, goes on")
      } catch { logger.error("let container \(entry.name) go on: \(error)") }
    }
  }
}
