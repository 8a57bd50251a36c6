import Kernel
import OCI
import Testing

/// podman, dockerd and containerd, which we did not write, with berth-runtime as their runtime: they run, execute into, pause, update,
/// signal and remove. Everything happens in one shell, since the peers have a /run of their own for each of their commands.
@Suite("engines on berth-runtime", .serialized)
struct RuntimeEnginesTests {
  /// What a step said and its exit status, by the step's name.
  typealias Steps = [String: (status: Int32, text: String)]

  private static let steps = """
    step() {
      name=$1
      shift
      text=$("$@" 2>&1)
      printf '== %s %s\\n%s\\n' "$name" "$?" "$text"
    }

    """

  /// Runs a script of `step NAME COMMAND…` where the engines are; `nil` when `program` isn't there.
  private func run(_ script: String, needs program: String) throws -> Steps? {
    let words = ["sh", "-c", Self.steps + script]
    let result: Command.Result
    if let peers = Peers.command {
      guard try Command(path: peers.path).run(peers.prefix + ["sh", "-c", "command -v \(program)"]).status == 0 else {
        return nil
      }
      result = try Command(path: peers.path).run(peers.prefix + words, deadline: 180)
    } else if ProcessEnvironment.find(program) != nil, let shell = ProcessEnvironment.find("sh") {
      result = try Command(path: shell).run(Array(words.dropFirst()), deadline: 180)
    } else {
      return nil
    }
    var steps: Steps = [:]
    // A terminal's line breaks are one character with the return before them.
    let text = String(String.UnicodeScalarView(result.out.unicodeScalars.filter { $0 != "\r" }))
    for part in ("\n" + text).split(separator: "\n== ", omittingEmptySubsequences: true) {
      let lines = part.split(separator: "\n", maxSplits: 1, omittingEmptySubsequences: false)
      let words = lines[0].split(separator: " ")
      guard words.count == 2, let status = Int32(words[1]) else { continue }
      steps[String(words[0])] = (status, lines.count > 1 ? String(lines[1]) : "")
    }
    #expect(!steps.isEmpty, "\(result)")
    return steps
  }

  private func expect(_ steps: Steps, _ name: String, status: Int32 = 0, says: String = "") {
    guard let step = steps[name] else {
      Issue.record("step \(name) didn't run")
      return
    }
    #expect(step.status == status, "\(name): \(step.text)")
    #expect(step.text.contains(says), "\(name): \(step.text)")
  }

  @Test("podman runs, executes into, pauses, updates, signals and removes")
  func podman() throws {
    let bundle = try Bundle()
    let archive = try BusyboxArchive.path()
    let script = """
      podman() {
        command podman --runtime \(bundle.program) --root \(bundle.folder)/root --runroot \(bundle.folder)/run \
          --storage-driver vfs --cgroup-manager cgroupfs --events-backend file "$@"
      }
      step load podman load -q -i \(archive)
      step run podman run --rm --network none busybox echo hello
      step status podman run --rm --network none busybox sh -c 'exit 3'
      step absent podman run --rm --network none busybox nosuchprogram
      step terminal podman run --rm -t --network none busybox tty
      step detached podman run -d --name c1 --network none busybox sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done'
      step exec podman exec c1 sh -c 'echo $0 in; exit 6'
      step execabsent podman exec c1 nosuchprogram
      step pause podman pause c1
      step paused podman inspect -f '{{.State.Status}}' c1
      step unpause podman unpause c1
      step update podman update --memory 64m --pids-limit 20 c1
      step kill podman kill -s TERM c1
      step wait podman wait c1
      step remove podman rm c1
      step create podman create --name c2 --network none busybox true
      step init podman init c2
      step force podman rm -f c2
      step left sh -c 'ls /run/berth-runtime; podman --root \(bundle.folder)/root --runroot \(bundle.folder)/run ps -aq'
      """
    guard let steps = try run(script, needs: "podman") else {
      print("➜ engines: podman is left out: \(Peers.absence)")
      return
    }
    expect(steps, "load")
    expect(steps, "run", says: "hello")
    expect(steps, "status", status: 3)
    expect(steps, "absent", status: 127, says: "executable file not found in $PATH")
    expect(steps, "terminal", says: "/dev/pts/0")
    expect(steps, "detached")
    expect(steps, "exec", status: 6, says: "sh in")
    expect(steps, "execabsent", status: 127, says: "executable file not found in $PATH")
    expect(steps, "pause")
    expect(steps, "paused", says: "paused")
    expect(steps, "unpause")
    expect(steps, "update")
    expect(steps, "kill")
    expect(steps, "wait", says: "4")
    for name in ["remove", "create", "init", "force"] { expect(steps, name) }
    #expect(steps["left"]?.text.allSatisfy(\.isWhitespace) == true, "\(steps["left"]?.text ?? "")")
  }

