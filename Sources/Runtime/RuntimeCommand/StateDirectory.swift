import Cgroups
import CLinux
import Kernel
import OCI

/// A container on disk: `<root>/<id>/`.
final class StateDirectory {
  let id: String
  let path: String
  let directory: Descriptor
  private var lockFile: Descriptor?

  private init(id: String, path: String, directory: consuming Descriptor) {
    self.id = id
    self.path = path
    self.directory = directory
  }

  /// runc's rule for names: letters, digits and `_+-.`, and nothing that leads elsewhere.
  static func validate(_ id: String) throws(CommandError) {
    guard !id.isEmpty, id != ".", id != "..", id.utf8.count <= 255,
      id.utf8.allSatisfy({ byte in
        switch byte {
        case 0x30...0x39, 0x41...0x5a, 0x61...0x7a, UInt8(ascii: "_"), UInt8(ascii: "+"), UInt8(ascii: "-"),
          UInt8(ascii: "."):
          true
        default: false
        }
      }), !id.hasPrefix(".")
    else { throw CommandError("invalid container ID format: invalid character or length in container ID \"\(id)\"") }
  }

  /// Makes the directory and holds its lock.
  static func create(_ id: String, root: String) throws(CommandError) -> StateDirectory {
    try validate(id)
    let path = root + "/" + id
    let directory: Descriptor
    do throws(SyscallError) {
      do throws(SyscallError) { try Sys.mkdir(path, mode: 0o711) } catch  where error.errno == .noSuchFile {
        try Sys.mkdirAll(root, mode: 0o711)
        try Sys.mkdir(path, mode: 0o711)
      }
      directory = try Sys.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW)
    } catch {
      if error.errno == .fileExists { throw CommandError("container with given ID already exists: \(id)") }
      throw CommandError(error, doing: "create the state of container \(id)")
    }
    let state = StateDirectory(id: id, path: path, directory: directory)
    try state.lock()
    return state
  }

  static func open(_ id: String, root: String) throws(CommandError) -> StateDirectory {
    try validate(id)
    let path = root + "/" + id
    do throws(SyscallError) {
      return StateDirectory(
        id: id, path: path, directory: try Sys.open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW))
    } catch {
      if error.errno == .noSuchFile { throw CommandError("container \"\(id)\" does not exist") }
      throw CommandError(error, doing: "open the state of container \(id)")
    }
  }

  /// The containers of a root, by name.
  static func all(root: String) throws(CommandError) -> [String] {
    do throws(SyscallError) {
      return try Sys.entries(of: root).filter { $0.type == UInt8(DT_DIR) && !$0.name.hasPrefix(".") }.map(\.name)
        .sorted()
    } catch {
      if error.errno == .noSuchFile { return [] }
      throw CommandError(error, doing: "list containers")
    }
  }

  /// Takes the lock, waiting for whoever has it; a container that is removed meanwhile doesn't exist.
  func lock() throws(CommandError) {
    do throws(SyscallError) {
      while true {
        let file = try Sys.open("lock", O_RDWR | O_CREAT | O_NOFOLLOW, mode: 0o600, at: directory.raw)
        try Sys.lockFile(file.raw, wait: true)
        // Removed while we waited: it is a lock on nothing.
        let held = try Sys.fstat(file.raw)
        guard let named = try? Sys.status("lock", at: directory.raw), named.st_ino == held.st_ino else { continue }
        lockFile = consume file
        return
      }
    } catch {
      if error.errno == .noSuchFile { throw CommandError("container \"\(id)\" does not exist") }
      throw CommandError(error, doing: "lock container \(id)")
    }
  }

  func unlock() { lockFile = nil }

  /// Whether somebody changes it now.
  var isLocked: Bool {
    do throws(SyscallError) {
      let file = try Sys.open("lock", O_RDWR | O_NOFOLLOW, at: directory.raw)
      try Sys.lockFile(file.raw, wait: false)
      return false
    } catch { return error.errno == .wouldBlock }
  }

  var awaitsStart: Bool { Sys.exists("start.sock", at: directory.raw) }

  func endWaiting() throws(CommandError) {
    do throws(SyscallError) { try Sys.unlink("start.sock", at: directory.raw) } catch {
      if error.errno != .noSuchFile { throw CommandError(error) }
    }
  }

  func save(_ record: Record) throws(CommandError) {
    try attempt("write the state of container \(id)") { () throws(SyscallError) in
      try write("state.json.new", record.json.encoded())
      try Sys.rename("state.json.new", at: directory.raw, to: "state.json", at: directory.raw)
    }
  }

  /// As `save`, where there is none yet: an empty file, which a kill may leave, is none.
  func saveFirst(_ record: Record) throws(CommandError) {
    try attempt("write the state of container \(id)") { () throws(SyscallError) in
      try write("state.json", record.json.encoded())
    }
  }

  func write(_ name: String, _ bytes: [UInt8]) throws(SyscallError) {
    let file = try Sys.open(name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, mode: 0o600, at: directory.raw)
    try Sys.writeAll(file.raw, bytes)
  }

  /// `nil`: its creator died before it wrote anything, or its deleter after it removed it.
  func load() throws(CommandError) -> Record? {
    let bytes: [UInt8]
    do throws(SyscallError) { bytes = try Sys.readFile("state.json", at: directory.raw) } catch {
      if error.errno == .noSuchFile { return nil }
      throw CommandError(error, doing: "read the state of container \(id)")
    }
    if bytes.isEmpty { return nil }
    do throws(JSONError) { return try Record(JSONFields(try JSON.parse(bytes))) } catch {
      throw CommandError(error, in: path + "/state.json")
    }
  }

  func configuration() throws(CommandError) -> RuntimeSpec {
    let bytes = try attempt("read the configuration of container \(id)") { () throws(SyscallError) in
      try Sys.readFile("config.json", at: directory.raw)
    }
    do throws(JSONError) { return try RuntimeSpec(decoding: bytes) } catch {
      throw CommandError(error, in: path + "/config.json")
    }
  }

  /// Removes it; the lock last, for those who wait for it.
  func remove() throws(CommandError) {
    try attempt("remove the state of container \(id)") { () throws(SyscallError) in
      for entry in try Sys.entries(of: path) where entry.name != "lock" && entry.name != "state.json" {
        try Sys.removeTree(entry.name, at: directory.raw)
      }
      for name in ["state.json", "lock"] {
        do throws(SyscallError) { try Sys.unlink(name, at: directory.raw) } catch  where error.errno == .noSuchFile {}
      }
      do throws(SyscallError) { try Sys.rmdir(path) } catch  where error.errno == .noSuchFile {}
    }
    unlock()
  }
}
