"""Measures Berth against its peers side by side and prints ratios. Each measurement alternates the contenders round by round, so
that the machine's moods hit all of them; figures are medians with the 10th and 90th percentile. No golden numbers, no assertions."""
import argparse
import ctypes
import json
import os
import pathlib
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).resolve().parent.parent
BIN = ROOT / "bin"


class Contender:
    """One engine's command line, with `busybox` loaded."""

    def __init__(self, name, command, env=None):
        self.name, self.command, self.env = name, command, {**os.environ, **(env or {})}

    def run(self, *arguments, check=True):
        return subprocess.run([*self.command, *arguments], env=self.env, check=check, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    def time(self, *arguments):
        began = time.perf_counter()
        result = subprocess.run([*self.command, *arguments], env=self.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        took = (time.perf_counter() - began) * 1000
        if result.returncode != 0:
            raise RuntimeError(f"{self.name} {' '.join(arguments)}: exit {result.returncode}: {result.stderr.strip()[-300:]}")
        return took


def percentile(values, fraction):
    values = sorted(values)
    return values[min(len(values) - 1, int(len(values) * fraction))]


def alternate(contenders, rounds, idle, measure):
    """`measure(contender)` → ms, in turns; the first turn of each is a warm-up."""
    times = {c.name: [] for c in contenders}
    for turn in range(rounds + 1):
        for contender in contenders:
            if idle:
                time.sleep(idle)
            took = measure(contender)
            if turn:
                times[contender.name].append(took)
    return times


def pss(pids):
    """Proportional set size of processes in MB, and how many there are."""
    total, count = 0, 0
    for pid in pids:
        try:
            text = pathlib.Path(f"/proc/{pid}/smaps_rollup").read_text()
        except OSError:
            continue
        total += int(re.search(r"^Pss:\s+(\d+)", text, re.M).group(1))
        count += 1
    return total / 1024, count


def processes(predicate):
    found = []
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if predicate((entry / "cmdline").read_bytes().split(b"\0"), entry):
                    found.append(int(entry.name))
            except OSError:
                continue
    return found


class Runtime:
    """An OCI runtime's program."""

    def __init__(self, name, program):
        self.name, self.program = name, str(program)

    def spawn(self, *arguments):
        quiet = [(os.POSIX_SPAWN_OPEN, fd, "/dev/null", os.O_RDWR, 0) for fd in (0, 1)]
        return os.posix_spawn(self.program, [self.program, *map(str, arguments)], os.environ, file_actions=quiet)

    def call(self, *arguments):
        began = time.perf_counter()
        status = os.waitstatus_to_exitcode(os.waitpid(self.spawn(*arguments), 0)[1])
        if status != 0:
            raise RuntimeError(f"{self.program} {' '.join(map(str, arguments))}: exit {status}")
        return (time.perf_counter() - began) * 1000


class Inside:
    """The peers' tree, entered once and held by a process; without peers, where we are."""

    # As scripts/peers sets it for what it executes in its tree.
    environment = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root",
                   "PODMAN_IGNORE_CGROUPSV1_WARNING": "1"}

    def __init__(self, prefix):
        self.holder, self.count = None, 0
        if prefix:
            self.holder = subprocess.Popen([*prefix, "sh", "-c", "echo; exec sleep 1000000"], stdout=subprocess.PIPE)
            self.holder.stdout.readline()

    def leave(self):
        if self.holder:
            self.holder.kill()
            self.holder.wait()

    def command(self, *arguments):
        """For whoever isn't there: entering costs less than a millisecond."""
        return ["nsenter", f"--mount=/proc/{self.holder.pid}/ns/mnt", *arguments]

    def run(self, body):
        """What `body` returns, through JSON: it runs in a process of its own that is in the tree."""
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                if self.holder:
                    libc = ctypes.CDLL(None, use_errno=True)
                    namespace = os.open(f"/proc/{self.holder.pid}/ns/mnt", os.O_RDONLY)
                    if libc.setns(namespace, 0x20000) != 0:
                        raise OSError(ctypes.get_errno(), "setns")
                os.write(writing, json.dumps(body()).encode())
            except BaseException as error:  # the parent must hear of it, whatever it is
                os.write(writing, json.dumps({"error": str(error)}).encode())
            finally:
                os._exit(0)
        os.close(writing)
        with open(reading, "rb") as pipe:
            result = json.loads(pipe.read())
        os.waitpid(child, 0)
        if "error" in result:
            raise RuntimeError(result["error"])
        return result

    def name(self, runtime):
        self.count += 1
        return f"bench-{os.getpid()}-{runtime.name}-{self.count}"

    def times(self, runtimes, rounds, idle, bundle, command):
        def measure():
            held = {r.name: self.name(r) for r in runtimes}
            if command == "run":
                return alternate(runtimes, rounds, idle, lambda r: r.call("run", "--bundle", bundle, self.name(r)))
            for r in runtimes:
                r.call("run", "--detach", "--bundle", bundle, "--config", bundle / "sleep.json", held[r.name])
            try:
                return alternate(runtimes, rounds, idle, lambda r: r.call("exec", held[r.name], "/bin/true"))
            finally:
                for r in runtimes:
                    r.call("delete", "--force", held[r.name])

        return self.run(measure)

    def memory(self, runtime, bundle):
        def measure():
            name = self.name(runtime)
            pid = runtime.spawn("run", "--bundle", bundle, "--config", bundle / "sleep.json", name)
            try:
                deadline = time.time() + 10
                # Its own child is the container, once it executes the program.
                while not any("sleep" in pathlib.Path(f"/proc/{c}/cmdline").read_text() and pathlib.Path(f"/proc/{c}/comm").read_text() == "sleep\n"
                              for c in pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()):
                    if time.time() > deadline:
                        raise RuntimeError(f"{runtime.name}: the container did not start")
                    time.sleep(0.02)
                peak = re.search(r"VmHWM:\s+(\d+)", pathlib.Path(f"/proc/{pid}/status").read_text()).group(1)
                return {"peak of resident memory": int(peak) / 1024, "PSS while its container runs": pss([pid])[0]}
            finally:
                # It deletes its container itself.
                runtime.call("kill", name, "KILL")
                os.waitpid(pid, 0)

        return self.run(measure)


class Bench:
    def __init__(self, options):
        self.options, self.rows, self.cleanup = options, [], []
        self.scratch = pathlib.Path(tempfile.mkdtemp(prefix="berth-bench-"))

    def row(self, what, times, unit="ms"):
        base = statistics.median(times["berth"])
        print(f"\n{what}")
        for name, values in times.items():
            median = statistics.median(values)
            spread = f"{percentile(values, 0.1):8.2f} … {percentile(values, 0.9):<8.2f}" if len(values) > 2 else " " * 19
            ratio = "" if name == "berth" else f"  berth is {base / median:.3f} of it" + (f" (1/{median / base:.1f})" if base else "")
            print(f"  {name:8} {median:9.2f} {unit}  {spread}{ratio}")
            self.rows.append({"what": what, "who": name, "unit": unit, "median": median, "values": values})

    # ---- contenders

    def start_berth(self):
        data, run = self.scratch / "data", self.scratch / "run"
        host = f"unix://{run}/berth.sock"
        run.mkdir()
        log = open(self.scratch / "berthd.log", "wb")
        self.berthd = subprocess.Popen([BIN / "berthd", "--data-root", data, "--exec-root", run, "-H", host, "--pidfile", run / "pid"], stdout=log, stderr=log)
        self.cleanup.append(self.stop_berth)
        deadline = time.time() + 10
        while True:
            try:
                with socket.socket(socket.AF_UNIX) as probe:
                    probe.connect(f"{run}/berth.sock")
                break
            except OSError:
                if time.time() > deadline or self.berthd.poll() is not None:
                    sys.exit(f"bench: berthd did not come up: {(self.scratch / 'berthd.log').read_text()[-2000:]}")
                time.sleep(0.01)
        self.berth = Contender("berth", [str(BIN / "berth"), "-H", host])
        archive = self.scratch / "busybox.tar"
        subprocess.run([ROOT / "scripts/make-busybox-image", archive], check=True)
        self.berth.run("load", "-i", str(archive))
        return archive

    def stop_berth(self):
        left = self.berth.run("ps", "-aq", check=False).stdout.split()
        if left:
            self.berth.run("rm", "-f", *left, check=False)
        self.berthd.terminate()
        self.berthd.wait(20)

    def start_peers(self, archive):
        self.docker = self.podman = None
        peers = ROOT / "scripts/peers"
        home = pathlib.Path(os.environ.get("BERTH_PEERS") or pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "berth-peers")
        command = os.environ.get("BERTH_PEERS_COMMAND")
        sock = os.environ.get("BERTH_BENCH_DOCKER")
        if command:
            prefix = [command, "exec"]
        elif (home / "complete").exists():
            prefix = [str(peers), "exec"]
            subprocess.run([peers, "dockerd", "start"], check=True)
            self.cleanup.append(lambda: subprocess.run([peers, "dockerd", "stop"]))
            sock = sock or f"unix://{home}/run/docker.sock"
        else:
            prefix = None
            print("bench: no peers: scripts/peers install brings docker, podman and crun; measuring berth alone", file=sys.stderr)
        if sock and shutil.which("docker"):
            self.docker = Contender("docker", ["docker"], {"DOCKER_HOST": sock})
            self.docker.run("load", "-i", str(archive))
            left = self.docker.run("ps", "-aq").stdout.split()
            if left:
                self.docker.run("rm", "-f", *left)
        self.inside = Inside(prefix)
        self.cleanup.append(self.inside.leave)
        if prefix:
            self.podman = Contender("podman", self.inside.command("podman"), self.inside.environment)
            self.podman.run("load", "-i", str(archive))

    def engines(self, *, podman=True):
        return [c for c in (self.berth, self.docker, self.podman if podman else None) if c]

    # ---- what is measured

    def bench_run(self):
        rounds = 5 if self.options.quick else 15
        for network in ("bridge", "none"):
            flags = ["--network", "none"] if network == "none" else []
            self.row(f"run --rm {' '.join(flags)} busybox true".replace("  ", " "), alternate(
                self.engines(), rounds, 0.2, lambda c: c.time("run", "--rm", *flags, "busybox", "true")))
        hot = alternate([self.berth], 40, 0, lambda c: c.time("run", "--rm", "busybox", "true"))
        self.row("the same on the bridge, one after another without a pause", hot)

    def bench_exec(self):
        for engine in self.engines():
            engine.run("run", "-d", "--name", "bench-exec", "busybox", "sleep", "1000")
        try:
            self.row("exec CONTAINER true", alternate(
                self.engines(), 5 if self.options.quick else 15, 0.1, lambda c: c.time("exec", "bench-exec", "true")))
        finally:
            for engine in self.engines():
                engine.run("rm", "-f", "bench-exec", check=False)

    def bench_runtime(self):
        """`run` of one bundle, and `exec` into a container of it, by crun and by berth-runtime. All of it by one process that has
        entered the peers' tree once and spawns the contenders there, so that nothing has to be taken off."""
        bundle = self.scratch / "bundle"
        (bundle / "rootfs/bin").mkdir(parents=True)
        for place in ("dev", "proc", "sys", "tmp"):
            (bundle / "rootfs" / place).mkdir()
        busybox = next((p for p in ("/bin/busybox", "/usr/bin/busybox") if os.path.exists(p)), None)
        if not busybox:
            print("bench: no /bin/busybox (Debian's busybox-static): the OCI runtime is left out", file=sys.stderr)
            return
        for applet in ("true", "sleep"):
            shutil.copy(busybox, bundle / "rootfs/bin" / applet)
        # Below /tmp, which the peers' tree shares.
        program = shutil.copy(BIN / "berth-runtime", self.scratch / "berth-runtime")
        subprocess.run([program, "spec"], cwd=bundle, check=True)
        config = json.loads((bundle / "config.json").read_text())
        config["process"].update(terminal=False, args=["/bin/true"])
        (bundle / "config.json").write_text(json.dumps(config))
        config["process"]["args"] = ["/bin/sleep", "1000"]
        (bundle / "sleep.json").write_text(json.dumps(config))
        contenders = [Runtime("berth", program)] + ([Runtime("crun", "/usr/bin/crun")] if self.inside.holder else [])
        rounds = 10 if self.options.quick else 40
        inside = self.inside
        self.row("OCI runtime: run of a bundle, one after another", inside.times(contenders, rounds, 0, bundle, "run"))
        self.row("OCI runtime: the same after 0.3 s of idleness", inside.times(contenders, rounds // 2, 0.3, bundle, "run"))
        self.row("OCI runtime: exec of true, one after another", inside.times(contenders, rounds, 0, bundle, "exec"))
        self.row("OCI runtime: the same after 0.3 s of idleness", inside.times(contenders, rounds // 2, 0.3, bundle, "exec"))
        for kind in ("peak of resident memory", "PSS while its container runs"):
            self.row(f"OCI runtime: {kind}, run in the foreground", {
                c.name: [inside.memory(c, bundle)[kind]] for c in contenders}, "MB")

    def bench_volumes(self):
        """What 20 volumes add to a start, 500 volumes listed, and files copied and written in a volume, in a bind and on the host."""
        mounts = [word for i in range(20) for word in ("-v", f"bench-{i}:/v{i}")]
        many = Contender("20 mounts", self.berth.command)
        run = lambda c: c.time("run", "--rm", "--network", "none", *(mounts if c is many else []), "busybox", "true")
        run(many)
        times = alternate([self.berth, many], 10 if self.options.quick else 40, 0.05, run)
        self.row("run --rm --network none busybox true, without and with 20 volumes", times)
        print(f"  20 volumes add {statistics.median(times['20 mounts']) - statistics.median(times['berth']):.2f} ms")

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda i: self.berth.run("volume", "create", f"bench-many-{i}"), range(480)))
        self.row("volume ls of 500 volumes", alternate([self.berth], 40, 0, lambda c: c.time("volume", "ls")))

        bind, host = self.scratch / "bind", self.scratch / "host"
        for place in (bind, host):
            place.mkdir()
        self.berth.run("run", "-d", "--name", "bench-files", "--network", "none", "-v", "bench-0:/berth", "-v", f"{bind}:/bind", "busybox", "sleep", "1000")
        busybox = shutil.which("busybox")
        contenders = [Contender("berth", self.berth.command), Contender("bind", self.berth.command), Contender("host", [busybox])]

        def shell(contender, script):
            """The same program in all places, PLACE; the exec's own time is taken off."""
            if contender.name == "host":
                return contender.time("sh", "-c", script.replace("PLACE", str(host)))
            return contender.time("exec", "bench-files", "sh", "-c", script.replace("PLACE", f"/{contender.name}")) - cost

        cost = statistics.median([self.berth.time("exec", "bench-files", "true") for _ in range(9)])
        for contender in contenders:
            shell(contender, "i=0; while [ $i -lt 40 ]; do mkdir -p PLACE/tree/$i; j=0; while [ $j -lt 100 ]; do "
                             "head -c $((j * 500)) /dev/zero >PLACE/tree/$i/$j; j=$((j + 1)); done; i=$((i + 1)); done")
        rounds = 5 if self.options.quick else 15

        def copied(contender):
            shell(contender, "rm -rf PLACE/copy; sync")
            return shell(contender, "cp -a PLACE/tree PLACE/copy")

        self.row("copy of a tree of 4,000 files, 100 MB: in a volume, in a bind, on the host", alternate(contenders, rounds, 0, copied))
        self.row("256 MB written and synced there", alternate(
            contenders, rounds, 0, lambda c: shell(c, "dd if=/dev/zero of=PLACE/file bs=1M count=256 conv=fsync 2>/dev/null")))
        self.row("256 MB read there from memory", alternate(
            contenders, rounds * 2, 0, lambda c: shell(c, "dd if=PLACE/file of=/dev/null bs=1M 2>/dev/null")))
        self.berth.run("rm", "-f", "bench-files")

    def bench_many(self):
        count = 40

        def start(engine):
            names = [f"bench-many-{i}" for i in range(count)]
            began = time.perf_counter()
            with ThreadPoolExecutor(8) as pool:
                list(pool.map(lambda n: engine.run("run", "-d", "--name", n, "busybox", "sleep", "1000"), names))
            took = (time.perf_counter() - began) * 1000
            engine.run("rm", "-f", *names)
            return took

        self.row(f"{count} containers started, 8 at a time", alternate(
            [e for e in (self.berth, self.docker) if e], 1 if self.options.quick else 3, 0, start))

    def bench_memory(self):
        count = 50
        figures = {}
        # Its shims that wait for a container belong to it.
        folder = str(self.scratch).encode()
        waiting = processes(lambda c, e: len(c) > 1 and c[1].startswith(folder) and c[1].endswith(b"/" + b"-" * 64))
        rest, _ = pss([self.berthd.pid, *waiting])
        print(f"\nberthd {pss([self.berthd.pid])[0]:.1f} MB, {len(waiting)} waiting shims {pss(waiting)[0]:.2f} MB")
        figures["berth"] = [rest]
        docker_daemons = lambda: processes(lambda c, e: os.path.basename(c[0]) in (b"dockerd", b"containerd"))
        if self.docker:
            figures["docker"] = [pss(docker_daemons())[0]]
        self.row("daemon at rest (PSS)", figures, "MB")
        names = [f"bench-memory-{i}" for i in range(count)]
        each = {}
        shims = {"berth": lambda: processes(lambda c, e: os.path.basename(c[0]).startswith(b"berth-shim")
                                            and not c[1].endswith(b"-" * 64)),
                 "docker": lambda: processes(lambda c, e: b"containerd-shim" in c[0])}
        for engine in [e for e in (self.berth, self.docker) if e]:
            for name in names:
                engine.run("run", "-d", "--network", "none", "--name", name, "busybox", "sleep", "1000")
            total, found = pss(shims[engine.name]())
            each[engine.name] = [total / max(found, 1)]
            if engine is self.berth:
                print(f"\nwith {count} containers: berthd {pss([self.berthd.pid])[0]:.1f} MB, {found} shims {total:.1f} MB")
            engine.run("rm", "-f", *names)
        self.row(f"shim of each of {count} running containers (PSS)", each, "MB")

    def bench_network(self):
        """A stream and requests with a connection each, through a published port (by loopback and by the host's own address) and between
        containers; the processors' time of the whole machine beside it."""
        size, seconds = 1 << 30, 1.5 if self.options.quick else 4
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            own = probe.getsockname()[0]
        engines = [e for e in (self.berth, self.docker) if e]
        for number, engine in enumerate(engines):
            engine.stream, engine.web = 15000 + number, 15010 + number
            engine.run("run", "-d", "--name", "bench-server", "-p", f"{engine.stream}:5000", "-p", f"{engine.web}:80", "busybox", "sh", "-c",
                       f"echo page >/index.html; httpd -p 80 -h /; exec nc -lk -p 5000 -e head -c {size} /dev/zero")
            engine.run("run", "-d", "--name", "bench-client", "busybox", "sleep", "1000")
            engine.server = engine.run("inspect", "-f", "{{.NetworkSettings.Networks.bridge.IPAddress}}", "bench-server").stdout.strip()

        def busy():
            ticks = [int(t) for t in pathlib.Path("/proc/stat").read_text().split("\n")[0].split()[1:]]
            return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")

        def stream(address):
            def measure(engine):
                buffer, got = memoryview(bytearray(1 << 20)), 0
                with socket.create_connection((address, engine.stream), 30) as connection:
                    began, before = time.perf_counter(), busy()
                    while count := connection.recv_into(buffer):
                        got += count
                assert got == size, f"{engine.name}: {got} bytes"
                processors.setdefault(engine.name, []).append((busy() - before) * (1 << 30) / size)
                return got / (time.perf_counter() - began) / 1e6
            return measure

        def between(engine):
            before = busy()
            took = engine.time("exec", "bench-client", "sh", "-c", f"nc {engine.server} 5000 </dev/null >/dev/null")
            processors.setdefault(engine.name, []).append((busy() - before) * (1 << 30) / size)
            return size / took / 1e3

        def requests(address):
            def measure(engine):
                def ask(_):
                    count, until = 0, time.perf_counter() + seconds
                    while time.perf_counter() < until:
                        with socket.create_connection((address, engine.web), 30) as connection:
                            connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
                            while connection.recv(4096):
                                pass
                        count += 1
                    return count
                with ThreadPoolExecutor(4) as pool:
                    began = time.perf_counter()
                    count = sum(pool.map(ask, range(4)))
                    return count / (time.perf_counter() - began)
            return measure

        rounds = 2 if self.options.quick else 5
        for what, measure in [("published port by 127.0.0.1", stream("127.0.0.1")), ("published port by the host's address", stream(own)),
                              ("between containers", between)]:
            processors = {}
            self.row(f"TCP, {what}", alternate(engines, rounds, 0.2, measure), "MB/s")
            self.row(f"TCP, {what}: processors a GB", {name: values[1:] for name, values in processors.items()}, "s")
        for what, address in [("127.0.0.1", "127.0.0.1"), ("the host's address", own)]:
            self.row(f"requests, a connection each, by {what}", alternate(engines, rounds, 0.2, requests(address)), "/s")
        for engine in engines:
            engine.run("rm", "-f", "bench-server", "bench-client")

    def bench_pull(self):
        """A root file system as one gzip layer from a registry on loopback; rmi between the rounds isn't counted, but shown by itself."""
        program, rootfs = shutil.which("docker-registry"), self.options.rootfs
        if not program or not rootfs:
            print("\nbench: no pull: it needs docker-registry on PATH and --rootfs FILE, a root file system's tar", file=sys.stderr)
            return
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            host = f"127.0.0.1:{probe.getsockname()[1]}"
        config = self.scratch / "registry.yml"
        config.write_text(
            "version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"
            f"storage: {{filesystem: {{rootdirectory: {self.scratch}/registry}}}}\nhttp: {{addr: \"{host}\"}}\n")
        registry = subprocess.Popen([program, "serve", config], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.cleanup.append(lambda: (registry.terminate(), registry.wait(20)))
        deadline = time.time() + 20
        while True:
            try:
                socket.create_connection(tuple(host.split(":"))).close()
                break
            except OSError:
                if time.time() > deadline:
                    sys.exit("bench: the registry did not come up")
                time.sleep(0.05)
        name, archive = f"{host}/bench/rootfs:1", self.scratch / "rootfs-image.tar"
        with open(rootfs, "rb") as tar:
            subprocess.run([ROOT / "scripts/make-rootfs-image", name, archive], stdin=tar, check=True)
        self.berth.run("load", "-i", str(archive))
        self.berth.run("push", name)
        self.berth.run("rmi", name)
        archive.unlink()
        removals = {}

        def pull(engine):
            took = engine.time("pull", "-q", *(["--tls-verify=false"] if engine is self.podman else []), name)
            removals.setdefault(engine.name, []).append(engine.time("rmi", name))
            return took

        self.row("pull of a root file system from loopback", alternate(self.engines(), 2 if self.options.quick else 5, 0.5, pull))
        self.row("its rmi", removals)

    def main(self):
        try:
            self.start_peers(self.start_berth())
            for name in ("run", "exec", "runtime", "volumes", "many", "memory", "network", "pull"):
                if not self.options.only or name in self.options.only:
                    getattr(self, f"bench_{name}")()
        finally:
            for step in reversed(self.cleanup):
                step()
            shutil.rmtree(self.scratch, ignore_errors=True)
        if self.options.json:
            pathlib.Path(self.options.json).write_text(json.dumps(self.rows, indent=1))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer rounds")
    parser.add_argument("--only", action="append", choices=["run", "exec", "runtime", "volumes", "many", "memory", "network", "pull"])
    parser.add_argument("--rootfs", metavar="FILE", help="a root file system's tar, to measure pulls with")
    parser.add_argument("--json", metavar="FILE")
    Bench(parser.parse_args()).main()