  @Test("dockerd and containerd run, execute into, pause, update, signal and remove")
  func dockerd() throws {
    let bundle = try Bundle()
    let archive = try BusyboxArchive.path()
    let folder = bundle.folder
    // No bridge and no rules of iptables: nothing of this machine's network is touched.
    let script = """
      dockerd --bridge none --iptables=false --ip6tables=false --data-root \(folder)/data --exec-root \(folder)/exec \
        --pidfile \(folder)/pid --add-runtime berth=\(bundle.program) -H unix://\(folder)/docker.sock \
        >\(folder)/dockerd.log 2>&1 &
      daemon=$!
      docker() { command docker -H unix://\(folder)/docker.sock "$@"; }
      n=0
      until docker version >/dev/null 2>&1; do n=$((n + 1)); [ $n -lt 200 ] || break; sleep 0.1; done
      run="docker run --runtime berth --network none"
      step load docker load -q -i \(archive)
      step run $run --rm busybox echo hello
      step status $run --rm busybox sh -c 'exit 3'
      step absent $run --rm busybox nosuchprogram
      step denied $run --rm busybox /etc/passwd
      step terminal $run --rm -t busybox tty
      step detached $run -d --name c1 busybox sh -c 'trap "exit 4" TERM; while :; do sleep 0.1; done'
      step exec docker exec c1 sh -c 'echo $0 in; exit 6'
      step execabsent docker exec c1 nosuchprogram
      step pause docker pause c1
      step paused docker inspect -f '{{.State.Status}}' c1
      step unpause docker unpause c1
      step update docker update --memory 64m --memory-swap 64m --pids-limit 20 c1
      step limit docker exec c1 sh -c 'cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/memory.max'
      step top docker top c1
      step kill docker kill -s TERM c1
      step wait docker wait c1
      step again docker start c1
      step stop docker stop -t 5 c1
      step remove docker rm c1
      step init $run --rm --init busybox sh -c 'cat /proc/1/comm'
      step privileged $run --rm --privileged busybox sh -c 'grep CapEff /proc/self/status'
      ctr() { command ctr -a \(folder)/exec/containerd/containerd.sock -n test "$@"; }
      step import ctr image import \(archive)
      step ctrrun ctr run --rm --runc-binary \(bundle.program) docker.io/library/busybox:latest t1 echo from containerd
      step ctrdetached ctr run -d --runc-binary \(bundle.program) docker.io/library/busybox:latest t2 sleep 1000
      step ctrexec ctr task exec --exec-id e1 t2 echo inside
      step ctrpause ctr task pause t2
      step ctrlist ctr task ls
      step ctrresume ctr task resume t2
      step ctrps ctr task ps t2
      step ctrkill ctr task kill -s KILL t2
      n=0
      until ctr task ls | grep -q STOPPED; do n=$((n + 1)); [ $n -lt 50 ] || break; sleep 0.1; done
      step ctrdelete ctr task delete t2
      step ctrremove ctr container delete t2
      kill $daemon
      wait $daemon
      """
    guard let steps = try run(script, needs: "dockerd") else {
      print("➜ engines: dockerd and containerd are left out: \(Peers.absence)")
      return
    }
    expect(steps, "load")
    expect(steps, "run", says: "hello")
    expect(steps, "status", status: 3)
    expect(steps, "absent", status: 127, says: "executable file not found in $PATH")
    expect(steps, "denied", status: 126, says: "permission denied")
    expect(steps, "terminal", says: "/dev/pts/0")
    expect(steps, "detached")
    expect(steps, "exec", status: 6, says: "sh in")
    expect(steps, "execabsent", status: 126, says: "executable file not found in $PATH")
    for name in ["pause", "unpause", "update", "top", "kill", "again", "stop", "remove"] { expect(steps, name) }
    expect(steps, "paused", says: "paused")
    #expect(steps["limit"]?.text.contains("67108864") == true, "\(steps["limit"]?.text ?? "")")
    expect(steps, "wait", says: "4")
    expect(steps, "init", says: "init")
    expect(steps, "privileged")
    for name in ["import", "ctrdetached", "ctrpause", "ctrresume", "ctrps", "ctrkill", "ctrremove"] {
      expect(steps, name)
    }
    expect(steps, "ctrrun", says: "from containerd")
    expect(steps, "ctrexec", says: "inside")
    expect(steps, "ctrlist", says: "PAUSED")
    expect(steps, "ctrdelete", says: "exit code 137")
  }
}
