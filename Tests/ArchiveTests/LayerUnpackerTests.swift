import Archive
import CLinux
import Kernel
import OCI
import Testing

@Suite struct LayerUnpackerTests {
  @Test func filesDirectoriesAndLinks() throws {
    let scratch = try Scratch()
    let result = try scratch.unpack(
      Tar.archive(
        Tar.directory("./"), Tar.directory("etc/", mode: 0o700), Tar.file("etc/passwd", "root", mode: 0o4755),
        Tar.link("etc/link", to: "/nowhere"), Tar.hardLink("hard", to: "etc/passwd")))
    #expect(result.members == 5)
    #expect(result.size == 4)
    #expect(result.hasRoot)
    #expect(try scratch.text("etc/passwd") == "root")
    #expect(try scratch.status("etc/passwd").st_mode & 0o7777 == 0o4755)
    #expect(try scratch.status("etc").st_mode & 0o7777 == 0o700)
    #expect(try scratch.status("etc").st_mtim.tv_sec == 1_000_000_000)
    #expect(try Sys.readlink("\(scratch.path)/etc/link") == "/nowhere")
    #expect(try scratch.status("hard").st_nlink == 2)
  }
}
