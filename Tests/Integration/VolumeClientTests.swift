import CLinux
import Kernel
import OCI
import Testing

/// Volumes as docker's own command line and SDK see them.
@Suite("volumes by docker's clients", .serialized)
struct VolumeClientTests {
  @Test(
    "docker volume create, ls, inspect, rm and prune, with their filters and formats",
    .enabled(if: ProcessEnvironment.find("docker") != nil, "no docker CLI on PATH"))
  func commandLine() throws {
    try Daemon.with { daemon in
      let docker = try #require(daemon.docker)
      func ok(_ arguments: String...) throws -> Command.Result {
        let result = try docker.run(arguments)
        try #require(result.status == 0, "docker \(arguments): \(result)")
        return result
      }
      #expect(try ok("volume", "create", "--label", "tier=db", "--label", "keep", "alpha").line == "alpha")
      #expect(try ok("volume", "create", "--label", "tier=web", "beta").line == "beta")
      #expect(try ok("volume", "create", "-o", "type=tmpfs", "-o", "device=tmpfs", "ram").line == "ram")
      let anonymous = try ok("volume", "create").line
      #expect(anonymous.count == 64)
      _ = try ok("create", "--name", "user", "-v", "alpha:/a", "busybox", "true")
      let tables: [([String], [String])] = [
        (["-q"], [anonymous, "alpha", "beta", "ram"].sorted()),
        (["-q", "--filter", "name=a"], ["alpha", "beta", "ram"] + (anonymous.contains("a") ? [anonymous] : [])),
        (["-q", "--filter", "name=alp"], ["alpha"]), (["-q", "--filter", "label=tier"], ["alpha", "beta"]),
        (["-q", "--filter", "label=tier=web"], ["beta"]),
        (["-q", "--filter", "label=keep", "-f", "label=tier"], ["alpha"]),
        (["-q", "--filter", "dangling=false"], ["alpha"]),
        (["-q", "--filter", "dangling=true"], [anonymous, "beta", "ram"].sorted()),
        (["-q", "--filter", "driver=local"], [anonymous, "alpha", "beta", "ram"].sorted()),
        (["-q", "--filter", "driver=other"], []),
        (
          ["--format", "{{.Name}}|{{.Driver}}|{{.Scope}}|{{.Label \"tier\"}}", "-f", "name=alpha"],
          ["alpha|local|local|db"]
        ),
        (["--filter", "name=beta"], ["DRIVER    VOLUME NAME", "local     beta"]),
      ]
      for (arguments, expected) in tables {
        let listed = try docker.run(["volume", "ls"] + arguments)
        #expect(listed.status == 0 && listed.lines.sorted() == expected.sorted(), "\(arguments): \(listed)")
      }
      let json = try JSON.parse(try ok("volume", "ls", "--format", "json", "-f", "name=ram").line)
      #expect(json["Name"]?.stringValue == "ram" && json["Mountpoint"]?.stringValue?.hasSuffix("/ram/_data") == true)
      #expect(
        try docker.run(["volume", "ls", "--filter", "color=blue"]).err.contains("invalid filter 'color'"))
      let inspected = try #require(try JSON.parse(try ok("volume", "inspect", "alpha", "ram").out).arrayValue)
      #expect(inspected[0]["Labels"]?["tier"]?.stringValue == "db" && inspected[0]["Options"] == .null)
      #expect(inspected[0]["Driver"]?.stringValue == "local" && inspected[0]["Scope"]?.stringValue == "local")
      #expect(inspected[1]["Options"]?["type"]?.stringValue == "tmpfs" && inspected[1]["Labels"] == .null)
      #expect(try docker.run(["volume", "inspect", "none"]).err.contains("get none: no such volume"))
      let user = try ok("inspect", "-f", "{{.Id}}", "user").line
      let refusals: [([String], String)] = [
        (["volume", "rm", "alpha"], "remove alpha: volume is in use - [\(user)]"),
        (["volume", "rm", "none"], "get none: no such volume"),
        (["volume", "create", "x"], "volume name is too short, names should be at least two alphanumeric characters"),
        (["volume", "create", "a/b"], "includes invalid characters for a local volume name"),
        (
          ["volume", "create", "-d", "nope", "other"], "error looking up volume plugin nope: plugin \"nope\" not found"
        ),
        (["volume", "create", "-o", "who=me", "other"], "create other: invalid option: \"who\""),
        (["volume", "prune", "-f", "--filter", "color=blue"], "invalid filter 'color'"),
      ]
      for (arguments, text) in refusals {
        let refused = try docker.run(arguments)
        #expect(refused.status == 1 && refused.err.contains(text), "\(arguments): \(refused)")
      }
      #expect(try ok("volume", "rm", "-f", "none").status == 0)
      // Without --all named ones stay.
      #expect(try ok("volume", "prune", "-f").out == "Deleted Volumes:\n\(anonymous)\n\nTotal reclaimed space: 0B\n")
      #expect(try ok("volume", "prune", "-af", "--filter", "label!=tier").out.contains("ram"))
      #expect(try ok("volume", "prune", "-af", "--filter", "label=tier=db").out == "Total reclaimed space: 0B\n")
      #expect(try ok("run", "--rm", "-v", "/gone", "-v", "beta:/b", "busybox", "touch", "/b/kept").status == 0)
      #expect(try ok("volume", "ls", "-q").lines == ["alpha", "beta"], "--rm takes the anonymous one along")
      _ = try ok("rm", "user")
      let df = try ok("system", "df", "-v", "--format", "{{range .Volumes}}{{.Name}} {{.Links}} {{.Size}};{{end}}").line
      #expect(df.contains("alpha 0 ") && df.contains("beta 0 "), "\(df)")
      #expect(try ok("volume", "rm", "alpha", "beta").lines == ["alpha", "beta"])
    }
  }

  private static let python = ProcessEnvironment.find("python3").map { Command(path: $0) }
  private static let hasSDK = (try? python?.run(["-c", "import docker"]).status == 0) ?? false

  @Test(
    "docker's Python SDK makes, mounts, lists and removes volumes", .enabled(if: hasSDK, "no docker SDK for Python"))
  func sdk() throws {
    try Daemon.with { daemon in
      let script = """
        import docker, sys
        from docker.types import Mount
        client = docker.DockerClient(base_url=sys.argv[1])
        v = client.volumes.create("data", driver="local", labels={"a": "b"})
        assert v.name == "data" and v.attrs["Labels"] == {"a": "b"} and v.attrs["Driver"] == "local", v.attrs
        assert [x.name for x in client.volumes.list(filters={"label": "a=b"})] == ["data"]
        run = lambda command, **more: client.containers.run("busybox", ["sh", "-c", command], remove=True, **more).decode()
        run("mkdir -p /d/sub; echo hello > /d/sub/f", volumes={"data": {"bind": "/d", "mode": "rw"}})
        assert run("cat /d/sub/f", volumes=["data:/d:ro"]) == "hello\\n"
        part = Mount("/d", "data", type="volume", read_only=True)
        part["VolumeOptions"] = {"Subpath": "sub"}
        assert run("cat /d/f", mounts=[part]) == "hello\\n"
        assert "size=1024k" in run("grep /t /proc/mounts", mounts=[Mount("/t", None, type="tmpfs", tmpfs_size=1 << 20)])
        assert "size=2048k" in run("grep /t /proc/mounts", tmpfs={"/t": "size=2m"})
        assert "tmpfs" in run("grep /t /proc/mounts", mounts=[Mount("/t", "ram", type="volume", driver_config=
            docker.types.DriverConfig("local", {"type": "tmpfs", "device": "tmpfs"}))])
        holder = client.containers.create("busybox", "true", name="holder", volumes=["data:/d", "/anon"])
        mounts = {m["Destination"]: m for m in client.api.inspect_container("holder")["Mounts"]}
        assert mounts["/d"]["Name"] == "data" and mounts["/d"]["RW"] and len(mounts["/anon"]["Name"]) == 64, mounts
        assert [c.name for c in client.containers.list(all=True, filters={"volume": "data"})] == ["holder"]
        try:
            v.remove()
            raise SystemExit("a volume in use was removed")
        except docker.errors.APIError as error:
            assert error.status_code == 409 and "volume is in use - [" + holder.id + "]" in error.explanation, error
        holder.remove(v=True)
        assert sorted(x.name for x in client.volumes.list()) == ["data", "ram"]
        usage = {x["Name"]: x["UsageData"] for x in client.df()["Volumes"]}
        assert usage["data"]["RefCount"] == 0 and usage["data"]["Size"] >= 6 and usage["ram"]["Size"] == -1, usage
        v.remove()
        try:
            client.volumes.get("data")
            raise SystemExit("a removed volume was found")
        except docker.errors.NotFound as error:
            assert "get data: no such volume" in error.explanation, error
        assert client.volumes.prune(filters={"all": "true"})["VolumesDeleted"] == ["ram"]
        print("done")
        """
      let result = try #require(Self.python).run(["-c", script, daemon.host])
      #expect(result.line == "done", "\(result)")
    }
  }
}
