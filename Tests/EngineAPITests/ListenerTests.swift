import CLinux
import Errdefs
import Kernel
import Testing

@testable import EngineAPI

@Suite struct ListenerTests {
  func inDirectory(_ body: (String) throws -> Void) throws {
    let directory = "/tmp/listener-test-\(getpid())-\(UInt32.random(in: 0...UInt32.max))"
    try Sys.mkdir(directory, mode: 0o700)
    defer { try? Sys.rmdir(directory) }
    try body("\(directory)/a.sock")
  }

  @Test func makesASocketForRootAndTheGroupOnly() throws {
    try inDirectory { path in
      let listener = try Listener.unix(path)
      let socket = Descriptor(owning: listener.descriptor)
      let status = try Sys.status(path)
      #expect(status.st_mode & 0o7777 == 0o660)
      #expect(status.st_gid == Listener.groupNumber("docker") ?? 0)
      listener.remove()
      #expect(!Sys.exists(path))
      _ = consume socket
    }
  }

  @Test func replacesAStaleSocketAndNeverALiveOne() throws {
    try inDirectory { path in
      let stale = try Listener.unix(path)
      try Descriptor(owning: stale.descriptor).close()
      #expect(Sys.exists(path))
      let live = try Listener.unix(path)
      let socket = Descriptor(owning: live.descriptor)
      #expect(throws: EngineError.self) { try Listener.unix(path) }
      // The stale one's owner comes late and must not take away what isn't its own.
      stale.remove()
      #expect(Sys.exists(path))
      live.remove()
      _ = consume socket
    }
  }

  @Test func leavesAFileAlone() throws {
    try inDirectory { path in
      let file = try Sys.open(path, O_CREAT | O_WRONLY)
      try Sys.writeAll(file.raw, "mine")
      defer { try? Sys.unlink(path) }
      #expect(throws: EngineError.self) { try Listener.unix(path) }
      #expect(try Sys.readFile(path) == Array("mine".utf8))
    }
  }

  @Test(arguments: [
    ("unix:///run/a.sock", Host.unix("/run/a.sock")), ("fd://", .systemd(nil)), ("fd://4", .systemd(4)),
    ("tcp://127.0.0.1:2375", .tcp("127.0.0.1", 2375)), ("tcp://[::1]:2375", .tcp("::1", 2375)),
  ])
  func readsHosts(_ text: String, _ host: Host) throws { #expect(try Host(text) == host) }

  @Test(arguments: [
    "tcp://0.0.0.0:2375", "tcp://:2375", "tcp://127.0.0.1", "tcp://example.com:2375", "unix://relative", "http://x",
    "fd://1", "",
  ])
  func refusesHosts(_ text: String) { #expect(throws: EngineError.self) { try Host(text) } }
}
