import CLinux
import Kernel
import OCI

/// `checkpoint`: CRIU's, which has to be installed.
enum Checkpoint {
  static let command = RuntimeCommand.Command(
    name: "checkpoint", usage: "[flags] ID", summary: "write a container to disk (by CRIU)",
    flags: CRIU.flags + [
      Flag("leave-running", nil, "let it go on"), Flag("pre-dump", nil, "only its memory"),
      Flag("parent-path", value: "DIR", "an earlier pre-dump"),
      Flag("tcp-skip-in-flight", nil, "skip connections being made"),
    ], run: run)

  static func run(_ call: RuntimeCommand.Invocation) throws(CommandError) -> Int32 {
    let container = try Container(try call.containerID(), root: call.root)
    let program = try CRIU.find(call)
    let process = try container.process()
    let images = try Environment.absolute(call.options.value("image-path") ?? "checkpoint")
    try attempt("make \(images)") { () throws(SyscallError) in try Sys.mkdirAll(images, mode: 0o700) }
    var words = [program, call.options.has("pre-dump") ? "pre-dump" : "dump", "--tree", "\(process.pid)"]
    words += CRIU.common(call, images: images)
    if let root = container.record?.rootfs { words += ["--root", root] }
    if call.options.has("leave-running") { words.append("--leave-running") }
    if let parent = call.options.value("parent-path") { words += ["--prev-images-dir", parent, "--track-mem"] }
    for mount in try container.directory.configuration().mounts
    where mount.type == "bind" || mount.options.contains("bind") || mount.options.contains("rbind") {
      words += ["--external", "mnt[\(mount.destination)]:\(mount.destination)"]
    }
    let status = try Subprocess.run(words)
    guard status == 0 else { throw CommandError("criu failed: exit status \(status), see \(images)/dump.log") }
    return 0
  }
}

enum CRIU {
  static let flags: [Flag] = [
    Flag("image-path", value: "DIR", "where the images are (checkpoint)"),
    Flag("work-path", value: "DIR", "where CRIU works and logs"),
    Flag("tcp-established", nil, "open TCP connections too"), Flag("ext-unix-sk", nil, "external unix sockets too"),
    Flag("shell-job", nil, "a terminal of the caller's"), Flag("file-locks", nil, "file locks too"),
    Flag("manage-cgroups-mode", value: "MODE", "soft, full, strict or ignore"),
    Flag("lazy-pages", nil, "not supported"), Flag("page-server", value: "ADDRESS", "not supported"),
  ]

  static func find(_ call: RuntimeCommand.Invocation) throws(CommandError) -> String {
    let name = call.globals.criu
    let candidates =
      name.contains("/") ? [name] : (Environment.value("PATH") ?? "").split(separator: ":").map { "\($0)/\(name)" }
    guard let found = candidates.first(where: { access($0, X_OK) == 0 }) else {
      throw CommandError("checkpoint and restore need CRIU, and \"\(name)\" isn't installed")
    }
    for name in ["lazy-pages", "page-server"] where call.options.has(name) {
      throw CommandError("--\(name) is not built yet")
    }
    return found
  }

  static func common(_ call: RuntimeCommand.Invocation, images: String) -> [String] {
    var words = ["--images-dir", images, "--log-file", "dump.log"]
    if let path = call.options.value("work-path") { words += ["--work-dir", path] }
    for name in ["tcp-established", "ext-unix-sk", "shell-job", "file-locks"] where call.options.has(name) {
      words.append("--" + name)
    }
    words.append("--manage-cgroups=" + (call.options.value("manage-cgroups-mode") ?? "soft"))
    return words
  }
}
