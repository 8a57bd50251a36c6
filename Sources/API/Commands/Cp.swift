import Archive
import CLinux
import EngineClient
import Kernel
import OCI
import Rootfs
import Terminal

extension Command {
  static let cp = Command(
    name: "cp", usage: "[OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n\tberth cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH",
    summary: "Copy files/folders between a container and the local filesystem",
    description: """
      Copy files/folders between a container and the local filesystem

      Use '-' as the source to read a tar archive from stdin
      and extract it to a directory destination in a container.
      Use '-' as the destination to stream a tar archive of a
      container source to stdout. Both may be containers.
      """,
    aliases: ["container cp", "cp"], arguments: .exactly(2),
    flags: [
      Flag(.bool, "archive", short: "a", "Archive mode (copy all uid/gid information)"),
      Flag(.bool, "follow-link", short: "L", "Always follow symlinks in SRC_PATH"),
      Flag(
        .bool, "quiet", short: "q",
        "Suppress progress output during copy. Progress output is automatically suppressed if no terminal is attached"),
    ]
  ) { invocation in
    let (source, target) = (CopyEnd(invocation.arguments[0]), CopyEnd(invocation.arguments[1]))
    guard !invocation.arguments[0].isEmpty else { throw CommandFailure("source can not be empty") }
    guard !invocation.arguments[1].isEmpty else { throw CommandFailure("destination can not be empty") }
    let copy = Copy(invocation: invocation)
    switch (source.container, target.container) {
    case (let from?, nil): try copy.out(of: from, source.path, to: target.path)
    case (nil, let to?): try copy.into(to, target.path, from: source.path)
    case (let from?, let to?): try copy.across(from, source.path, to, target.path)
    case (nil, nil): throw CommandFailure("must specify at least one container source")
    }
  }
}

/// `CONTAINER:PATH` or a path of this machine; `./a:b` and `/a:b` are paths.
private struct CopyEnd {
  var container: String?
  var path: String

  init(_ text: String) {
    path = text
    guard !text.hasPrefix("/"), let colon = text.firstIndex(of: ":"), !text.hasPrefix(".") else { return }
    container = String(text[..<colon])
    path = String(text[text.index(after: colon)...])
  }
}

/// One run of `cp`: docker's rules of what goes where under which name.
private struct Copy {
  let invocation: Invocation

  /// What is known of one end.
  struct Place {
    var path: String
    var exists = false
    var isDirectory = false
    /// The name that the user gave to what a link leads to.
    var rename = ""
  }

  private var isQuiet: Bool {
    invocation.values.isSet("quiet") ? invocation.values.bool("quiet") : !Terminal.isTerminal(1)
  }
  private var followsLinks: Bool { invocation.values.bool("follow-link") }

  private func tell(_ bytes: Int64, _ target: String) {
    guard !isQuiet else { return }
    invocation.context.printError("Successfully copied \(HumanUnits.size(Double(bytes), precision: 3)) to \(target)")
  }

  // MARK: the daemon

  private func url(_ container: String) -> String { "/containers/\(PercentEncoding.encode(container))/archive" }

  /// What the daemon tells of a path; an error says that it isn't there, or can't be reached.
  private func stat(_ container: String, _ path: String) throws -> (isDirectory: Bool, mode: Int64, linkTarget: String)
  {
    try Self.stat(try invocation.client.send(Request("HEAD", url(container), query: ["path": path])))
  }

  private static func stat(_ response: Response) throws -> (isDirectory: Bool, mode: Int64, linkTarget: String) {
    guard let bytes = Base64.decode(response.header("x-docker-container-path-stat") ?? ""),
      let json = try? JSON.parse(bytes)
    else { throw ClientError.malformed("the daemon's answer has no path stat") }
    let mode = json["mode"]?.intValue ?? 0
    return (mode & 1 << 31 != 0, mode, json["linkTarget"]?.stringValue ?? "")
  }

  private func openSource(_ container: String, _ path: String) throws -> (Response, Place) {
    var place = Place(path: path, exists: true)
    if followsLinks, let found = try? stat(container, path), found.mode & 1 << 27 != 0 {
      let target =
        found.linkTarget.hasPrefix("/") ? found.linkTarget : CopyPath.directory(path) + "/" + found.linkTarget
      (place.path, place.rename) = CopyPath.renamed(path, target)
    }
    let response = try invocation.client.send(Request("GET", url(container), query: ["path": place.path]))
    place.isDirectory = try Self.stat(response).isDirectory
    return (response, place)
  }

