import Crypto
import Kernel
import OCI

/// A docker-archive of an image with Debian's static busybox and a few of its names, made in memory.
enum BusyboxArchive {
  static let program = "/bin/busybox"

  static func make(name: String = "busybox:latest", healthcheck: JSON? = nil) throws -> [UInt8] {
    var layer = Tar()
    for directory in ["bin", "etc", "tmp", "home"] { layer.directory(directory) }
    layer.file("bin/busybox", try Sys.readFile(program), mode: 0o755)
    for applet in [
      "sh", "echo", "true", "false", "cat", "sleep", "ls", "id", "hostname", "head", "env", "kill", "test", "wc",
    ] {
      layer.link("bin/\(applet)", to: "busybox")
    }
    layer.file(
      "etc/passwd", Array("root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n".utf8), mode: 0o644)
    layer.file("etc/group", Array("root:x:0:\nuser:x:1000:\n".utf8), mode: 0o644)
    let tar = layer.bytes
    var config: JSON = [
      "Env": ["PATH=/bin"], "Cmd": ["sh"], "Labels": ["made": "here"],
    ]
    if let healthcheck { config["Healthcheck"] = healthcheck }
    let document: JSON = [
      "architecture": "amd64", "os": "linux", "created": "2026-01-01T00:00:00Z", "config": config,
      "rootfs": ["type": "layers", "diff_ids": [JSON("sha256:" + hex(tar))]],
    ]
    let bytes = document.encoded()
    var archive = Tar()
    archive.file("\(hex(bytes)).json", bytes, mode: 0o644)
    archive.file("layer.tar", tar, mode: 0o644)
    let manifest: JSON = [["Config": JSON("\(hex(bytes)).json"), "RepoTags": [JSON(name)], "Layers": ["layer.tar"]]]
    archive.file("manifest.json", manifest.encoded(), mode: 0o644)
    return archive.bytes
  }

  private static func hex(_ bytes: [UInt8]) -> String {
    SHA256.hash(data: bytes).map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
  }
}

/// A writer of ustar archives (POSIX.1-1988), as little as the tests need.
struct Tar {
  private var content: [UInt8] = []

  var bytes: [UInt8] { content + [UInt8](repeating: 0, count: 1024) }

  mutating func directory(_ name: String) { add(name + "/", type: "5", mode: 0o755) }
  mutating func link(_ name: String, to target: String) { add(name, type: "2", mode: 0o777, target: target) }
  mutating func file(_ name: String, _ body: [UInt8], mode: Int) {
    add(name, type: "0", mode: mode, size: body.count)
    content += body
    content += [UInt8](repeating: 0, count: (512 - body.count % 512) % 512)
  }

  private mutating func add(_ name: String, type: Character, mode: Int, size: Int = 0, target: String = "") {
    var header = [UInt8](repeating: 0, count: 512)
    func put(_ text: String, at offset: Int) {
      for (index, byte) in text.utf8.enumerated() { header[offset + index] = byte }
    }
    func octal(_ value: Int, _ width: Int) -> String {
      let digits = String(value, radix: 8)
      return String(repeating: "0", count: width - digits.count) + digits
    }
    put(name, at: 0)
    put(octal(mode, 7), at: 100)
    put(octal(0, 7), at: 108)
    put(octal(0, 7), at: 116)
    put(octal(size, 11), at: 124)
    put(octal(0, 11), at: 136)
    put("        ", at: 148)
    put(String(type), at: 156)
    put(target, at: 157)
    put("ustar", at: 257)
    put("00", at: 263)
    let sum = header.reduce(0) { $0 + Int($1) }
    put(octal(sum, 6), at: 148)
    header[154] = 0
    header[155] = UInt8(ascii: " ")
    content += header
  }
}
