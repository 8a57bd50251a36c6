import OCI
import Testing

@testable import Commands

@Suite struct TemplateTests {
  static let data = """
    {"Name":"/web","Id":"4f1a","Size":1536,"Rate":2.5,"Running":true,"Health":null,"Env":["A=1","B=2"],"Labels":{"b.c":"x","a":"<y>"},
     "State":{"Status":"running","Pid":7},"HostConfig":{"PortBindings":{"80/tcp":[{"HostIp":"","HostPort":"8080"}]},"Memory":0}}
    """

  static let rendersAsGoDoesCases: [(String, String)] = [
    ("plain", "plain"),
    ("{{.Name}}", "/web"),
    ("{{.State.Status}} {{.State.Pid}}", "running 7"),
    ("{{ .Size }}{{.Rate}}{{.Running}}", "15362.5true"),
    ("{{.Env}}", "[A=1 B=2]"),
    ("{{.Labels}}", "map[a:<y> b.c:x]"),
    ("{{.Labels.a}}", "<y>"),
    ("{{index .Labels \"b.c\"}}", "x"),
    ("{{index .Env 1}}", "B=2"),
    ("{{(index (index .HostConfig.PortBindings \"80/tcp\") 0).HostPort}}", "8080"),
    ("{{json .Labels}}", "{\"b.c\":\"x\",\"a\":\"<y>\"}"),
    ("{{json .Env}}", "[\"A=1\",\"B=2\"]"),
    ("{{join .Env \",\"}}", "A=1,B=2"),
    ("{{upper .Name}}{{lower \"ABC\"}}{{title \"ab cd\"}}", "/WEBabcAb Cd"),
    ("{{.Name | upper | printf \"%-6s|\"}}", "/WEB  |"),
    (
      "{{printf \"%d %05d %x %q %.2f %t %v %%\" 7 7 255 \"a\" 2.5 true .Env}}", "7 00007 ff \"a\" 2.50 true [A=1 B=2] %"
    ),
    ("{{len .Env}} {{len .Name}} {{len .Labels}}", "2 4 2"),
    ("{{range .Env}}<{{.}}>{{end}}", "<A=1><B=2>"),
    ("{{range $i, $e := .Env}}{{if $i}},{{end}}{{$i}}={{$e}}{{end}}", "0=A=1,1=B=2"),
    ("{{range $k, $v := .Labels}}{{$k}}:{{$v}} {{end}}", "a:<y> b.c:x "),
    ("{{range .Health}}x{{else}}none{{end}}", "none"),
    ("{{range .Env}}{{break}}{{end}}ok", "ok"),
    ("{{range .Env}}{{if eq . \"A=1\"}}{{continue}}{{end}}{{.}}{{end}}", "B=2"),
    ("{{if .Running}}up{{else}}down{{end}}", "up"),
    ("{{if eq .Name \"x\"}}1{{else if eq .Name \"/web\"}}2{{else}}3{{end}}", "2"),
    ("{{with .State}}{{.Status}}{{end}}", "running"),
    ("{{with $x := .Name}}{{$x}}{{$.Id}}{{end}}", "/web4f1a"),
    ("{{$n := .Name}}{{$n}}{{$n = \"y\"}}{{$n}}", "/weby"),
    ("{{and .Running .Size}} {{or .Health .Id}} {{not .Running}}", "1536 4f1a false"),
    (
      "{{eq .Size 1536}} {{ne .Size 1}} {{lt 1 2}} {{le 2 2}} {{gt 1 2}} {{ge 2.5 2}}", "true true true true false true"
    ),
    ("{{eq .Id \"a\" \"4f1a\"}}", "true"),
    ("a {{- \" b \" -}} c", "a b c"),
    ("{{/* nothing */}}x", "x"),
    ("{{range split .Name \"e\"}}[{{.}}]{{end}}", "[/w][b]"),
    ("{{slice .Id 1 3}}", "f1"),
    ("{{println .Id 1}}", "4f1a 1\n"),
    ("{{print 1 2 \"x\" 3}}", "1 2x3"),
    ("{{truncate .Id 2}}{{pad .Id 1 2}}|", "4f 4f1a  |"),
    ("{{.ID}}", "4f1a"),
    ("{{`raw`}}{{true}}{{-3}}", "rawtrue-3"),
    ("{{html \"<a>\"}} {{urlquery \"a b\"}}", "&lt;a&gt; a+b"),
    ("{{.Health}}", "<nil>"),
  ]

