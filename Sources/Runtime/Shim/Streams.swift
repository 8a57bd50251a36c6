import CLinux
import ContainerRuntime
import Kernel
import Terminal

/// The standard streams of one process, between it, the log and whoever is attached.
///
/// States: open → draining (the process has exited; those that it left behind may still write, for `grace`) → ended
/// (outputs closed, log complete, attachers get what is queued for them and their end) → done (no attacher is left).
///
/// Back-pressure, as Docker has it: while one attacher doesn't read, the process's output isn't read either. While the
/// process doesn't read its input, no attacher's is.
final class Streams {
  typealias Stream = JSONLog.Stream

  /// How long after the process's end its outputs are read when others still hold them, as Docker's daemon does.
  static let grace: UInt64 = 2_000
  /// How long an attacher that doesn't read may hold back the rest after that.
  static let patience: UInt64 = 10_000
  /// As much is read of a stream at the process's end without regard to attachers: what pipes may hold.
  static let drainLimit = 4 << 20

  let loop: EventLoop
  let plan: LaunchPlan.Stdio
  /// The end of an attacher's input is the process's too, whatever the plan says of the first attacher.
  let closesInput: Bool
  /// Set before anything is read.
  var log: JSONLog?
  private(set) var outputs: [Output] = []
  private(set) var input: Input?
  private(set) var attachers: [Attacher] = []
  /// The ends that the process is given; closed once it has them.
  private var childEnds: [Int32] = []
  private var timer: Timer?
  private var processHasExited = false
  private(set) var hasEnded = false

  /// An attacher left by its detach keys.
  var onDetach: () -> Void = {}
  /// The outputs have ended and the log is complete, after `processExited`.
  var onEnd: () -> Void = {}
  /// Attachers were given their end, or what is queued for them will be.
  var onClosed: () -> Void = {}
  /// The last attacher has gone, after the end.
  var onDone: () -> Void = {}

  init(_ loop: EventLoop, _ plan: LaunchPlan.Stdio, isExec: Bool) {
    self.loop = loop
    self.plan = plan
    closesInput = !plan.terminal && (isExec || plan.stdinOnce)
  }

  deinit { for fd in childEnds { _ = CLinux.close(fd) } }

  /// Makes the pipes, unless there is a terminal. The descriptors stay this object's until `handedOver`.
  func open() throws(SyscallError) -> ContainerRuntime.Stdio {
    let null = try Sys.open("/dev/null", O_RDWR).take()
    childEnds.append(null)
    guard !plan.terminal else { return ContainerRuntime.Stdio(input: null, output: null, error: null) }
    var stdin = null
    if plan.openStdin {
      let pipe = try Sys.pipe()
      childEnds.append(pipe.read)
      stdin = pipe.read
      input = Input(self, fd: pipe.write)
      try Sys.setNonBlocking(pipe.write)
    }
    var ends: [Int32] = []
    for stream in [Stream.stdout, .stderr] {
      let pipe = try Sys.pipe()
      childEnds.append(pipe.write)
      ends.append(pipe.write)
      let output = Output(self, stream, fd: pipe.read)
      outputs.append(output)
      try Sys.setNonBlocking(pipe.read)
    }
    return ContainerRuntime.Stdio(input: stdin, output: ends[0], error: ends[1])
  }

  /// The process has its ends; with a terminal, `master` is the other side of it.
  func handedOver(terminal master: SharedDescriptor?) throws(SyscallError) {
    for fd in childEnds { _ = CLinux.close(fd) }
    childEnds = []
    if let master {
      try Sys.setNonBlocking(master.raw)
      outputs = [Output(self, .stdout, fd: try Sys.fcntl(master.raw, F_DUPFD_CLOEXEC, 0), isTerminal: true)]
      if plan.openStdin {
        input = Input(self, fd: try Sys.fcntl(master.raw, F_DUPFD_CLOEXEC, 0))
      }
    }
    updateOutputs()
  }

  // MARK: Output

  private var isBlocked: Bool { attachers.contains { !$0.isDrained } }

  private func updateOutputs() {
    let blocked = isBlocked
    for output in outputs { output.watch(blocked || output.isIdle ? nil : Source.readable) }
  }

