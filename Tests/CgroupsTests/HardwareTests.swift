import CLinux
import Kernel
import OCI
import Testing

@testable import Cgroups

/// Controllers that the hosts of the tests haven't mounted: plain files stand for theirs. Mounting net_cls for a test would change every
/// process's list of groups meanwhile.
@Suite struct HardwareTests {
  private final class Folder {
    let path: String
    init(_ files: [String]) throws {
      var template = Array("/tmp/berth-cgroups-XXXXXX\0".utf8CString)
      guard let made = mkdtemp(&template) else { throw SyscallError("mkdtemp", "/tmp", .current) }
      path = String(cString: made)
      try Sys.mkdir(path + "/c")
      for file in files { try Sys.replaceFile("\(path)/c/\(file)", with: [], durable: false) }
    }
    deinit { try? Sys.removeTree(path) }

    func text(_ file: String) throws -> String {
      String(decoding: try Sys.readFile("\(path)/c/\(file)"), as: UTF8.self)
    }

    func group(_ controllers: [String]) throws -> Cgroup {
      try Cgroup(
        path: "/c",
        layout: CgroupLayout(
          mode: .v1, hierarchies: [.init(controllers: controllers, mountPoint: path)], unified: nil,
          unifiedControllers: []))
    }
  }

  @Test func marksOfPacketsAreWrittenWhereTheirControllersAre() throws {
    let folder = try Folder(["net_cls.classid", "net_prio.ifpriomap"])
    var resources = RuntimeSpec.Resources()
    var network = RuntimeSpec.Resources.Network()
    network.classID = 0x10_0001
    network.priorities = [.init(name: "eth0", priority: 3)]
    resources.network = network
    #expect(try folder.group(["net_cls", "net_prio"]).update(resources).isEmpty)
    #expect(try folder.text("net_cls.classid") == "1048577")
    #expect(try folder.text("net_prio.ifpriomap") == "eth0 3")
    resources.network?.priorities[0].name = "eth0 9\nlo"
    #expect(throws: CgroupError.self) { try folder.group(["net_cls", "net_prio"]).update(resources) }
  }

  @Test func devicesOfRDMAAreWrittenWhereTheirControllerIs() throws {
    let folder = try Folder(["rdma.max"])
    var resources = RuntimeSpec.Resources()
    resources.rdma = ["mlx5_0": .init(hcaHandles: 2, hcaObjects: 2000)]
    #expect(try folder.group(["rdma"]).update(resources).isEmpty)
    #expect(try folder.text("rdma.max") == "mlx5_0 hca_handle=2 hca_object=2000")
  }

  @Test func withoutTheirControllersTheyAreRefusedByTheFieldsPath() throws {
    let folder = try Folder([])
    let group = try folder.group(["pids"])
    func refusal(_ change: (inout RuntimeSpec.Resources) -> Void) -> String {
      var resources = RuntimeSpec.Resources()
      change(&resources)
      do {
        try group.update(resources)
        return ""
      } catch { return "\(error)" }
    }
    let text = refusal { $0.hugepageLimits = [.init(pageSize: "2MB", limit: 1)] }
    #expect(text == "linux.resources.hugepageLimits: no hugetlb controller is mounted on this host")
    #expect(refusal { $0.rdma = ["a": .init(hcaHandles: 1)] }.hasPrefix("linux.resources.rdma[\"a\"]: "))
    #expect(
      refusal {
        var network = RuntimeSpec.Resources.Network()
        network.classID = 1
        $0.network = network
      }.hasPrefix("linux.resources.network.classID: "))
  }
}
