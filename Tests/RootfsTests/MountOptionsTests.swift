import Rootfs
import Testing

struct MountOptionsTests {
  @Test func aLaterWordOverridesAnEarlierOne() {
    #expect(MountOptions(["ro", "rw"]).set == 0)
    #expect(MountOptions(["rw", "ro"]).set == MountOptions.readOnly)
    #expect(MountOptions(["noatime", "strictatime"]).set == MountOptions.strictAccessTime)
    #expect(MountOptions(["noatime", "relatime"]).set == 0)
    #expect(MountOptions(["noatime", "relatime"]).clear == MountOptions.accessTimes)
  }

  @Test func recursiveWordsAreKeptApart() {
    let options = MountOptions(["rbind", "rro", "rprivate", "nosuid"])
    #expect(options.bind && options.recursive)
    #expect(options.set == MountOptions.noSUID)
    #expect(options.recursiveSet == MountOptions.readOnly)
    #expect(options.data.isEmpty)
  }

  @Test func whatIsNotKnownGoesToTheFileSystem() {
    let options = MountOptions(["nosuid", "mode=755", "size=65536k", "newinstance", "remount"])
    #expect(
      options.data == [
        .init(key: "mode", value: "755"), .init(key: "size", value: "65536k"), .init(key: "newinstance"),
      ])
  }
}