  @Test(arguments: rendersAsGoDoesCases)
  func rendersAsGoDoes(_ source: String, _ expected: String) throws {
    let template = try Template(source)
    #expect(try template.execute(TemplateValue(try JSON.parse(Self.data)), missingKey: .error) == expected)
  }

  static let failsInGosWordsCases: [(String, String)] = [
    ("{{.Foo}}", "template: :1:2: executing \"\" at <.Foo>: map has no entry for key \"Foo\""),
    ("{{.State.Foo}}", "template: :1:8: executing \"\" at <.State.Foo>: map has no entry for key \"Foo\""),
    ("{{.Name.Foo}}", "template: :1:7: executing \"\" at <.Name.Foo>: can't evaluate field Foo in type string"),
    ("{{upper .Size}}", "template: :1:2: executing \"\" at <upper>: wrong type for value; expected string; got int"),
    ("{{index .Env 9}}", "template: :1:2: executing \"\" at <index>: error calling index: index out of range: 9"),
  ]

  @Test(arguments: failsInGosWordsCases)
  func failsInGosWords(_ source: String, _ message: String) throws {
    let template = try Template(source)
    let error = #expect(throws: TemplateError.self) {
      try template.execute(TemplateValue(try JSON.parse(Self.data)), missingKey: .error)
    }
    #expect(error?.description == message)
  }

  static let refusesWrongTemplatesCases: [(String, String)] = [
    ("{{.Name", "template: :1: unclosed action"),
    ("{{foo}}", "template: :1: function \"foo\" not defined"),
    ("{{if}}x{{end}}", "template: :1: missing value for if"),
    ("{{if .A}}x", "template: :1: unexpected EOF"),
    ("{{end}}", "template: :1: unexpected {{end}}"),
    ("{{$x}}", "template: :1: undefined variable \"$x\""),
    ("\n{{\"a}}", "template: :2: unterminated quoted string"),
    ("{{break}}", "template: :1: {{break}} outside {{range}}"),
  ]

  @Test(arguments: refusesWrongTemplatesCases)
  func refusesWrongTemplates(_ source: String, _ message: String) {
    let error = #expect(throws: TemplateError.self) { try Template(source) }
    #expect(error?.description == message)
  }

  @Test func nestingIsBounded() {
    #expect(throws: TemplateError.self) { try Template(String(repeating: "{{(", count: 100_000)) }
    #expect(throws: TemplateError.self) {
      try Template("{{" + String(repeating: "(", count: 100_000) + "1" + String(repeating: ")", count: 100_000) + "}}")
    }
    #expect(throws: TemplateError.self) { try Template(String(repeating: "{{if 1}}", count: 100_000)) }
  }

  @Test func tablesHaveTitlesAndJSONHasRows() throws {
    let row = TemplateRecord(typeName: "*row", names: ["Name", "ID"]) { name in
      ["Name": .string("<web>"), "ID": .string("1")][name]
    }
    let titles = ["Name": "NAME", "ID": "CONTAINER ID"]
    #expect(
      try TableFormat("table {{.ID}}\\t{{upper .Name}}").render(titles: titles, rows: [row])
        == "CONTAINER ID   NAME\n1              <WEB>\n")
    #expect(
      try TableFormat("json").render(titles: titles, rows: [row]) == "{\"ID\":\"1\",\"Name\":\"\\u003cweb\\u003e\"}\n")
    #expect(try TableFormat("{{.ID}}").render(titles: titles, rows: []) == "")
    #expect(try TableFormat("table {{.ID}}").render(titles: titles, rows: []) == "CONTAINER ID\n")
  }
}