  /// The destination in a container, through its link; what can't be found may still be made.
  private func target(_ container: String, _ path: String) throws -> Place {
    var place = Place(path: path)
    guard var found = try? stat(container, path) else { return place }
    if found.mode & 1 << 27 != 0 {
      place.path =
        found.linkTarget.hasPrefix("/") ? found.linkTarget : CopyPath.directory(path) + "/" + found.linkTarget
      guard let behind = try? stat(container, place.path) else { return place }
      found = behind
    }
    if found.mode & 1 << 26 != 0 {
      throw CommandFailure(
        "destination \"\(container):\(path)\" must be a directory or a regular file: got a device")
    }
    place.exists = true
    place.isDirectory = found.isDirectory
    return place
  }

  private func put(_ container: String, _ directory: String, from descriptor: Int32) throws {
    var query: Query = ["path": directory, "noOverwriteDirNonDir": "true"]
    query.add("copyUIDGID", invocation.values.bool("archive") ? "true" : "false")
    var request = Request("PUT", url(container), query: query)
    request.headers.append(("Content-Type", "application/x-tar"))
    request.upload = try Upload(descriptor)
    _ = try invocation.client.send(request).readAll()
  }

  // MARK: the three ways

  func out(of container: String, _ path: String, to local: String) throws {
    guard local != "-" else {
      let (response, _) = try openSource(container, path)
      while let piece = try response.next() { try Output.write(1, piece) }
      return
    }
    let target = CopyPath.absolute(local)
    try CopyPath.validateOutput(target)
    let (response, source) = try openSource(container, path)
    let names = NameMap.first(source)
    let place = try CopyPath.destination(target)
    let (directory, second) = try prepare(source, place)
    let body = ResponseSource(response)
    let reader = TarReader(body)
    let tree = MountedTree(root: try Sys.open("/", O_PATH | O_DIRECTORY))
    do {
      let found = try tree.find(directory, followingLast: true)
      let extractor = TreeExtractor(into: found, of: tree, target: directory, keepsKinds: true, owner: .caller) {
        entry in
        names?.apply(&entry)
        second?.apply(&entry)
      }
      try extractor.extract(reader)
      try body.drain()
    } catch let error as ArchiveError { throw CommandFailure(error.member.isEmpty ? error.reason : "\(error)") }
    tell(body.count, target)
  }

  func into(_ container: String, _ path: String, from local: String) throws {
    let target = try target(container, path)
    if local == "-" {
      guard target.isDirectory else { throw CommandFailure("destination \"\(container):\(path)\" must be a directory") }
      return try put(container, target.path, from: 0)
    }
    let source = try CopyPath.source(CopyPath.absolute(local), followingLinks: followsLinks)
    let (directory, map) = try prepare(source, target)
    let base = CopyPath.base(source.path)
    let name =
      map.map { $0.apply(source.rename.isEmpty ? base : source.rename) }
      ?? (source.rename.isEmpty ? base : source.rename)
    let object = SharedDescriptor(try Sys.open(source.path, O_PATH | (base == "." ? 0 : O_NOFOLLOW)))
    let pump = try Pump { writer in try TreePacker(writer).add(object, path: [], as: Array(name.utf8)) }
    try pump.run { try put(container, directory, from: $0) }
    tell(pump.count, "\(container):\(target.path)")
  }

  func across(_ from: String, _ path: String, _ to: String, _ targetPath: String) throws {
    let target = try target(to, targetPath)
    let (response, source) = try openSource(from, path)
    let names = NameMap.first(source)
    let (directory, second) = try prepare(source, target)
    let body = ResponseSource(response)
    let pump = try Pump { writer in
      let reader = TarReader(body)
      while var entry = try reader.next() {
        names?.apply(&entry)
        second?.apply(&entry)
        entry.segments = nil
        try writer.add(entry)
        guard entry.kind == .file else { continue }
        while true {
          let bytes = try reader.nextData()
          if bytes.isEmpty { break }
          try writer.data(bytes)
        }
      }
      try body.drain()
    }
    // The answer is still being read on the connection that the client would use again: it has others.
    try pump.run { try put(to, directory, from: $0) }
    tell(pump.count, "\(to):\(target.path)")
  }

  /// Into which directory, and under which name (go-archive's `PrepareArchiveCopy`).
  private func prepare(_ source: Place, _ target: Place) throws -> (directory: String, names: NameMap?) {
    if target.exists, target.isDirectory { return (target.path, nil) }
    if target.exists, source.isDirectory { throw CommandFailure("cannot copy directory") }
    if !target.exists, !source.isDirectory, CopyPath.assertsDirectory(target.path) {
      throw CommandFailure("no such directory")
    }
    let base = source.rename.isEmpty ? CopyPath.base(source.path) : source.rename
    return (CopyPath.directory(target.path), NameMap(base, CopyPath.base(target.path)))
  }
}