  /// One read's worth lies in the loop's buffer behind the header's room.
  func deliver(_ stream: Stream, count: Int) {
    let room = EventLoop.headerRoom
    loop.buffer.used = max(loop.buffer.used, room + count)
    if count > 4096 { loop.touch() }
    let content = UnsafeRawBufferPointer(rebasing: loop.buffer.bytes[room..<room + count])
    log?.append(stream, content)
    guard !attachers.isEmpty else { return }
    // [stream, 0, 0, 0, length]: 1 is stdout, 2 stderr
    loop.buffer.bytes.storeBytes(of: stream == .stdout ? 1 : 2, toByteOffset: 0, as: UInt32.self)
    loop.buffer.bytes.storeBytes(of: UInt32(truncatingIfNeeded: count).bigEndian, toByteOffset: 4, as: UInt32.self)
    let framed = UnsafeRawBufferPointer(rebasing: loop.buffer.bytes[..<(room + count)])
    for attacher in attachers where stream == .stdout ? attacher.request.stdout : attacher.request.stderr {
      attacher.send(attacher.request.mux ? framed : content)
    }
    updateOutputs()
  }

  func ended(_ output: Output) {
    log?.end(output.stream)
    output.close()
    outputs.removeAll { $0 === output }
    if outputs.isEmpty && processHasExited { end() }
  }

  // MARK: Input

  /// Whether more input can be taken now.
  var takesInput: Bool { input?.isDrained ?? true }

  func inputDrained() { for attacher in attachers { attacher.update() } }

  /// Bytes for the process; dropped when it can't be given any.
  func write(_ bytes: UnsafeRawBufferPointer) {
    guard let input, !bytes.isEmpty else { return }
    input.write(bytes)
    if !input.isDrained { for attacher in attachers { attacher.update() } }
  }

  func closeInput() { input?.closeWhenDrained() }

  func inputClosed() {
    input = nil
    inputDrained()
  }

  // MARK: Attachers

  /// What an attacher must bring.
  static func checkSocket(_ socket: SharedDescriptor) throws(SyscallError) {
    guard try Sys.fstat(socket.raw).st_mode & mode_t(S_IFMT) == mode_t(S_IFSOCK) else {
      throw SyscallError("attach", "fd \(socket.raw)", Errno(rawValue: ENOTSOCK))
    }
  }

  /// After `handedOver`, and with a checked socket. Nothing of the process's output has been read before the loop's
  /// next turn.
  func attach(_ request: ShimProtocol.Attach, socket: SharedDescriptor) {
    var request = request
    if !plan.openStdin { request.stdin = false }
    let attacher = Attacher(self, request, socket)
    attachers.append(attacher)
    attacher.begin()
  }

  func remove(_ attacher: Attacher, detached: Bool) {
    attachers.removeAll { $0 === attacher }
    if detached { onDetach() }
    if hasEnded {
      if attachers.isEmpty { done() }
    } else {
      updateOutputs()
    }
  }

  func attacherDrained() { if !hasEnded { updateOutputs() } }

  // MARK: The end

  /// Reads what the process left, and ends when nobody else holds its outputs; otherwise after the grace.
  func processExited() {
    processHasExited = true
    for output in outputs { output.drain(limit: Self.drainLimit) }
    if outputs.isEmpty {
      end()
    } else if !hasEnded {
      arm(Self.grace) { [unowned self] in endOutputs() }
    }
  }

  /// Reads what is there and ends, whoever holds the other ends.
  func endOutputs() {
    processHasExited = true
    for output in outputs {
      output.drain(limit: Self.drainLimit)
      if !output.isClosed { ended(output) }
    }
    if outputs.isEmpty { end() }
  }

  private func arm(_ milliseconds: UInt64, _ action: @escaping () -> Void) {
    timer?.close()
    do throws(SyscallError) {
      let timer = try Timer(loop)
      timer.arm(milliseconds: milliseconds, action)
      self.timer = timer
    } catch {
      Complaint.tell("\(error)")
      action()
    }
  }

  private func end() {
    guard !hasEnded else { return }
    hasEnded = true
    timer?.close()
    input?.close()
    input = nil
    onEnd()
    for attacher in attachers { attacher.end() }
    onClosed()
    if attachers.isEmpty {
      done()
    } else {
      arm(Self.patience) { [unowned self] in for attacher in attachers { attacher.drop() } }
    }
  }

  private func done() {
    timer?.close()
    timer = nil
    let onDone = self.onDone
    self.onDone = {}
    onDone()
  }
}
