import OCI
import Testing

/// RFC 8259, case by case: what must be read, what must be refused, and what is written back.
@Suite struct JSONTests {
  static let texts: [(String, JSON)] = [
    ("null", JSON.null), (" true ", true), ("false", false), ("0", 0), ("-0", 0), ("-12", -12),
    ("9223372036854775807", .int(.max)),
    ("-9223372036854775808", .int(.min)), ("9223372036854775808", .double(9_223_372_036_854_775_808)),
    ("1.5", .double(1.5)),
    ("1e3", .double(1000)), ("1E+2", .double(100)), ("25e-1", .double(2.5)), ("\"\"", ""), ("\"a\"", "a"), ("[]", []),
    ("{}", [:]),
    ("[1,[2,{}],\"\"]", [1, [2, [:]], ""]), ("{\"a\":1,\"b\":[null]}", ["a": 1, "b": [nil]]),
    ("\t\r\n [ 1 , 2 ] ", [1, 2]),
    (#""\"\\\/\b\f\n\r\t""#, .string("\"\\/\u{8}\u{c}\n\r\t")), (#""\u0041\u00e9\u20AC""#, "Aé€"),
    (#""\uD83D\uDE00""#, "😀"),
    (#""\uD83D""#, "\u{FFFD}"), (#""\uDE00x""#, "\u{FFFD}x"), (#""\uD83D\u0041""#, "\u{FFFD}A"), ("\"é€😀\"", "é€😀"),
    (#""\u0000""#, "\0"),
    ("{\"a\":1,\"a\":2}", ["a": 2]), ("{\"\":{}}", ["": [:]]),
  ]

  @Test(arguments: texts)
  func reads(text: String, value: JSON) throws { #expect(try JSON.parse(text) == value) }

  @Test(arguments: [
    "", " ", "nul", "nulls", "tru", "True", "01", "-", "-a", "+1", ".5", "1.", "1e", "1e+", "0x10", "NaN", "Infinity",
    "-Infinity", "1e999",
    "[", "]", "[1", "[1,", "[1,]", "[,1]", "[1 2]", "[1]]", "{", "}", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,",
    "{\"a\":1,}", "{a:1}", "{1:1}",
    "{\"a\" 1}", "{'a':1}", "\"", "\"a", "\"\\\"", "\"\\x\"", "\"\\u12\"", "\"\\u12G4\"", "\"\n\"", "\"\t\"", "'a'",
    "1 1", "// x", "[1]/**/", "\u{FEFF}1",
    "[1]\0",
  ])
  func refuses(text: String) { #expect(throws: JSONError.self) { try JSON.parse(text) } }

  @Test func replacesInvalidUTF8() throws {
    #expect(try JSON.parse([0x22, 0xFF, 0x22]) == "\u{FFFD}")
    #expect(try JSON.parse([0x22, 0xC3, 0x22]) == "\u{FFFD}")
    #expect(throws: JSONError.self) { try JSON.parse([0xFF]) }
  }

  @Test func endsInTimeOnHostileInput() throws {
    #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "[", count: 1_000_000)) }
    #expect(throws: JSONError.self) { try JSON.parse(String(repeating: "{\"a\":", count: 1_000_000)) }
    let many = "{" + (0..<20_000).map { "\"k\($0)\":0" }.joined(separator: ",") + "}"
    #expect(try JSON.parse(many).objectValue?.count == 20_000)
    #expect(
      try JSON.parse(String(repeating: "[", count: 199) + String(repeating: "]", count: 199)).arrayValue?.count == 1)
  }

  static let values: [(JSON, String)] = [
    (JSON.null, "null"), (["b": 1, "a": true], #"{"b":1,"a":true}"#), (.double(1.5), "1.5"),
    (.string("<a>&\u{2028}\"\\\n\u{1}é"), #""\u003ca\u003e\u0026\u2028\"\\\n\u0001é""#), ([1, [], [:]], "[1,[],{}]"),
  ]

  @Test(arguments: values)
  func writes(value: JSON, text: String) throws {
    #expect(value.text == text)
    #expect(try JSON.parse(text) == value)
  }

  @Test func indentsAsDockerInspect() throws {
    let text = try JSON.parse(#"{"a":[1,{"b":null}],"c":{},"d":[]}"#).indented()
    #expect(
      text
        == "{\n    \"a\": [\n        1,\n        {\n            \"b\": null\n        }\n    ],\n    \"c\": {},\n    \"d\": []\n}"
    )
  }

  @Test func namesTheFieldThatIsWrong() throws {
    let fields = try JSONFields(try JSON.parse(#"{"a":{"b":[{"c":"x"}]},"n":5000000000}"#))
    #expect(throws: JSONError(path: "a.b[0].c", "an integer is expected")) {
      try fields.fields("a")?.list("b") { fields throws(JSONError) in try fields.int("c") }
    }
    #expect(throws: JSONError.self) { try fields.integer("n", as: Int32.self) }
    #expect(try fields.string("missing") == nil)
  }
}

@Suite struct JSONFieldsTests {
  @Test func matchesNamesAsGoDoesWhenAsked() throws {
    let body: JSON = ["detachKeys": "ctrl-p", "hostConfig": ["binds": ["/a:/b"], "Binds": ["/c:/d"]], "Tty": true]
    let fields = try JSONFields(body, anyCase: true)
    #expect(try fields.string("DetachKeys") == "ctrl-p")
    #expect(try fields.bool("Tty") == true)
    #expect(try fields.fields("HostConfig")?.strings("Binds") == ["/c:/d"])
    #expect(try JSONFields(body).string("DetachKeys") == nil)
  }
}
