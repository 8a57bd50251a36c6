import OCI
import Testing

@testable import Systemd

struct DBusTests {
  private static var call: DBusMessage {
    var message = DBusMessage.call(
      "org.freedesktop.systemd1", "/org/freedesktop/systemd1", "org.freedesktop.systemd1.Manager",
      "StartTransientUnit",
      [
        .string("berth-c1.scope"), .string("replace"),
        .array(
          "(sv)",
          [
            ("Delegate", .boolean(true)), ("PIDs", .array("u", [.uint32(4711)])), ("MemoryMax", .uint64(64 << 20)),
            ("AllowedCPUs", .array("y", [.byte(3)])),
            ("DeviceAllow", .array("(ss)", [.structure([.string("/dev/char/1:3"), .string("rwm")])])),
            ("Slice", .string("machine.slice")),
          ].map { (name: String, value: DBusValue) in .structure([.string(name), .variant(value)]) }),
        .array("(sa(sv))", []),
      ])
    message.serial = 7
    return message
  }

  /// The same body as GLib's Gio.DBusMessage writes it.
  private static let body = """
    0e00000062657274682d63312e73636f70650000070000007265706c61636500d2000000000000000800000044656c6567617465000162000100000000\
    000000040000005049447300026175000000000400000067120000090000004d656d6f72794d6178000174000000000000000000000004000000000b00\
    0000416c6c6f7765644350557300026179000100000003000000000000000b000000446576696365416c6c6f770005612873732900001c000000000000\
    000d0000002f6465762f636861722f313a330000000300000072776d000000000005000000536c696365000173000000000d0000006d616368696e652e\
    736c69636500000000000000
    """

  @Test func aBodyIsWhatGLibWrites() {
    let hex = Self.call.encoded().suffix(256).map { byte in
      let digits = String(byte, radix: 16)
      return digits.count == 1 ? "0" + digits : digits
    }
    #expect(hex.joined() == Self.body)
  }

  @Test func aMessageComesBackAsItWas() throws {
    #expect(DBusMessage(decoding: Self.call.encoded()) == Self.call)
    var reply = DBusMessage(.error)
    reply.replySerial = 9
    reply.errorName = "org.freedesktop.systemd1.NoSuchUnit"
    reply.sender = nil
    reply.body = [
      .string("no"), .double(1.5), .int64(-3), .array("{sv}", [.entry(.string("a"), .variant(.int32(-7)))]),
      .signature("a(ss)"), .objectPath("/a"),
    ]
    #expect(DBusMessage(decoding: reply.encoded()) == reply)
  }

  @Test func everyBeginningOfAMessageIsNone() {
    let bytes = Self.call.encoded()
    for count in 0..<bytes.count { #expect(DBusMessage(decoding: Array(bytes.prefix(count))) == nil) }
    #expect(DBusMessage(decoding: bytes + [0]) == nil)
  }

  /// What a hostile peer may send: nothing is indexed that isn't there, and nothing goes on for ever.
  @Test func changedBytesAreReadOrRefused() {
    let bytes = Self.call.encoded()
    var state: UInt64 = 0x5eed
    func random() -> UInt64 {
      state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
      return state >> 33
    }
    var read = 0
    for _ in 0..<20_000 {
      var changed = bytes
      for _ in 0...(random() % 4) { changed[Int(random()) % changed.count] = UInt8(truncatingIfNeeded: random()) }
      if DBusMessage(decoding: changed) != nil { read += 1 }
    }
    #expect(read > 0)
    for signature in [
      "a()", "(((((((((((((((((((((((((((((((((((((", "a{sv", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaay", "z",
    ] {
      var reader = DBusReader([8, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8], endianness: DBusWriter.endianness)
      #expect(reader.values(signature) == nil, "\(signature)")
    }
  }
}

struct ScopeTests {
  @Test(arguments: [
    ("machine.slice:crio:3f2a", "/machine.slice/crio-3f2a.scope"), ("-.slice:p:n", "/p-n.scope"),
    ("a-b-c.slice:p:n", "/a.slice/a-b.slice/a-b-c.slice/p-n.scope"), (":p:n", "/system.slice/p-n.scope"),
    ("a.slice::n", "/a.slice/n.scope"), ("a.slice::b.slice", "/a.slice/b.slice"), ("", "/system.slice/id.scope"),
  ]) func aScopesPlace(_ text: String, _ path: String) throws {
    #expect(try SystemdScope(text, id: "id", isUser: false).path() == path)
  }

  @Test(arguments: [
    ("'inactive-or-failed'", DBusValue.string("inactive-or-failed")), ("true", .boolean(true)), ("7", .int32(7)),
    ("-7", .int32(-7)), ("uint64 10", .uint64(10)), ("uint32 4", .uint32(4)), ("byte 3", .byte(3)),
    ("['a', 'b']", .strings(["a", "b"])), ("[uint64 1, uint64 2]", .array("t", [.uint64(1), .uint64(2)])),
    (#""a\"b""#, .string("a\"b")),
  ]) func aPropertysText(_ text: String, _ value: DBusValue) {
    #expect(GVariantText.value(text) == value)
  }

  @Test(arguments: ["", "'a", "[", "[]", "['a', 1]", "uint64 -1", "1 2", "maybe", "uint64"])
  func whatIsNoPropertysText(_ text: String) { #expect(GVariantText.value(text) == nil) }

  @Test func limitsOfV2() {
    var resources = RuntimeSpec.Resources()
    var memory = RuntimeSpec.Resources.Memory()
    (memory.limit, memory.swap, memory.reservation) = (100, 150, -1)
    var cpu = RuntimeSpec.Resources.CPU()
    (cpu.quota, cpu.period, cpu.cpus) = (10_001, 100_000, "0,9")
    resources.memory = memory
    resources.cpu = cpu
    resources.pids = -1
    let limits = SystemdScope.limits(resources, isV2: true)
    func value(_ name: String) -> DBusValue? { limits.first { $0.name == name }?.value }
    #expect(value("MemoryMax") == .uint64(100))
    #expect(value("MemorySwapMax") == .uint64(50))
    #expect(value("MemoryLow") == .uint64(.max))
    // Rounded up to 10 ms.
    #expect(value("CPUQuotaPerSecUSec") == .uint64(110_000))
    #expect(value("AllowedCPUs") == .array("y", [.byte(1), .byte(2)]))
    #expect(value("TasksMax") == .uint64(.max))
  }
}
