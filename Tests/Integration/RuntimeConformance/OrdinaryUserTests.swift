import CLinux
import Kernel
import OCI
import Testing

/// Containers of an ordinary user: ids of /etc/subuid by newuidmap, and a group that was handed to it.
@Suite("containers of ordinary users", .serialized)
struct OrdinaryUserTests {
  private let user: UInt32 = 4321

  /// A script of root's in a mount namespace of its own, in which `$asuser COMMAND…` is the ordinary user's.
  private func run(_ bundle: Bundle, _ script: String) throws -> Command.Result? {
    guard let unshare = ProcessEnvironment.find("unshare"), ProcessEnvironment.find("setpriv") != nil else {
      print("➜ ordinary users: unshare and setpriv aren't installed")
      return nil
    }
    let prologue = """
      set -e
      cd \(bundle.folder)
      cp /etc/passwd passwd && echo 'berthtest:x:\(user):\(user)::/:/bin/sh' >>passwd && mount --bind passwd /etc/passwd
      for file in subuid subgid; do
        echo 'berthtest:300000:1000' >$file
        [ -e /etc/$file ] || { touch /etc/$file; }
        mount --bind $file /etc/$file
      done
      chown -R \(user):\(user) bundle
      mkdir -p state && chown \(user):\(user) state
      chmod 755 .
      asuser="setpriv --reuid \(user) --regid \(user) --clear-groups"
      runtime="\(bundle.program) --root \(bundle.folder)/state"

      """
    return try Command(path: unshare).run(["-m", "--propagation", "private", "sh", "-c", prologue + script])
  }

  private func specification(_ bundle: Bundle, _ script: String) throws -> RuntimeSpec {
    var spec = try bundle.specification(script)
    spec.linux.namespaces.append(RuntimeSpec.Namespace(.user))
    spec.linux.uidMappings = [
      .init(containerID: 0, hostID: user, size: 1), .init(containerID: 1, hostID: 300_000, size: 1000),
    ]
    spec.linux.gidMappings = spec.linux.uidMappings
    spec.mounts.removeAll { $0.type == "cgroup" }
    spec.mounts = spec.mounts.map { mount in
      var mount = mount
      // The group tty is mapped to nobody else's.
      mount.options.removeAll { $0 == "gid=5" }
      return mount
    }
    spec.root?.readonly = false
    return spec
  }

  @Test("ranges of /etc/subuid and /etc/subgid are mapped by newuidmap and newgidmap")
  func ranges() throws {
    guard ProcessEnvironment.find("newuidmap") != nil else {
      print("➜ ordinary users: newuidmap isn't installed (package uidmap)")
      return
    }
    let bundle = try Bundle()
    var spec = try specification(
      bundle, "id -u; id -g; id -G; awk '{print $1,$2,$3}' /proc/self/uid_map /proc/self/gid_map; touch /tmp/made")
    spec.process?.user.uid = 5
    spec.process?.user.gid = 7
    spec.process?.user.additionalGids = [9]
    spec.mounts.removeAll { $0.destination == "/tmp" }
    try bundle.write(spec)
    guard
      let result = try run(
        bundle, "chmod 777 bundle/rootfs/tmp; $asuser $runtime run -b bundle c; stat -c '%u %g' bundle/rootfs/tmp/made")
    else { return }
    #expect(
      result.out == "5\n7\n7 9\n0 \(user) 1\n1 300000 1000\n0 \(user) 1\n1 300000 1000\n300004 300006\n", "\(result)")

    // What isn't the user's is refused by newuidmap, in its words.
    spec.linux.uidMappings[1].size = 2000
    try bundle.write(spec)
    let refused = try #require(try run(bundle, "$asuser $runtime run -b bundle c || true; ls state"))
    #expect(refused.err.contains("newuidmap"), "\(refused)")
    #expect(refused.out.isEmpty, "\(refused)")
  }

  @Test("a group that was handed over holds limits; without one they are refused")
  func delegation() throws {
    guard ProcessEnvironment.find("newuidmap") != nil else { return }
    guard !Sys.exists("/sys/fs/cgroup/cgroup.controllers") else {
      print("➜ ordinary users: the test hands over v1's hierarchies")
      return
    }
    let bundle = try Bundle()
    var spec = try specification(
      bundle, "grep -E ':(memory|pids):' /proc/self/cgroup | cut -d: -f3 | sort -u; cat /limit")
    let group = "/berth-handed-\(getpid())"
    spec.linux.namespaces.removeAll { $0.kind == .cgroup }
    spec.linux.cgroupsPath = group + "/c"
    spec.linux.resources?.pids = 11
    spec.mounts.append(
      RuntimeSpec.Mount(
        destination: "/limit", type: "bind", source: "/sys/fs/cgroup/pids\(group)/c/pids.max", options: ["bind"]))
    try bundle.write(spec)
    let script = """
      for place in /sys/fs/cgroup/*/; do
        [ -e $place/cgroup.procs ] || continue
        mkdir $place\(group)
        [ ! -e $place/cpuset.cpus ] || for file in cpuset.cpus cpuset.mems; do cat $place/$file >$place\(group)/$file; done
        chown -R \(user) $place\(group)
      done
      [ ! -d /sys/fs/cgroup/unified ] || echo $$ >/sys/fs/cgroup/unified\(group)/cgroup.procs
      $asuser $runtime run -b bundle c || true
      [ ! -d /sys/fs/cgroup/unified ] || echo $$ >/sys/fs/cgroup/unified/cgroup.procs
      find /sys/fs/cgroup/ -maxdepth 3 -path '*\(group)/*' -type d 2>/dev/null || true
      for place in /sys/fs/cgroup/*/; do [ ! -d $place\(group) ] || rmdir $place\(group); done
      $asuser $runtime run -b bundle c || echo refused
      """
    guard let result = try run(bundle, script) else { return }
    #expect(result.out == "\(group)/c\n11\nrefused\n", "\(result)")
    #expect(result.err.contains("permission denied"), "\(result)")
  }
}
