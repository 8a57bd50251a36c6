import Netlink
import Testing

@Suite("Addresses") struct AddressTests {
  @Test("IPv4 addresses are read as inet_pton reads them")
  func ipv4() {
    #expect(IPv4Address("172.17.0.1")?.description == "172.17.0.1")
    #expect(IPv4Address("255.255.255.255")?.bits == .max)
    for wrong in [
      "", "1.2.3", "1.2.3.4.5", "256.0.0.1", "01.2.3.4", "1..2.3", "a.b.c.d", "1.2.3.4 ", "1.2.3.0004", "-1.2.3.4",
    ] {
      #expect(IPv4Address(wrong) == nil, "\(wrong)")
    }
  }

  @Test("subnets contain and overlap")
  func subnets() throws {
    let subnet = try #require(IPv4Subnet("172.17.0.1/16"))
    #expect(subnet.canonical == "172.17.0.0/16")
    #expect(subnet.broadcast.description == "172.17.255.255")
    #expect(subnet.contains(try #require(IPv4Address("172.17.3.4"))))
    #expect(!subnet.contains(try #require(IPv4Address("172.18.0.1"))))
    #expect(subnet.overlaps(try #require(IPv4Subnet("172.16.0.0/12"))))
    #expect(try #require(IPv4Subnet("0.0.0.0/0")).overlaps(subnet))
    #expect(!subnet.overlaps(try #require(IPv4Subnet("172.18.0.0/16"))))
    for wrong in ["172.17.0.1", "172.17.0.1/33", "172.17.0.1/-1", "172.17.0.1/", "/16", "1.2.3.4/16/2"] {
      #expect(IPv4Subnet(wrong) == nil, "\(wrong)")
    }
  }

  @Test("hardware addresses")
  func hardware() {
    #expect(HardwareAddress("02:42:AC-11-00:02")?.description == "02:42:ac:11:00:02")
    #expect(HardwareAddress("02:42:ac:11:00") == nil)
    #expect(HardwareAddress("02:42:ac:11:00:0g") == nil)
    #expect(HardwareAddress(for: IPv4Address(bits: 0xac11_0002)).description == "02:42:ac:11:00:02")
  }
}