/// Another beginning for the names in an archive.
private struct NameMap: Sendable {
  let old: String
  let new: String

  init(_ old: String, _ new: String) {
    func trimmed(_ text: String) -> String {
      var text = text[...]
      while text.last == "/" { text.removeLast() }
      return String(text)
    }
    self.old = trimmed(old)
    self.new = trimmed(new)
  }

  static func first(_ source: Copy.Place) -> NameMap? {
    source.rename.isEmpty ? nil : NameMap(CopyPath.base(source.path), source.rename)
  }

  func apply(_ name: String) -> String { String(decoding: apply(Array(name.utf8)), as: UTF8.self) }

  func apply(_ entry: inout TarEntry) {
    entry.name = apply(entry.name)
    if entry.kind == .hardLink { entry.linkName = apply(entry.linkName) }
  }

  private func apply(_ name: [UInt8]) -> [UInt8] {
    let slash = UInt8(ascii: "/")
    guard !old.isEmpty else {
      let rest = Array(name.drop { $0 == slash })
      return new.isEmpty ? rest : Array(new.utf8) + [slash] + rest
    }
    guard name.starts(with: old.utf8) else { return name }
    let rest = name.dropFirst(old.utf8.count)
    guard rest.isEmpty || rest.first == slash else { return name }
    return Array(new.utf8) + rest
  }
}

/// A response's body for the readers of archives.
private final class ResponseSource: ByteSource, @unchecked Sendable {  // SAFETY: made by one thread, read by one other
  private let response: Response
  private var rest: ArraySlice<UInt8> = []
  private(set) var count: Int64 = 0

  init(_ response: Response) { self.response = response }

  func read(into buffer: UnsafeMutableRawBufferPointer) throws -> Int {
    guard !buffer.isEmpty else { return 0 }
    while rest.isEmpty {
      guard let piece = try response.next() else { return 0 }
      rest = piece
    }
    let taken = min(rest.count, buffer.count)
    buffer.copyBytes(from: rest.prefix(taken))
    rest = rest.dropFirst(taken)
    count += Int64(taken)
    return taken
  }
}

/// An archive that a thread writes into a pipe while the request's upload reads it.
private final class Pump {
  private final class State: @unchecked Sendable {  // SAFETY: written by the thread, read after it was joined
    var failure: (any Error)?
    var count: Int64 = 0
  }

  private let state = State()
  private let reader: SharedDescriptor
  private let start: () throws -> Thread
  private(set) var count: Int64 = 0

  init(_ body: @escaping @Sendable (TarWriter) throws -> Void) throws {
    let pipe = try Sys.pipe()
    reader = SharedDescriptor(owning: pipe.read)
    let state = state
    start = {
      try Thread(name: "archive") {
        let target = SharedDescriptor(owning: pipe.write)
        do {
          let sink = BufferedSink { bytes in
            try Sys.writeAll(target.raw, bytes)
            state.count += Int64(bytes.count)
          }
          let writer = TarWriter { try sink.write($0) }
          try body(writer)
          try writer.finish()
          try sink.flush()
        } catch { state.failure = error }
      }
    }
  }

  /// Answers when all was read; the archive's own failure counts before the daemon's, which only saw it end.
  func run(_ upload: (Int32) throws -> Void) throws {
    let thread = try start()
    var refusal: (any Error)?
    do { try upload(reader.raw) } catch {
      refusal = error
      // What is still to come goes nowhere: the writer must not wait for a reader.
      do { while try !Self.skip(reader.raw) {} } catch {}
    }
    thread.join()
    count = state.count
    if let refusal { throw refusal }
    if let failure = state.failure {
      throw (failure as? ArchiveError).map { CommandFailure("\($0)") } ?? failure
    }
  }

  private static func skip(_ descriptor: Int32) throws -> Bool {
    try withUnsafeTemporaryAllocation(byteCount: 64 << 10, alignment: 8) { try Sys.read(descriptor, $0) == 0 }
  }
}

/// Paths by their words, as go-archive takes them apart: a `/.` or `/` at the end means something.
private enum CopyPath {
  static func clean(_ path: String) -> String {
    let isAbsolute = path.hasPrefix("/")
    var parts: [Substring] = []
    for part in path.split(separator: "/") where part != "." {
      if part == "..", let last = parts.last, last != ".." {
        parts.removeLast()
      } else if part != ".." || !isAbsolute {
        parts.append(part)
      }
    }
    let text = parts.joined(separator: "/")
    return isAbsolute ? "/" + text : text.isEmpty ? "." : text
  }

  static func endsInDot(_ path: String) -> Bool { path == "." || path.hasSuffix("/.") }

