import CLinux
import EngineClient
import Kernel
import OCI

extension Command {
  static let stats = Command(
    name: "stats", usage: "[OPTIONS] [CONTAINER...]",
    summary: "Display a live stream of container(s) resource usage statistics",
    aliases: ["container stats", "stats"], arguments: .any,
    flags: [
      Flag(.bool, "all", short: "a", "Show all containers (default shows just running)"),
      Flag(.string, "format", Flag.formatHelp),
      Flag(.bool, "no-stream", "Disable streaming stats and only pull the first result"),
      Flag(.bool, "no-trunc", "Do not truncate output"),
    ]
  ) { invocation in
    let format = invocation.values.string("format")
    let table = try TableFormat(
      ["", "table"].contains(format)
        ? "table {{.ID}}\t{{.Name}}\t{{.CPUPerc}}\t{{.MemUsage}}\t{{.MemPerc}}\t{{.NetIO}}\t{{.BlockIO}}\t{{.PIDs}}"
        : format)
    let board = StatisticsBoard(
      client: try invocation.client, named: invocation.arguments, all: invocation.values.bool("all"),
      streams: !invocation.values.bool("no-stream"), truncates: !invocation.values.bool("no-trunc"))
    try board.run { rows in
      let text = try table.render(titles: StatisticsRow.titles, rows: rows.map(\.record))
      if invocation.values.bool("no-stream") {
        invocation.output.print(text)
      } else {
        // Home, each line to its end, then what is left of the screen: no flicker.
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false).dropLast()
        invocation.output.print("\u{1B}[H" + lines.map { "\($0)\u{1B}[K\n" }.joined() + "\u{1B}[J")
      }
      invocation.output.flush()
    }
  }
}

/// One container's figures.
struct StatisticsRow {
  static let titles = [
    "Container": "CONTAINER", "Name": "NAME", "ID": "CONTAINER ID", "CPUPerc": "CPU %", "MemUsage": "MEM USAGE / LIMIT",
    "MemPerc": "MEM %", "NetIO": "NET I/O", "BlockIO": "BLOCK I/O", "PIDs": "PIDS",
  ]
  let container: String
  var sample: JSON?
  var truncates: Bool

  var record: TemplateRecord {
    TemplateRecord(typeName: "*container.statsContext", names: Array(StatisticsRow.titles.keys)) { name in
      field(name).map { .string($0) }
    }
  }

  private func number(_ json: JSON?, _ key: String) -> Double { json?[key]?.doubleValue ?? 0 }

  private func field(_ name: String) -> String? {
    let id = sample?["id"]?.stringValue ?? ""
    switch name {
    case "Container": return container
    case "ID": return truncates ? String(id.prefix(12)) : id
    case "Name":
      let own = sample?["name"]?.stringValue ?? ""
      return own.count > 1 ? String(own.dropFirst(own.hasPrefix("/") ? 1 : 0)) : "--"
    case "MemUsage":
      return sample == nil ? "-- / --" : "\(HumanUnits.binarySize(memory)) / \(HumanUnits.binarySize(limit))"
    case "CPUPerc", "MemPerc", "NetIO", "BlockIO", "PIDs":
      guard let sample else { return "--" }
      switch name {
      case "CPUPerc": return GoNumber.fixed(processor, digits: 2) + "%"
      case "MemPerc": return GoNumber.fixed(limit > 0 ? memory / limit * 100 : 0, digits: 2) + "%"
      case "NetIO":
        let networks = sample["networks"]?.objectValue?.members.map(\.value) ?? []
        return pair(
          networks.reduce(0) { $0 + number($1, "rx_bytes") }, networks.reduce(0) { $0 + number($1, "tx_bytes") })
      case "BlockIO":
        let entries = sample["blkio_stats"]?["io_service_bytes_recursive"]?.arrayValue ?? []
        func sum(_ letter: Character) -> Double {
          entries.filter { $0["op"]?.stringValue?.lowercased().first == letter }.reduce(0) { $0 + number($1, "value") }
        }
        return pair(sum("r"), sum("w"))
      default: return "\(sample["pids_stats"]?["current"]?.intValue ?? 0)"
      }
    default: return nil
    }
  }

  private func pair(_ a: Double, _ b: Double) -> String {
    "\(HumanUnits.size(a, precision: 3)) / \(HumanUnits.size(b, precision: 3))"
  }

  private var limit: Double { number(sample?["memory_stats"], "limit") }

  /// Without the page cache's cold part (cgroup v1, then v2).
  private var memory: Double {
    let usage = number(sample?["memory_stats"], "usage")
    let details = sample?["memory_stats"]?["stats"]
    for key in ["total_inactive_file", "inactive_file"] {
      if let inactive = details?[key]?.doubleValue, inactive < usage { return usage - inactive }
    }
    return usage
  }

