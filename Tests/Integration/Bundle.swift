import CLinux
import Kernel
import OCI

/// A bundle of the test's own, with busybox as its root file system, and the state of the runtimes that run it.
final class Bundle {
  let folder: String
  var path: String { folder + "/bundle" }
  /// The static program, where the peers see it too.
  let program: String

  init() throws {
    guard !Daemon.bin.isEmpty else { throw Daemon.EnvironmentError.notBuilt }
    var template = Array("/tmp/berth-bundle-XXXXXX\0".utf8CString)
    guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
    folder = String(cString: made)
    program = folder + "/berth-runtime"
    try Sys.mkdirAll(path + "/rootfs/bin")
    for name in ["etc", "tmp", "data"] { try Sys.mkdir(path + "/rootfs/" + name) }
    guard let busybox = ProcessEnvironment.find("busybox") else {
      throw SyscallError("find", "busybox", .noSuchFile)
    }
    try Self.copy(busybox, to: path + "/rootfs/bin/busybox")
    try Self.copy(Daemon.bin + "/berth-runtime", to: program)
    let applets = try Command(path: busybox).run(["--list"])
    for name in applets.lines where name != "busybox" { try Sys.symlink("busybox", path + "/rootfs/bin/" + name) }
    try Sys.replaceFile(path + "/rootfs/etc/passwd", with: [], durable: false)
  }

  deinit { try? Sys.removeTree(folder) }

  private static func copy(_ source: String, to destination: String) throws {
    let file = try Sys.open(destination, O_WRONLY | O_CREAT | O_EXCL, mode: 0o755)
    try Sys.writeAll(file.raw, try Sys.readFile(source))
  }

  /// What `berth-runtime spec` writes, without a terminal, running this script.
  func specification(_ script: String) throws -> RuntimeSpec {
    try? Sys.unlink(path + "/config.json")
    let made = try Command(path: program).run(["spec", "-b", path])
    guard made.status == 0 else { throw SyscallError("spec", "\(made)", .io) }
    var spec = try RuntimeSpec(decoding: try Sys.readFile(path + "/config.json"))
    spec.process?.terminal = false
    spec.process?.args = ["/bin/sh", "-c", script]
    // By the container's id, two suites on one machine would share a group, and the first to delete would end the other's.
    spec.linux.cgroupsPath = "/" + (folder.split(separator: "/").last ?? "berth-bundle")
    return spec
  }

  func write(_ spec: RuntimeSpec) throws {
    try Sys.replaceFile(path + "/config.json", with: spec.encoded(), durable: false)
  }

  /// A runtime under test, with a root of its own.
  struct Runtime: CustomStringConvertible {
    let name: String
    let command: Command
    let prefix: [String]
    var description: String { name }

    func run(_ words: [String], deadline: UInt64 = 60) throws -> Command.Result {
      try command.run(prefix + words, deadline: deadline)
    }

    /// A shell's script where the runtime is.
    func shell(_ script: String, deadline: UInt64 = 120) throws -> Command.Result {
      guard let peers = Peers.command else {
        return try Command(path: "/bin/sh").run(["-c", script], deadline: deadline)
      }
      return try Command(path: peers.path).run(peers.prefix + ["sh", "-c", script], deadline: deadline)
    }
  }

  var berth: Runtime {
    Runtime(name: "berth-runtime", command: Command(path: program), prefix: ["--root", folder + "/berth"])
  }

  /// crun and runc, where they are; the references.
  var references: [Runtime] {
    ["crun", "runc"].compactMap { name in
      guard let peers = Peers.command else {
        return ProcessEnvironment.find(name).map {
          Runtime(name: name, command: Command(path: $0), prefix: ["--root", "\(folder)/\(name)"])
        }
      }
      return Runtime(
        name: name, command: Command(path: peers.path), prefix: peers.prefix + [name, "--root", "\(folder)/\(name)"])
    }
  }
}
