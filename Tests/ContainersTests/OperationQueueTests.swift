import Synchronization
import Testing

@testable import Containers

@Suite struct OperationQueueTests {
  private final class Log: Sendable {
    private let entries = Mutex<[String]>([])
    func add(_ entry: String) { entries.withLock { $0.append(entry) } }
    var all: [String] { entries.withLock { $0 } }
  }

  @Test func operationsRunOneAfterAnother() async {
    let queue = OperationQueue()
    let log = Log()
    await withTaskGroup(of: Void.self) { group in
      for number in 0..<20 {
        group.addTask {
          await queue.run {
            log.add("in \(number)")
            for _ in 0..<10 { await Task.yield() }
            log.add("out \(number)")
          }
        }
      }
    }
    let entries = log.all
    #expect(entries.count == 40)
    for index in stride(from: 0, to: 40, by: 2) {
      #expect(entries[index].dropFirst(3) == entries[index + 1].dropFirst(4), "nobody comes in between")
    }
  }

  @Test func aFailureLetsTheNextIn() async throws {
    struct Failure: Error {}
    let queue = OperationQueue()
    await #expect(throws: Failure.self) { try await queue.run { throw Failure() } }
    #expect(await queue.run { 7 } == 7)
  }
}
