import Kernel
import OCI
import Testing

/// `linux.rootfsPropagation` where the host's mount is shared, which a table's row can't see.
@Suite("propagation of the root", .serialized)
struct RootPropagationTests {
  @Test("slave gets what the host mounts later, private doesn't, and neither shows the host its own")
  func slave() throws {
    guard let unshare = ProcessEnvironment.find("unshare") else {
      return print("➜ propagation: unshare isn't installed")
    }
    for (word, seen) in [("slave", "seen"), ("rslave", "seen"), ("private", ""), ("shared", "")] {
      let bundle = try Bundle()
      var spec = try bundle.specification("sleep 100")
      spec.linux.rootfsPropagation = word
      spec.process?.capabilities?.bounding.append("CAP_SYS_ADMIN")
      spec.process?.capabilities?.effective.append("CAP_SYS_ADMIN")
      spec.process?.capabilities?.permitted.append("CAP_SYS_ADMIN")
      try bundle.write(spec)
      let script = """
        set -e
        cd \(bundle.folder)
        runtime="\(bundle.program) --root \(bundle.folder)/berth"
        mkdir bundle/rootfs/late
        mount --bind bundle/rootfs bundle/rootfs
        mount --make-shared bundle/rootfs
        $runtime run -d -b bundle c >/dev/null 2>&1 </dev/null
        mount -t tmpfs late bundle/rootfs/late
        touch bundle/rootfs/late/seen
        echo "$($runtime exec c ls /late)"
        $runtime exec c mount -t tmpfs own /data
        grep -c ' \(bundle.path)/rootfs/data ' /proc/self/mountinfo || true
        $runtime delete -f c
        """
      let result = try Command(path: unshare).run(["-m", "sh", "-c", script])
      #expect(result.out == "\(seen)\n0\n", "\(word): \(result)")
    }
  }
}
