@testable import Seccomp

/// `struct seccomp_data`.
struct Call: CustomStringConvertible {
  var number: UInt32
  var architecture: Seccomp.Architecture
  var arguments: [UInt64] = [0, 0, 0, 0, 0, 0]

  var description: String { "\(architecture) \(number) \(arguments.map { String($0, radix: 16) })" }

  /// The 32-bit word at an offset.
  func word(_ offset: UInt32) -> UInt32? {
    switch offset {
    case 0: return number
    case 4: return architecture.audit
    case 16..<64 where offset % 4 == 0:
      let argument = arguments[Int((offset - 16) / 8)]
      return UInt32(truncatingIfNeeded: offset % 8 == 0 ? argument : argument >> 32)
    default: return nil
    }
  }
}

/// Classic BPF, as far as seccomp(2) allows it: enough for our programs and for libseccomp's. It checks every step as the kernel does.
struct Interpreter {
  struct Fault: Error, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
  }

  private let code: [(code: UInt16, jt: UInt8, jf: UInt8, k: UInt32)]

  init(_ bytes: [UInt8]) throws {
    guard !bytes.isEmpty, bytes.count % 8 == 0 else { throw Fault("\(bytes.count) bytes are no program") }
    code = bytes.withUnsafeBytes { buffer in
      (0..<(buffer.count / 8)).map { index in
        (
          buffer.loadUnaligned(fromByteOffset: index * 8, as: UInt16.self), buffer[index * 8 + 2],
          buffer[index * 8 + 3],
          buffer.loadUnaligned(fromByteOffset: index * 8 + 4, as: UInt32.self)
        )
      }
    }
  }

  func run(_ call: Call) throws -> UInt32 {
    var (a, x): (UInt32, UInt32) = (0, 0)
    var memory = [UInt32](repeating: 0, count: 16)
    var index = 0
    // jumps go forwards only, so it ends
    while index < code.count {
      let step = code[index]
      index += 1
      switch step.code {
      case 0x20:
        guard let word = call.word(step.k) else { throw Fault("load of \(step.k) at \(index - 1)") }
        a = word
      case 0x54: a &= step.k
      case 0x06: return step.k
      case 0x16: return a
      case 0x05: index += Int(step.k)
      case 0x15: index += Int(a == step.k ? step.jt : step.jf)
      case 0x25: index += Int(a > step.k ? step.jt : step.jf)
      case 0x35: index += Int(a >= step.k ? step.jt : step.jf)
      case 0x45: index += Int(a & step.k != 0 ? step.jt : step.jf)
      case 0x02: memory[Int(step.k)] = a
      case 0x60: a = memory[Int(step.k)]
      case 0x07: x = a
      case 0x87: a = x
      default: throw Fault("unknown instruction \(step.code) at \(index - 1)")
      }
    }
    throw Fault("ran off the end")
  }
}
