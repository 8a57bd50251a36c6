import CLinux
import Kernel
import OCI
import Testing

@Suite("the default bridge from outside", .serialized)
struct NetworkTests {
  @Test("a container reaches another and the bridge; a published port answers on the host by loopback")
  func reachability() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "web", "-p", "18081:80", "busybox", "sh", "-c",
        "mkdir /www; echo page >/www/index.html; exec httpd -f -p 80 -h /www")
      let address = try daemon.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "web").line
      #expect(address.split(separator: ".").count == 4)
      let wget = "for i in 1 2 3 4 5 6 7 8 9 10; do wget -q -O - http://\(address)/ && break; usleep 100000; done"
      #expect(try daemon.ok("run", "--rm", "busybox", "sh", "-c", wget).line == "page")
      let gateway = try daemon.ok("inspect", "-f", "{{.NetworkSettings.Networks.bridge.Gateway}}", "web").line
      #expect(
        try daemon.ok("run", "--rm", "busybox", "ping", "-c", "1", "-W", "2", gateway).out.contains(
          "1 packets received"))
      #expect(try fetch("127.0.0.1", 18081)?.hasSuffix("page\n") == true)
      #expect(try fetch(gateway, 18081)?.hasSuffix("page\n") == true)
      #expect(try daemon.ok("port", "web").lines == ["80/tcp -> 0.0.0.0:18081", "80/tcp -> [::]:18081"])
      #expect(try fetch("::1", 18081)?.hasSuffix("page\n") == true)
      let taken = try daemon.berth.run(["run", "--rm", "-p", "18081:80", "busybox", "true"])
      #expect(taken.status == 125)
      #expect(taken.err.contains("18081") && taken.err.contains("port is already allocated"), "\(taken)")
      try daemon.ok("rm", "-f", "web")
      #expect(try fetch("127.0.0.1", 18081) == nil, "the port goes with its container")
    }
  }

  @Test("published ports need no daemon and are told by port")
  func withoutTheDaemon() throws {
    try Daemon.with { daemon in
      try daemon.ok(
        "run", "-d", "--name", "up", "-p", "18082:80", "-p", "18083:9/udp", "busybox", "sh", "-c",
        "mkdir /www; echo again >/www/index.html; exec httpd -f -p 80 -h /www")
      // At once, perhaps before the row tells of the network.
      try daemon.kill()
      let alone = try fetch("127.0.0.1", 18082)
      #expect(alone?.hasSuffix("again\n") == true, "\(alone ?? "no answer")")
      try daemon.start()
      let adopted = try fetch("127.0.0.1", 18082)
      #expect(adopted?.hasSuffix("again\n") == true, "\(adopted ?? "no answer")")
      #expect(
        try daemon.ok("port", "up").lines.sorted() == [
          "80/tcp -> 0.0.0.0:18082", "80/tcp -> [::]:18082", "9/udp -> 0.0.0.0:18083", "9/udp -> [::]:18083",
        ])
      #expect(try fetch("::1", 18082)?.hasSuffix("again\n") == true, "carried by the next daemon too")
    }
  }

  /// An HTTP/1.0 GET of `/`; `nil` when nothing answers. The server may just be starting, so refused connections are tried again.
  private func fetch(_ address: String, _ port: UInt16) throws -> String? {
    for _ in 0..<20 {
      do throws(SyscallError) {
        let socket = try Sys.connect(address: address, port: port)
        var timeout = timeval(tv_sec: 2, tv_usec: 0)
        setsockopt(socket.raw, SOL_SOCKET, SO_RCVTIMEO, &timeout, socklen_t(MemoryLayout<timeval>.size))
        try Sys.writeAll(socket.raw, "GET / HTTP/1.0\r\n\r\n")
        let answer = String(decoding: try Sys.readAll(socket.raw), as: UTF8.self)
        if !answer.isEmpty { return answer }
      } catch {}
      _ = try Command(path: "/bin/sleep").run(["0.05"])
    }
    return nil
  }
}
