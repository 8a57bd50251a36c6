import CLinux
import Kernel
import OCI
import Testing

/// SCMP_ACT_NOTIFY: a listener of the test's own gets the filter's descriptor and answers the calls (seccomp_unotify(2)).
@Suite("seccomp listeners", .serialized)
struct SeccompListenerTests {
  /// A listening socket, and what came to it.
  private final class Listener {
    let path: String
    private let socket: Descriptor

    init(_ path: String) throws {
      self.path = path
      socket = try Sys.socket(AF_UNIX, Sys.sockStream)
      try Sys.bind(socket.raw, path: path)
      try Sys.listen(socket.raw)
    }

    /// The state that was sent, and the filter.
    func accept() throws -> (state: JSON, filter: SharedDescriptor) {
      guard try Sys.poll(socket.raw, Int16(POLLIN), timeout: 20_000) != 0 else {
        throw SyscallError("accept", path, .timedOut)
      }
      let connection = try Sys.accept(socket.raw)
      var bytes: [UInt8] = []
      var filter: SharedDescriptor?
      while true {
        var buffer = [UInt8](repeating: 0, count: 64 << 10)
        let (count, descriptors, _) = try buffer.withUnsafeMutableBytes { try Sys.receive(connection.raw, $0) }
        if let first = descriptors.first { filter = SharedDescriptor(owning: first) }
        guard count > 0 else { break }
        bytes += buffer.prefix(count)
      }
      guard let filter else { throw SyscallError("recvmsg", path, .badDescriptor) }
      return (try JSON.parse(bytes), filter)
    }
  }

  /// Receives one notification and answers it: `error` 0 and the value 0, or the error.
  private func answer(_ filter: SharedDescriptor, errno: Int32) throws -> (pid: UInt32, number: Int32) {
    guard try Sys.poll(filter.raw, Int16(POLLIN), timeout: 20_000) != 0 else {
      throw SyscallError("poll", "listener", .timedOut)
    }
    // struct seccomp_notif (80 bytes: id, pid, flags, data) and seccomp_notif_resp (24: id, val, error, flags).
    var request = [UInt8](repeating: 0, count: 80)
    try request.withUnsafeMutableBytes { buffer in
      _ = try Sys.retrying("SECCOMP_IOCTL_NOTIF_RECV") { cl_ioctl(filter.raw, 0xc050_2100, buffer.baseAddress) }
    }
    let (pid, number) = request.withUnsafeBytes {
      ($0.loadUnaligned(fromByteOffset: 8, as: UInt32.self), $0.loadUnaligned(fromByteOffset: 16, as: Int32.self))
    }
    var response = [UInt8](repeating: 0, count: 24)
    response.replaceSubrange(0..<8, with: request[0..<8])
    withUnsafeBytes(of: -errno) { response.replaceSubrange(16..<20, with: $0) }
    try response.withUnsafeMutableBytes { buffer in
      _ = try Sys.retrying("SECCOMP_IOCTL_NOTIF_SEND") { cl_ioctl(filter.raw, 0xc018_2101, buffer.baseAddress) }
    }
    return (pid, number)
  }

  private func bundle(_ script: String, listener: String?, flags: [String] = []) throws -> Bundle {
    let bundle = try Bundle()
    var spec = try bundle.specification(script)
    spec.mounts.append(RuntimeSpec.Mount(destination: "/tmp", type: "tmpfs", source: "tmpfs"))
    spec.annotations = ["org.example.a": "b"]
    spec.linux.seccomp = RuntimeSpec.Seccomp(
      defaultAction: "SCMP_ACT_ALLOW", flags: flags, listenerPath: listener, listenerMetadata: "by the test",
      syscalls: [RuntimeSpec.Seccomp.Rule(names: ["mkdir", "mkdirat"], action: "SCMP_ACT_NOTIFY")])
    try bundle.write(spec)
    return bundle
  }

  private static let script =
    "mkdir /tmp/a 2>&1 | sed 's/.*: //'; mkdir /tmp/b && echo done; [ -d /tmp/b ] || echo 'not made'"

