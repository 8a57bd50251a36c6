import Synchronization

/// The bus that tells what happens: every noun publishes, `GET /events` and the engine's own parts subscribe.
///
/// Owns: the last `capacity` events, for `since`, and the subscribers. Nothing is on disk: a daemon's start begins an empty history.
///
/// A subscriber that doesn't read loses events once its own buffer of 1,024 is full (`EventSubscription.dropped` counts them); it
/// never holds up a publisher nor another subscriber. One lock, held for copies only; nothing else is taken under it.
///
/// Must not: know of the nouns, or call back into them.
public final class Events: Sendable {
  private struct State {
    var history: [Event] = []
    /// Where the oldest is once the history is full.
    var start = 0
    var next: UInt64 = 0
    var subscribers: [UInt64: Subscriber] = [:]
  }

  private struct Subscriber {
    let filter: EventFilter
    let continuation: AsyncStream<Event>.Continuation
    let dropped: DropCounter
  }

  private let state = Mutex(State())
  private let capacity: Int

  /// Docker keeps 256.
  public init(capacity: Int = 256) { self.capacity = max(1, capacity) }

  public func publish(_ event: Event) {
    state.withLock { state in
      if state.history.count < capacity {
        state.history.append(event)
      } else {
        state.history[state.start] = event
        state.start = (state.start + 1) % capacity
      }
      for subscriber in state.subscribers.values where subscriber.filter.includes(event) {
        if case .dropped = subscriber.continuation.yield(event) { subscriber.dropped.add() }
      }
    }
  }

  public var subscriberCount: Int { state.withLock { $0.subscribers.count } }

  /// Past events of the history from `since` on (`nil`: none), then, without a gap, those to come until the subscription's iterator or
  /// the subscription itself is let go. Times are nanoseconds since 1970; past events after `until` are left out.
  public func subscribe(since: Int64? = nil, until: Int64? = nil, filter: EventFilter = EventFilter())
    -> EventSubscription
  {
    let dropped = DropCounter()
    let (stream, continuation) = AsyncStream.makeStream(of: Event.self, bufferingPolicy: .bufferingOldest(1024))
    let (past, id): ([Event], UInt64) = state.withLock { state in
      let id = state.next
      state.next += 1
      state.subscribers[id] = Subscriber(filter: filter, continuation: continuation, dropped: dropped)
      return (select(state, since: since, until: until, filter: filter), id)
    }
    continuation.onTermination = { [weak self] _ in self?.unsubscribe(id) }
    return EventSubscription(past: past, live: stream, dropped: dropped)
  }

  /// Past events alone.
  public func history(since: Int64?, until: Int64?, filter: EventFilter = EventFilter()) -> [Event] {
    state.withLock { select($0, since: since, until: until, filter: filter) }
  }

  private func select(_ state: State, since: Int64?, until: Int64?, filter: EventFilter) -> [Event] {
    guard since != nil || until != nil else { return [] }
    let ordered = state.history[state.start...] + state.history[..<state.start]
    return ordered.filter { event in
      event.time >= since ?? .min && event.time <= until ?? .max && filter.includes(event)
    }
  }

  private func unsubscribe(_ id: UInt64) { state.withLock { _ = $0.subscribers.removeValue(forKey: id) } }
}

/// Counts what a slow subscriber lost.
final class DropCounter: Sendable {
  private let count = Atomic<Int>(0)
  func add() { count.add(1, ordering: .relaxed) }
  var value: Int { count.load(ordering: .relaxed) }
}

/// Events as they come: those of the history first. For one reader.
public struct EventSubscription: AsyncSequence, Sendable {
  public typealias Element = Event
  public typealias Failure = Never

  let past: [Event]
  let live: AsyncStream<Event>
  let dropped: DropCounter

  /// Events that came while this subscription's buffer was full.
  public var droppedEvents: Int { dropped.value }

  public struct AsyncIterator: AsyncIteratorProtocol {
    var past: ArraySlice<Event>
    var live: AsyncStream<Event>.Iterator

    /// `nil` once the task is cancelled.
    public mutating func next() async -> Event? {
      if let event = past.popFirst() { return event }
      return await live.next()
    }

    public mutating func next(isolation actor: isolated (any Actor)?) async throws(Never) -> Event? {
      if let event = past.popFirst() { return event }
      return await live.next(isolation: actor)
    }
  }

  public func makeAsyncIterator() -> AsyncIterator { AsyncIterator(past: past[...], live: live.makeAsyncIterator()) }
}