  static func assertsDirectory(_ path: String) -> Bool { path.hasSuffix("/") || endsInDot(path) }

  private static func preservingEnd(_ clean: String, of path: String) -> String {
    var result = clean
    if endsInDot(path), !endsInDot(result) { result += result.hasSuffix("/") ? "." : "/." }
    if path.hasSuffix("/"), !result.hasSuffix("/") { result += "/" }
    return result
  }

  static func absolute(_ path: String) -> String {
    guard !path.hasPrefix("/") else { return preservingEnd(clean(path), of: path) }
    let here = (try? Sys.getcwd()) ?? "/"
    return preservingEnd(clean(here + "/" + path), of: path)
  }

  /// `SplitPathDirEntry`
  private static func split(_ path: String) -> (directory: String, base: String) {
    var cleaned = clean(path)
    if endsInDot(path) { cleaned += cleaned.hasSuffix("/") ? "." : "/." }
    guard let slash = cleaned.lastIndex(of: "/") else { return (".", cleaned) }
    let base = String(cleaned[cleaned.index(after: slash)...])
    let directory = slash == cleaned.startIndex ? "/" : String(cleaned[..<slash])
    return (directory, base.isEmpty ? "/" : base)
  }

  static func directory(_ path: String) -> String { split(path).directory }
  static func base(_ path: String) -> String { split(path).base }

  /// `GetRebaseName`
  static func renamed(_ path: String, _ target: String) -> (path: String, rename: String) {
    let resolved = preservingEnd(target, of: path)
    func last(_ path: String) -> Substring? { path.split(separator: "/").last }
    return (resolved, last(path) == last(resolved) ? "" : last(path).map(String.init) ?? "/")
  }

  private static func real(_ path: String) throws -> String {
    guard let text = realpath(path, nil) else { throw CommandFailure("lstat \(clean(path)): \(Errno.current)") }
    defer { free(text) }
    return String(cString: text)
  }

  /// `CopyInfoSourcePath`
  static func source(_ path: String, followingLinks: Bool) throws -> Copy.Place {
    var place = Copy.Place(path: path, exists: true)
    if followingLinks {
      (place.path, place.rename) = renamed(path, try real(path))
    } else {
      let slash = path.lastIndex(of: "/") ?? path.startIndex
      let base = path[path.index(after: slash)...]
      place.path = try real(String(path[...slash]))
      place.path += (place.path.hasSuffix("/") ? "" : "/") + base
      let (own, last) = (path.split(separator: "/").last, place.path.split(separator: "/").last)
      if path.hasSuffix("/"), own != last { place.rename = own.map(String.init) ?? "/" }
    }
    do throws(SyscallError) {
      place.isDirectory = try Sys.status(place.path, flags: AT_SYMLINK_NOFOLLOW).fileType == .directory
    } catch { throw CommandFailure("lstat \(place.path): \(error.errno)") }
    return place
  }

  /// `CopyInfoDestinationPath`
  static func destination(_ original: String) throws -> Copy.Place {
    var path = original
    for _ in 0..<11 {
      let status: stat
      do throws(SyscallError) { status = try Sys.status(path, flags: AT_SYMLINK_NOFOLLOW) } catch {
        guard error.errno == .noSuchFile else { throw CommandFailure("lstat \(path): \(error.errno)") }
        let parent = directory(path)
        do throws(SyscallError) {
          guard try Sys.status(parent).fileType == .directory else { throw SyscallError("stat", parent, .notDirectory) }
        } catch {
          throw CommandFailure(error.errno == .notDirectory ? "not a directory" : "stat \(parent): \(error.errno)")
        }
        return Copy.Place(path: path)
      }
      guard status.fileType == .symbolicLink else {
        return Copy.Place(path: path, exists: true, isDirectory: status.fileType == .directory)
      }
      let target = try Sys.readlink(path)
      path = target.hasPrefix("/") ? target : clean(directory(path) + "/" + target)
    }
    throw CommandFailure("too many symlinks in \(original)")
  }

  /// `ValidateOutputPath`
  static func validateOutput(_ path: String) throws {
    let parent = split(clean(path)).directory
    if !Sys.exists(parent) {
      throw CommandFailure("invalid output path: directory \(GoText.quote(parent)) does not exist")
    }
    guard let status = try? Sys.status(path) else { return }
    switch status.fileType {
    case .directory, .regular: return
    case .blockDevice, .characterDevice:
      throw CommandFailure(
        "invalid output path: \(GoText.quote(path)) must be a directory or a regular file: got a device")
    default:
      throw CommandFailure(
        "invalid output path: \(GoText.quote(path)) must be a directory or a regular file: got an irregular file")
    }
  }
}
