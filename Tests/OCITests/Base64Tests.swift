import OCI
import Testing

@Suite struct Base64Tests {
  @Test(arguments: [
    ("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
  ])
  func writesAndReadsTheVectorsOfRFC4648(plain: String, encoded: String) {
    #expect(Base64.encode(Array(plain.utf8)) == encoded)
    #expect(Base64.decode(encoded) == Array(plain.utf8))
  }

  @Test func readsBothAlphabetsAndMissingPadding() {
    #expect(Base64.encode([0xFB, 0xFF], urlSafe: true) == "-_8=")
    #expect(Base64.encode([0xFB, 0xFF]) == "+/8=")
    for text in ["-_8=", "+/8=", "-_8", "+/8"] { #expect(Base64.decode(text) == [0xFB, 0xFF]) }
  }

  @Test(arguments: ["A", "====", "Zg=", "Zm9v!", "Zm=v", "Zm 9"])
  func refusesOtherText(text: String) { #expect(Base64.decode(text) == nil) }
}