  @Test("of run: it answers a call by an error and another by success, with all flags")
  func run() throws {
    let folder = try Scratch()
    let listener = try Listener(folder.path + "/listener")
    let bundle = try bundle(
      Self.script, listener: listener.path,
      flags: [
        "SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_SPEC_ALLOW", "SECCOMP_FILTER_FLAG_TSYNC",
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
      ])
    let running = try bundle.berth.command.start(bundle.berth.prefix + ["run", "-b", bundle.path, "c"])
    let (state, filter) = try listener.accept()
    #expect(state["fds"]?[0]?.stringValue == "seccompFd")
    #expect(state["metadata"]?.stringValue == "by the test")
    #expect(state["ociVersion"]?.stringValue?.hasPrefix("1.") == true)
    #expect(state["state"]?["id"]?.stringValue == "c")
    #expect(state["state"]?["status"]?.stringValue == "created")
    #expect(state["state"]?["bundle"]?.stringValue == bundle.path)
    #expect(state["state"]?["annotations"]?["org.example.a"]?.stringValue == "b")
    let pid = try #require(state["pid"]?.intValue)
    #expect(state["state"]?["pid"]?.intValue == pid)
    #expect(try answer(filter, errno: 75).pid != 0)
    _ = try answer(filter, errno: 0)
    let result = try running.wait()
    #expect(result.line == "Value too large for defined data type\ndone\nnot made", "\(result)")
  }

  @Test("of create, start and exec: each hands its own filter over")
  func gate() throws {
    let folder = try Scratch()
    let listener = try Listener(folder.path + "/listener")
    let bundle = try bundle(Self.script + "; sleep 100", listener: listener.path)
    // A file's: the container outlives create, and a pipe would be held open.
    let created = try bundle.berth.run(["create", "-b", bundle.path, "c"])
    try #require(created.status == 0, "\(created)")
    defer { _ = try? bundle.berth.run(["delete", "-f", "c"]) }
    let starting = try bundle.berth.command.start(bundle.berth.prefix + ["start", "c"])
    let (state, filter) = try listener.accept()
    #expect(state["state"]?["status"]?.stringValue == "created")
    _ = try answer(filter, errno: 28)
    _ = try answer(filter, errno: 0)
    #expect(try starting.wait().status == 0)

    let executing = try bundle.berth.command.start(bundle.berth.prefix + ["exec", "c", "mkdir", "/tmp/c"])
    let (second, own) = try listener.accept()
    #expect(second["state"]?["status"]?.stringValue == "running")
    #expect(second["state"]?["pid"]?.intValue == state["pid"]?.intValue)
    #expect(second["pid"]?.intValue != state["pid"]?.intValue)
    _ = try answer(own, errno: 28)
    let result = try executing.wait()
    #expect(result.status == 1)
    #expect(result.err.contains("No space left on device"), "\(result)")
  }

  @Test("of a profile of docker's: run and exec are answered")
  func docker() throws {
    let daemon = try Daemon()
    guard let docker = daemon.docker else { return print("➜ seccomp listeners: docker's command line isn't installed") }
    let folder = try Scratch()
    let listener = try Listener(folder.path + "/listener")
    let profile = """
      {"defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "\(listener.path)", "listenerMetadata": "by the test",
       "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}]}
      """
    try Sys.replaceFile(folder.path + "/profile.json", with: Array(profile.utf8), durable: false)
    let running = try docker.start([
      "run", "--name", "notified", "--network", "none", "--security-opt", "seccomp=\(folder.path)/profile.json",
      "busybox", "sh",
      "-c", Self.script + "; sleep 100",
    ])
    let (state, filter) = try listener.accept()
    #expect(state["metadata"]?.stringValue == "by the test")
    #expect(state["state"]?["id"]?.stringValue?.count == 64)
    _ = try answer(filter, errno: 75)
    _ = try answer(filter, errno: 0)
    let executing = try docker.start(["exec", "notified", "mkdir", "/tmp/c"])
    let (_, own) = try listener.accept()
    _ = try answer(own, errno: 28)
    let result = try executing.wait()
    #expect(result.status == 1)
    #expect(result.err.contains("No space left on device"), "\(result)")
    #expect(try docker.run(["rm", "-f", "notified"]).status == 0)
    let ended = try running.wait()
    #expect(ended.out == "Value too large for defined data type\ndone\nnot made\n", "\(ended)")
  }

  @Test("that isn't there fails the start, and nothing is left")
  func absent() throws {
    let bundle = try bundle("true", listener: "/no/such/listener")
    let result = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(result.status == 1)
    #expect(result.err.contains("linux.seccomp.listenerPath: connect \"/no/such/listener\""), "\(result)")
    #expect(try Sys.entries(of: bundle.folder + "/berth").allSatisfy { $0.name.hasPrefix(".") })
  }

  /// A folder of the test's own.
  private final class Scratch {
    let path: String
    init() throws {
      var template = Array("/tmp/berth-seccomp-XXXXXX\0".utf8CString)
      guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
      path = String(cString: made)
    }
    deinit { try? Sys.removeTree(path) }
  }
}
