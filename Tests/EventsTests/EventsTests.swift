import Events
import OCI
import Testing

@Suite struct EventsTests {
  private func event(_ number: Int, _ action: String = "start", _ attributes: [String: String] = [:]) -> Event {
    Event(.container, action, id: "id\(number)", attributes: attributes, time: Int64(number))
  }

  @Test func aSubscriberGetsWhatComesInOrder() async {
    let events = Events()
    let subscription = events.subscribe()
    for number in 1...100 { events.publish(event(number)) }
    var got: [Int64] = []
    for await event in subscription {
      got.append(event.time)
      if got.count == 100 { break }
    }
    #expect(got == (1...100).map { Int64($0) })
  }

  @Test func historyComesFirstAndWithoutAGap() async {
    let events = Events(capacity: 4)
    for number in 1...10 { events.publish(event(number)) }
    let subscription = events.subscribe(since: 8)
    events.publish(event(11))
    var iterator = subscription.makeAsyncIterator()
    var got: [Int64] = []
    for _ in 0..<4 { if let event = await iterator.next() { got.append(event.time) } }
    #expect(got == [8, 9, 10, 11])
    #expect(events.history(since: nil, until: 8).map(\.time) == [8])
  }

  @Test func aSubscriberThatDoesNotReadHoldsUpNobodyAndLosesOnlyItsOwn() async {
    let events = Events()
    let slow = events.subscribe()
    for number in 1...3000 { events.publish(event(number)) }
    #expect(slow.droppedEvents == 3000 - 1024)
    let fresh = events.subscribe()
    events.publish(event(3001))
    var iterator = fresh.makeAsyncIterator()
    #expect(await iterator.next()?.time == 3001)
  }

  @Test func aCancelledReaderIsForgotten() async {
    let events = Events()
    let task = Task { for await _ in events.subscribe() {} }
    while events.subscriberCount == 0 { await Task.yield() }
    task.cancel()
    await task.value
    #expect(events.subscriberCount == 0)
  }

  @Test func filtersMatchAsDockersDo() {
    let start = event(1, "start", ["image": "docker.io/library/busybox:1", "name": "web", "role": "front"])
    func holds(_ filters: [String: [String]]) -> Bool { EventFilter(filters).includes(start) }
    #expect(holds([:]))
    #expect(holds(["event": ["start"]]) && !holds(["event": ["sta"]]))
    #expect(holds(["container": ["we"]]), "names match from their beginning")
    #expect(holds(["container": ["id1"]]) && !holds(["container": ["other"]]))
    #expect(holds(["image": ["busybox"]]) && !holds(["image": ["alpine"]]))
    #expect(holds(["label": ["role"]]) && holds(["label": ["role=front"]]) && !holds(["label": ["role", "x"]]))
    #expect(holds(["type": ["container", "image"]]) && !holds(["type": ["network"]]))
    #expect(EventFilter(["event": ["exec_create"]]).includes(event(2, "exec_create: sh -c x")))
  }

  @Test func jsonIsDockers() {
    let text = event(1_500_000_000, "start", ["image": "x", "name": "n"]).json(legacy: true).text
    #expect(
      text
        == #"{"status":"start","id":"id1500000000","from":"x","Type":"container","Action":"start","Actor":{"ID":"id1500000000","Attributes":{"image":"x","name":"n"}},"scope":"local","time":1,"timeNano":1500000000}"#
    )
    #expect(event(1).json(legacy: false)["status"] == nil)
  }
}
