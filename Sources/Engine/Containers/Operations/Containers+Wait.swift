import Errdefs
import Synchronization

extension Containers {
  /// Registers at once; throws at once when there is no such container.
  public func wait(_ reference: String, _ condition: WaitCondition) throws -> ContainerWait {
    let container = try find(reference)
    let (id, waiter) = container.addWaiter(condition == .removed ? .removal : .exit)
    if condition == .notRunning, !container.state.running {
      container.forget(waiter: id)
      let state = container.state
      return ContainerWait { WaitResult(statusCode: state.exitCode, error: state.error.isEmpty ? nil : state.error) }
    }
    if condition == .removed, table.withLock({ $0.byID[container.id] == nil }) {
      waiter.resolve(.success(WaitResult(statusCode: container.state.exitCode)))
    }
    return ContainerWait {
      defer { container.forget(waiter: id) }
      return try await waiter.value()
    }
  }
}
