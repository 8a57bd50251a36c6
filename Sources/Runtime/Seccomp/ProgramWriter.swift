/// Classic BPF written from its end to its beginning, as its jumps only go forwards: where a jump goes is written before the jump.
///
/// Positions are counted from the end, 0 being the last instruction. Answers are shared: there is one return a verdict, and another only
/// where the last is out of a jump's reach (255).
struct ProgramWriter {
  /// `struct sock_filter`.
  struct Instruction: Equatable {
    var code: UInt16
    var jumpTrue: UInt8 = 0
    var jumpFalse: UInt8 = 0
    var k: UInt32 = 0
  }

  /// BPF_JMP|…|BPF_K (linux/bpf_common.h); all comparisons are unsigned.
  enum Test: UInt16 {
    case equal = 0x15
    case greater = 0x25
    case greaterOrEqual = 0x35
  }

  private static let load: UInt16 = 0x20  // BPF_LD|BPF_W|BPF_ABS
  private static let and: UInt16 = 0x54  // BPF_ALU|BPF_AND|BPF_K
  private static let answer: UInt16 = 0x06  // BPF_RET|BPF_K
  private static let skip: UInt16 = 0x05  // BPF_JMP|BPF_JA

  private var reversed: [Instruction] = []
  private var answers: [UInt32: Int] = [:]

  var instructions: [Instruction] { reversed.reversed() }

  private mutating func append(_ instruction: Instruction) -> Int {
    reversed.append(instruction)
    return reversed.count - 1
  }

  /// How many instructions lie between the next one and that position.
  private func distance(_ position: Int) -> Int { reversed.count - position - 1 }

  /// A return of a verdict, somewhere.
  mutating func answer(_ verdict: UInt32) -> Int {
    if let known = answers[verdict] { return known }
    let position = append(Instruction(code: Self.answer, k: verdict))
    answers[verdict] = position
    return position
  }

  /// The same place within any reach: another return, or a jump to it.
  private mutating func near(_ position: Int) -> Int {
    let target = reversed[position]
    if target.code == Self.answer {
      answers[target.k] = append(target)
    } else {
      _ = append(Instruction(code: Self.skip, k: UInt32(distance(position))))
    }
    return reversed.count - 1
  }

  /// A = the word at `offset` of `struct seccomp_data`; then `next`.
  mutating func load(_ offset: UInt32, next: Int) -> Int {
    if distance(next) != 0 { _ = near(next) }
    return append(Instruction(code: Self.load, k: offset))
  }

  /// A &= mask; then `next`.
  mutating func and(_ mask: UInt32, next: Int) -> Int {
    if distance(next) != 0 { _ = near(next) }
    return append(Instruction(code: Self.and, k: mask))
  }

  mutating func test(_ test: Test, _ value: UInt32, ifTrue: Int, ifFalse: Int) -> Int {
    var (ifTrue, ifFalse) = (ifTrue, ifFalse)
    // bringing one near puts an instruction between here and the other
    if distance(ifTrue) > 254 { ifTrue = near(ifTrue) }
    if distance(ifFalse) > 255 { ifFalse = near(ifFalse) }
    return append(
      Instruction(
        code: test.rawValue, jumpTrue: UInt8(distance(ifTrue)), jumpFalse: UInt8(distance(ifFalse)), k: value))
  }
}