  private var processor: Double {
    let (now, before) = (sample?["cpu_stats"], sample?["precpu_stats"])
    let own = number(now?["cpu_usage"], "total_usage") - number(before?["cpu_usage"], "total_usage")
    let system = number(now, "system_cpu_usage") - number(before, "system_cpu_usage")
    var count = number(now, "online_cpus")
    if count == 0 { count = Double(now?["cpu_usage"]?["percpu_usage"]?.arrayValue?.count ?? 0) }
    return system > 0 && own > 0 ? own / system * count * 100 : 0
  }
}

/// Follows the figures of several containers, and containers as they come and go when none is named.
private final class StatisticsBoard {
  private let client: EngineClient
  private let named: [String]
  private let all: Bool
  private let streams: Bool
  private let truncates: Bool
  private var rows: [StatisticsRow] = []
  private var sources: [String: JSONStream] = [:]

  init(client: EngineClient, named: [String], all: Bool, streams: Bool, truncates: Bool) {
    self.client = client
    self.named = named
    self.all = all
    self.streams = streams
    self.truncates = truncates
  }

  func run(_ draw: ([StatisticsRow]) throws -> Void) throws {
    var events: JSONStream?
    if named.isEmpty && streams {
      events = JSONStream(try client.get("/events", query: ["filters": Filters.parameter(["type=container"])]))
    }
    var names = named
    if named.isEmpty {
      let list = try client.get("/containers/json", query: all ? ["all": "1"] : [:]).json().arrayValue ?? []
      names = list.map { String(($0["Id"]?.stringValue ?? "").prefix(12)) }
    }
    try follow(names)
    if !streams {
      for index in rows.indices {
        rows[index].sample = try sources[rows[index].container]?.next().flatMap(known)
      }
      try draw(rows)
      return
    }
    let timer = try Sys.timerfd()
    try Sys.setTimer(timer.raw, nanoseconds: 1)
    while !(rows.isEmpty && events == nil) {
      let streams = sources.compactMap { name, stream in stream.fd.map { (name, $0) } }
      var polls = [pollfd(fd: timer.raw, events: Int16(POLLIN), revents: 0)]
      polls.append(pollfd(fd: events?.fd ?? -1, events: Int16(POLLIN), revents: 0))
      polls += streams.map { pollfd(fd: $0.1, events: Int16(POLLIN), revents: 0) }
      try Sys.retrying("poll") { poll(&polls, nfds_t(polls.count), -1) }
      for (index, entry) in streams.enumerated() where polls[index + 2].revents != 0 { try take(entry.0) }
      if polls[1].revents != 0, let stream = events {
        repeat { guard try stream.fill() else { return } } while stream.hasUnread
        while let event = try stream.buffered() { try handle(event) }
      }
      if polls[0].revents != 0 {
        try Sys.drainEvent(timer.raw)
        if rows.allSatisfy({ $0.sample != nil }) || !rows.isEmpty { try draw(rows) }
        try Sys.setTimer(timer.raw, nanoseconds: 500_000_000)
      }
    }
  }

  /// A container that doesn't run has no times to tell.
  private func known(_ sample: JSON) -> JSON? {
    guard sample["id"]?.stringValue?.isEmpty == false || sample["name"] != nil else { return nil }
    return sample
  }

  private func follow(_ names: [String]) throws {
    var errors: [String] = []
    let begun = names.map { name in
      (
        name,
        Result {
          try client.begin(
            Request("GET", "/containers/\(PercentEncoding.encode(name))/stats", query: ["stream": streams ? "1" : "0"]))
        }
      )
    }
    for (name, exchange) in begun where !rows.contains(where: { $0.container == name }) {
      do {
        sources[name] = JSONStream(try exchange.get().response())
        rows.append(StatisticsRow(container: name, sample: nil, truncates: truncates))
        if streams, sources[name]?.hasUnread == true { try take(name) }
      } catch { errors.append("\(error)") }
    }
    guard errors.isEmpty || named.isEmpty else { throw CommandFailure(errors.joined(separator: "\n")) }
  }

  private func take(_ name: String) throws {
    guard let stream = sources[name] else { return }
    var goesOn = try stream.fill()
    while goesOn && stream.hasUnread { goesOn = try stream.fill() }
    while let sample = try stream.buffered() {
      if let index = rows.firstIndex(where: { $0.container == name }) { rows[index].sample = known(sample) }
    }
    if !goesOn {
      sources[name] = nil
      if !all { rows.removeAll { $0.container == name } }
    }
  }

  private func handle(_ event: JSON) throws {
    let id = String((event["Actor"]?["ID"]?.stringValue ?? "").prefix(12))
    switch event["Action"]?.stringValue {
    case "start": try follow([id])
    case "create" where all: try follow([id])
    case "die" where !all, "destroy":
      sources[id] = nil
      rows.removeAll { $0.container == id }
    default: break
    }
  }
}
