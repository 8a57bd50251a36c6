import CLinux
import Kernel
import Terminal
import Testing

@Suite struct DetachKeysTests {
  @Test(
    arguments: [
      ("ctrl-p,ctrl-q", [16, 17]), ("", [16, 17]), ("a", [97]), ("ctrl-a,a,DEL", [1, 97, 127]), ("ctrl-@", [0]),
      ("ctrl-[", [27]),
      ("ctrl-\\,ctrl-]", [28, 29]), ("ctrl-^,ctrl-_", [30, 31]), ("ctrl-z", [26]),
    ] as [(String, [UInt8])])
  func readsDockersSyntax(text: String, bytes: [UInt8]) throws { #expect(try DetachKeys(text).bytes == bytes) }

  @Test(arguments: ["ctrl-", "ctrl-A", "ctrl-1", "abc", "a,,b", ",", "é", "ctrl-p, ctrl-q", "del"])
  func refusesWhatIsNoKey(text: String) { #expect(throws: DetachKeys.UnknownKey.self) { try DetachKeys(text) } }

  @Test func saysWhichKeyIsUnknownInDockersWords() {
    #expect(throws: DetachKeys.UnknownKey(key: "foo")) { try DetachKeys("ctrl-p,foo") }
    #expect(DetachKeys.UnknownKey(key: "foo").description == "Unknown character: 'foo'")
  }

  private func pass(_ chunks: [[UInt8]], keys: [UInt8] = [16, 17]) throws -> ([UInt8], Bool) {
    var matcher = DetachKeyMatcher(try #require(DetachKeys(raw: keys)))
    var passed: [UInt8] = []
    for chunk in chunks {
      let result = chunk.withUnsafeBytes { matcher.pass($0) }
      passed += result.passed
      if result.detached { return (passed, true) }
    }
    return (passed, false)
  }

  @Test func findsTheKeysInOneReadAndAcrossReads() throws {
    #expect(try pass([[1, 2, 16, 17, 3]]) == ([1, 2], true))
    #expect(try pass([[1, 16], [17]]) == ([1], true))
  }

  @Test func passesOnAHeldPrefixWhenItWasNone() throws {
    #expect(try pass([[16], [1]]) == ([16, 1], false))
    #expect(try pass([[16, 16], [17]]) == ([16], true))
    #expect(try pass([[16]]) == ([], false))
    // keys that begin like themselves: aab in aaab
    #expect(try pass([[97, 97], [97], [98]], keys: [97, 97, 98]) == ([97], true))
    #expect(
      try pass([[97, 98, 97, 99, 97, 98, 97, 98, 97, 100]], keys: [97, 98, 97, 100]) == (
        [97, 98, 97, 99, 97, 98], true
      ))
  }
}

@Suite struct TerminalTests {
  @Test func rawModePassesBytesUnchangedAndIsPutBack() throws {
    let (master, slave) = try Terminal.open()
    defer {
      close(master)
      close(slave)
    }
    var before = termios()
    tcgetattr(slave, &before)
    let raw = try RawMode(slave)
    var during = termios()
    tcgetattr(slave, &during)
    #expect(during.c_lflag & UInt32(ECHO | ICANON | ISIG) == 0)
    #expect(during.c_oflag & UInt32(OPOST) == 0)
    try raw.restore()
    var after = termios()
    tcgetattr(slave, &after)
    #expect(after.c_lflag == before.c_lflag && after.c_oflag == before.c_oflag && after.c_iflag == before.c_iflag)
  }

  @Test func windowSizeOfOneEndIsSeenAtTheOther() throws {
    let (master, slave) = try Terminal.open()
    defer {
      close(master)
      close(slave)
    }
    try WindowSize(width: 132, height: 43).apply(to: master)
    #expect(try WindowSize(of: slave) == WindowSize(width: 132, height: 43))
  }

  @Test func aPipeIsNoTerminal() throws {
    let (read, write) = try Sys.pipe()
    defer {
      close(read)
      close(write)
    }
    #expect(!Terminal.isTerminal(read))
    #expect(throws: SyscallError.self) { try WindowSize(of: read) }
    #expect(throws: SyscallError.self) { try RawMode(read) }
  }
}
