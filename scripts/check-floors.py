"""Proves from the package description and from the sources that imports point downwards only (docs/architecture.md)."""
import json
import pathlib
import re
import subprocess
import sys

FLOORS = ["Base", "Runtime", "Stores", "Engine", "API", "Programs"]
# Targets of one floor that may use each other, as the design has it: a noun's protocol, the wiring, a shared bottom.
SAME_FLOOR = {
    "Base": {"Kernel": {"CLinux"}},
    "Runtime": {"ContainerRuntime": {"Cgroups", "Netlink", "Rootfs", "Seccomp", "Terminal"}, "Shim": {"ContainerRuntime", "Terminal", "Cgroups"},
                "Systemd": {"Cgroups"},
                "RuntimeCommand": {"ContainerRuntime", "Cgroups", "Rootfs", "Seccomp", "Systemd", "Terminal"}},
    "Stores": {"Archive": {"CCompression"}, "EROFS": {"Archive"}, "Snapshots": {"Archive", "EROFS"}},
    "Engine": {
        "Images": {"Events", "Registry"}, "Networks": {"Events"}, "Containers": {"Events"}, "Volumes": {"Events"},
        "Engine": {"Containers", "Images", "Networks", "Volumes", "Events", "Registry"},
    },
    "API": {"Commands": {"EngineClient"}},
}
LOW = {"Base", "Runtime"}
BANNED_LOW = re.compile(r"^(Foundation|FoundationEssentials|NIO\w*|Dispatch|Logging|_Concurrency|GRDB|Crypto)$")
# The command line stays light: DESIGN.md, "Programs".
LIGHT_PROGRAMS = {"berth": BANNED_LOW, "berth-shim": BANNED_LOW, "berth-runtime": BANNED_LOW}
IMPORT = re.compile(r"^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:public |internal |package |private |fileprivate )?import (?:\w+ )?(\w[\w-]*)", re.M)


def main() -> int:
    package = json.loads(subprocess.run(["swift", "package", "dump-package"], check=True, capture_output=True).stdout)
    floor_of, depends = {}, {}
    for target in package["targets"]:
        path = target.get("path") or ""
        # Tests, and the programs that they run, may use whatever they test.
        if target["type"] == "test" or path.startswith("Tests/"):
            continue
        floor_of[target["name"]] = pathlib.PurePath(path).parts[1] if path.startswith("Sources/") else "?"
        depends[target["name"]] = {
            next(iter(d.values()))[0] for d in target["dependencies"] if "byName" in d or "target" in d
        }, {d["product"][0] for d in target["dependencies"] if "product" in d}

    problems = []

    def allowed(name: str, other: str) -> bool:
        mine, theirs = floor_of[name], floor_of[other]
        if mine == theirs:
            return other in SAME_FLOOR.get(mine, {}).get(name, set())
        return FLOORS.index(theirs) < FLOORS.index(mine)

    for name, (targets, products) in depends.items():
        if floor_of[name] not in FLOORS:
            problems.append(f"target {name} is on no floor: {floor_of[name]}")
            continue
        for other in targets:
            if other in floor_of and not allowed(name, other):
                problems.append(f"{floor_of[name]}/{name} may not depend on {floor_of[other]}/{other}")
        if floor_of[name] in LOW and products:
            problems.append(f"{floor_of[name]}/{name} may not depend on packages: {', '.join(sorted(products))}")
        for source in pathlib.Path("Sources", floor_of[name], name).rglob("*.swift"):
            for module in IMPORT.findall(source.read_text()):
                if floor_of[name] in LOW and BANNED_LOW.match(module):
                    problems.append(f"{source}: imports {module} below the line")
                if module in floor_of and module != name and module not in targets:
                    problems.append(f"{source}: imports {module}, which Package.swift doesn't name for {name}")

    def closure(name: str, seen: set) -> set:
        for other in depends[name][0]:
            if other in depends and other not in seen:
                seen.add(other)
                closure(other, seen)
        return seen

    for program, banned in LIGHT_PROGRAMS.items():
        for other in closure(program, {program}):
            for product in depends[other][1]:
                if banned.match(product):
                    problems.append(f"{program} links {product} through {other}")
    print("\n".join(problems) if problems else f"{len(depends)} targets on {len(FLOORS)} floors")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
