import CLinux
import Kernel
import OCI
import Testing

/// What the runtime writes for others to read, and what it leaves when it is killed.
@Suite("documents and remains of the runtime", .serialized)
struct RuntimeDocumentsTests {
  @Test("state and features are as the specification's schemas have them")
  func schemas() throws {
    let bundle = try Bundle()
    try bundle.write(try bundle.specification("sleep 100"))
    try #require(try bundle.berth.run(["create", "-b", bundle.path, "c"]).status == 0)
    let state = try bundle.berth.run(["state", "c"])
    let features = try bundle.berth.run(["features"])
    _ = try bundle.berth.run(["delete", "-f", "c"])
    let object = try JSON.parse(Array(state.out.utf8))
    for key in ["ociVersion", "id", "status", "bundle"] {
      #expect(object[key]?.stringValue?.isEmpty == false, "\(key)")
    }
    #expect(object["pid"]?.intValue ?? 0 > 0)
    #expect(try JSON.parse(Array(features.out.utf8))["ociVersionMin"]?.stringValue == "1.0.0")

    guard let schemas = ProcessEnvironment.current["BERTH_OCI_SCHEMAS"],
      let python = ProcessEnvironment.find("python3"),
      try Command(path: python).run(["-c", "import jsonschema"]).status == 0
    else {
      print(
        "➜ schemas: state and features aren't validated: BERTH_OCI_SCHEMAS names the specification's schema folder, and Python's jsonschema reads it"
      )
      return
    }
    let script = """
      import json, os, sys, jsonschema
      folder, document, schema = sys.argv[1:]
      text = json.load(open(os.path.join(folder, schema)))
      resolver = jsonschema.RefResolver("file://" + folder + "/", text)
      jsonschema.validate(json.load(open(document)), text, resolver=resolver)
      """
    for (name, text) in [("state", state.out), ("features", features.out)] {
      let file = "\(bundle.folder)/\(name).json"
      try Sys.replaceFile(file, with: Array(text.utf8), durable: false)
      let result = try Command(path: python).run(["-W", "ignore", "-c", script, schemas, file, "\(name)-schema.json"])
      #expect(result.status == 0, "\(name): \(result)")
    }
  }

  @Test("a runtime killed at any moment leaves nothing that delete --force doesn't clean")
  func killed() throws {
    guard let python = ProcessEnvironment.find("python3") else {
      print("➜ stress: python3 isn't installed")
      return
    }
    let result = try Command(path: python).run(
      [
        "\(try projectRoot())/bench/runtime-stress", "--runtime", "\(Daemon.bin)/berth-runtime", "--cycles", "300",
        "--killed", "0.3",
      ], deadline: 300)
    #expect(result.status == 0, "\(result)")
  }

  @Test("the container can't open the runtime's program for writing")
  func sealed() throws {
    let bundle = try Bundle()
    // As a program that an image names, the runtime would be executed inside, and shown there (CVE-2019-5736).
    var spec = try bundle.specification("")
    spec.root?.readonly = false
    spec.process?.args = ["/bin/self", "--version"]
    try bundle.write(spec)
    let before = try Sys.readFile(bundle.program)
    try Sys.symlink("/proc/self/exe", bundle.path + "/rootfs/bin/self")
    let run = try bundle.berth.run(["run", "-b", bundle.path, "c"])
    #expect(run.status != 0 || run.out.contains("berth-runtime version"), "\(run)")
    // While the process waits before its exec, its program is the runtime's.
    spec.process?.args = ["/bin/sleep", "100"]
    try bundle.write(spec)
    try #require(try bundle.berth.run(["create", "-b", bundle.path, "c"]).status == 0)
    let state = try JSON.parse(Array(try bundle.berth.run(["state", "c"]).out.utf8))
    let pid = try #require(state["pid"]?.intValue)
    #expect(throws: SyscallError.self) { _ = try Sys.open("/proc/\(pid)/exe", O_WRONLY) }
    var errno: Errno?
    do throws(SyscallError) { _ = try Sys.open("/proc/\(pid)/exe", O_WRONLY) } catch { errno = error.errno }
    #expect(errno == .readOnlyFileSystem || errno == Errno(rawValue: ETXTBSY))
    // Not merely busy: by its mount it can be opened by nobody.
    let link = try Sys.open("/proc/\(pid)/exe", O_PATH)
    _ = try bundle.berth.run(["delete", "-f", "c"])
    errno = nil
    do throws(SyscallError) { _ = try Sys.open("/proc/self/fd/\(link.raw)", O_WRONLY) } catch { errno = error.errno }
    #expect(errno == .readOnlyFileSystem)
    #expect(try Sys.readFile(bundle.program) == before)
  }
}
