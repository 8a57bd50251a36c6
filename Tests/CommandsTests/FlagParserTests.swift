import Testing

@testable import Commands

@Suite struct FlagParserTests {
  static let flags = [
    Flag(.bool, "interactive", short: "i", ""), Flag(.bool, "tty", short: "t", ""),
    Flag(.string, "name", short: "n", ""),
    Flag(.list, "env", short: "e", ""), Flag(.int, "last", default: "-1", ""), Flag(.bytes, "memory", short: "m", ""),
    Flag(.bool, "sig-proxy", default: "true", ""), Flag(.strings, "platform", ""),
  ]

  private func parse(_ words: [String], interspersed: Bool = true) throws -> FlagParser {
    var parser = FlagParser(flags: Self.flags, interspersed: interspersed)
    try parser.parse(words)
    return parser
  }

  @Test func shortFlagsMayShareADash() throws {
    let parser = try parse(["-it", "-nweb", "-e", "A=1", "-eB=2", "x"])
    #expect(parser.values.bool("interactive") && parser.values.bool("tty"))
    #expect(parser.values.string("name") == "web")
    #expect(parser.values.list("env") == ["A=1", "B=2"])
    #expect(parser.arguments == ["x"])
  }

  @Test func valuesComeByEqualsOrByTheNextWord() throws {
    #expect(try parse(["--name=a=b"]).values.string("name") == "a=b")
    #expect(try parse(["--name", "--tty"]).values.string("name") == "--tty")
    #expect(try parse(["-n=web"]).values.string("name") == "web")
    #expect(try parse(["--tty=false"]).values.bool("tty") == false)
    #expect(try parse(["--tty=T"]).values.bool("tty"))
    #expect(try parse(["--platform", "a,b", "--platform=c"]).values.list("platform") == ["a", "b", "c"])
  }

  @Test func defaultsHoldUntilSet() throws {
    #expect(try parse([]).values.int("last") == -1)
    #expect(try parse([]).values.bool("sig-proxy"))
    #expect(try !parse([]).values.isSet("sig-proxy"))
    #expect(try parse(["--last", "3"]).values.int("last") == 3)
  }

  @Test func flagsEndAtTheFirstArgumentWhereACommandFollows() throws {
    let parser = try parse(["-i", "busybox", "ls", "-t", "--unknown"], interspersed: false)
    #expect(parser.arguments == ["busybox", "ls", "-t", "--unknown"])
    #expect(!parser.values.bool("tty"))
    #expect(try parse(["a", "-t", "b"]).arguments == ["a", "b"])
    #expect(try parse(["--", "-t"]).arguments == ["-t"])
    #expect(try parse(["-"]).arguments == ["-"])
  }

  static let complainsInPflagsWordsCases: [([String], String)] = [
    (["--foo"], "unknown flag: --foo"),
    (["-x"], "unknown shorthand flag: 'x' in -x"),
    (["-ixt"], "unknown shorthand flag: 'x' in -xt"),
    (["--name"], "flag needs an argument: --name"),
    (["-n"], "flag needs an argument: 'n' in -n"),
    (
      ["--tty=maybe"],
      "invalid argument \"maybe\" for \"-t, --tty\" flag: strconv.ParseBool: parsing \"maybe\": invalid syntax"
    ),
    (["--last=x"], "invalid argument \"x\" for \"--last\" flag: strconv.ParseInt: parsing \"x\": invalid syntax"),
    (
      ["--last=99999999999999999999"],
      "invalid argument \"99999999999999999999\" for \"--last\" flag: strconv.ParseInt: parsing \"99999999999999999999\": value out of range"
    ),
    (["-m", "5x"], "invalid argument \"5x\" for \"-m, --memory\" flag: invalid suffix: 'x'"),
    (["--=x"], "bad flag syntax: --=x"),
  ]

  @Test(arguments: complainsInPflagsWordsCases)
  func complainsInPflagsWords(_ words: [String], _ message: String) {
    let error = #expect(throws: FlagError.self) { try parse(words) }
    #expect(error?.description == message)
  }

  @Test func helpIsFoundEverywhere() throws {
    #expect(try parse(["--help", "--foo"]).values.helpRequested)
    #expect(try parse(["-h"]).deprecatedHelp)
    #expect(try !parse(["--help=false"]).values.helpRequested)
  }

  @Test func everyCommandIsWhole() {
    let all = CommandTree.commands.map { $0.make() } + CommandTree.groups.flatMap { $0.commands.map { $0.make() } }
    for command in all {
      #expect(!command.summary.isEmpty)
      let names = command.flags.map(\.name)
      #expect(Set(names).count == names.count, "\(command.name) has a flag twice")
      let letters = command.flags.compactMap(\.short)
      #expect(Set(letters).count == letters.count, "\(command.name) has a letter twice")
      #expect(!HelpText.of(command, path: "berth \(command.name)").isEmpty)
    }
  }

  @Test func helpIsWrappedAsPflagWraps() {
    let text = "Memory limit that is long enough to need a second line when the terminal is narrow"
    #expect(
      HelpText.wrap(text, indent: 20, width: 60)
        == "Memory limit that is long enough\n                    to need a second line when the\n                    terminal is narrow"
    )
  }
}
