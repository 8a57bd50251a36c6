import CLinux
import Kernel
import Netlink
import Synchronization
import Testing

@testable import Networks

/// Prints microseconds; only with BERTH_MEASURE in the environment, in a release build.
@Suite("Measurements", .enabled(if: getenv("BERTH_MEASURE") != nil, "BERTH_MEASURE isn't set"), .serialized)
struct MeasureTests {
  private func report(_ name: String, _ samples: [UInt64]) {
    let sorted = samples.sorted()
    func micro(_ value: UInt64) -> String { "\(Double(value / 10) / 100)" }
    print(
      "MEASURE \(name): median \(micro(sorted[sorted.count / 2])) µs, p10 \(micro(sorted[sorted.count / 10])), "
        + "p90 \(micro(sorted[sorted.count * 9 / 10]))")
  }

  private func time<T>(_ samples: inout [UInt64], _ body: () async throws -> T) async rethrows -> T {
    let start = Sys.monotonicNanoseconds()
    let result = try await body()
    samples.append(Sys.monotonicNanoseconds() - start)
    return result
  }

  @Test("attach from the pool, with and without a port, and release")
  func pool() async throws {
    try await Host.run({ $0.poolSize = 64 }) { host in
      for ports in [0, 1, 10] {
        try await host.settle()
        var attach: [UInt64] = []
        var release: [UInt64] = []
        for number in 0..<50 {
          let bindings = (0..<ports).map { PortBinding(UInt16(80 + $0), on: "\(20000 + number * 10 + $0)") }
          _ = try await time(&attach) { try await host.attach(number, bindings) }
        }
        for number in 0..<50 { await time(&release) { host.release(number) } }
        report("attach from the pool, \(ports) ports", attach)
        report("release (the caller's part), \(ports) ports", release)
      }
    }
  }

  @Test("attach while the kernel takes namespaces apart, from the pool and without")
  func teardown() async throws {
    for size in [64, 0] {
      try await Host.run({ $0.poolSize = size }) { host in
        if size > 0 { try await host.settle() }
        for number in 0..<20 { _ = try await host.attach(number) }
        if size > 0 { try await host.settle() }
        var attach: [UInt64] = []
        for number in 0..<20 {
          host.release(number)
          _ = try await time(&attach) { try await host.attach(100 + number) }
        }
        report("attach beside teardown, pool of \(size)", attach)
      }
    }
  }

  @Test("attach without a pool on a quiet host; making one; the address and route batch alone")
  func cold() async throws {
    try await Host.run({ $0.poolSize = 0 }) { host in
      var attach: [UInt64] = []
      for number in 0..<40 { _ = try await time(&attach) { try await host.attach(number) } }
      report("attach without a pool", attach)
      let makes = try await host.networks.core.onThread { plumber in
        var samples: [[UInt64]] = [[], []]
        for (index, kind) in [Sandbox.Kind.bridge, .none].enumerated() {
          for _ in 0..<40 {
            let start = Sys.monotonicNanoseconds()
            let sandbox = try plumber.make(kind)
            samples[index].append(Sys.monotonicNanoseconds() - start)
            host.networks.core.drop(sandbox)
          }
        }
        return samples
      }
      report("make a sandbox on the bridge", makes[0])
      report("make a sandbox without network", makes[1])

      var batches: [UInt64] = []
      for number in 0..<40 {
        guard let endpoint = try? await host.attach(200 + number) else { continue }
        let sample = try host.inside(endpoint) {
          var links = try NetlinkSocket(.route)
          guard let eth0 = try links.link(named: "eth0"), let extra = IPv4Subnet("10.250.0.2/24"),
            let gateway = IPv4Address("10.250.0.1"), let far = IPv4Subnet("10.251.0.0/24")
          else { return UInt64(0) }
          let start = Sys.monotonicNanoseconds()
          var batch = NetlinkBatch()
          batch.addAddress(extra, link: eth0.index)
          batch.addRoute(far, gateway: gateway, link: eth0.index)
          try links.execute(batch)
          return Sys.monotonicNanoseconds() - start
        }
        batches.append(sample)
      }
      report("address and route batch in a sandbox", batches)
    }
  }
}
