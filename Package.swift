// swift-tools-version:6.2
// The floors of Berth: a target may depend only on targets of its own floor's list or below (scripts/check proves it).
import PackageDescription

let common: [SwiftSetting] = [
  .swiftLanguageMode(.v6),
  .enableUpcomingFeature("ExistentialAny"),
  .enableUpcomingFeature("MemberImportVisibility"),
  .enableUpcomingFeature("InternalImportsByDefault"),
  .treatAllWarnings(as: .error),
  // CLinux needs _GNU_SOURCE; Glibc, CNIOLinux and others don't set it: the C library's types must be the same in all of them.
  .unsafeFlags(["-Xcc", "-D_GNU_SOURCE"]),
  // A section a function, so that the linker leaves out what nobody calls. Types of generics are asked for by code, not by a name that
  // the runtime would have to parse when each is first used: 9 µs each, 4 % of a short program's time.
  .unsafeFlags(
    ["-Xfrontend", "-function-sections", "-Xfrontend", "-disable-concrete-type-metadata-mangled-name-accessors"],
    .when(configuration: .release)),
]
// Programs are fully static in release builds: `swift build -c release --static-swift-stdlib`.
let fullyStatic: [LinkerSetting] = [.unsafeFlags(["-static-executable"], .when(configuration: .release))]

func library(
  _ floor: String, _ name: String, _ dependencies: [Target.Dependency] = [], linker: [LinkerSetting] = []
) -> Target {
  .target(
    name: name, dependencies: dependencies, path: "Sources/\(floor)/\(name)", swiftSettings: common,
    linkerSettings: linker)
}

func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .executableTarget(
    name: name, dependencies: dependencies, path: "Sources/Programs/\(name)", swiftSettings: common,
    linkerSettings: fullyStatic)
}

func tests(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
  .testTarget(name: name, dependencies: dependencies, path: "Tests/\(name)", swiftSettings: common)
}

/// `BERTH_TESTS="ArchiveTests Integration" swift build --build-tests` knows those test targets alone, so that a change is
/// tried without compiling the tests of everything else.
let wanted = Context.environment["BERTH_TESTS"].map { $0.split(separator: " ").map(String.init) }

let nioCore: Target.Dependency = .product(name: "NIOCore", package: "swift-nio")
let nioPosix: Target.Dependency = .product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1: Target.Dependency = .product(name: "NIOHTTP1", package: "swift-nio")
let crypto: Target.Dependency = .product(name: "Crypto", package: "swift-crypto")
let logging: Target.Dependency = .product(name: "Logging", package: "swift-log")
let asyncHTTPClient: Target.Dependency = .product(name: "AsyncHTTPClient", package: "async-http-client")
let nioSSL: Target.Dependency = .product(name: "NIOSSL", package: "swift-nio-ssl")
let grdb: Target.Dependency = .product(name: "GRDB", package: "GRDB.swift")

let package = Package(
  name: "berth",
  products: [
    .executable(name: "berth", targets: ["berth"]),
    .executable(name: "berthd", targets: ["berthd"]),
    .executable(name: "berth-shim", targets: ["berth-shim"]),
    .executable(name: "berth-runtime", targets: ["berth-runtime"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
    .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
    .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
    .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
    .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
    .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
  ],
  targets: [
    // Base
    .target(name: "CLinux", path: "Sources/Base/CLinux"),
    library("Base", "Kernel", ["CLinux"]),
    library("Base", "OCI", linker: [.linkedLibrary("m")]),
    library("Base", "Errdefs"),

    // Runtime: no Foundation, NIO, Dispatch or async from here down
    library("Runtime", "Terminal", ["Kernel", "CLinux"]),
    library("Runtime", "Netlink", ["Kernel", "CLinux"]),
    library("Runtime", "Seccomp", ["Kernel", "OCI", "CLinux"]),
    library("Runtime", "Cgroups", ["Kernel", "OCI", "CLinux"]),
    library("Runtime", "Rootfs", ["Kernel", "OCI", "CLinux"]),
    library(
      "Runtime", "ContainerRuntime",
      ["Kernel", "OCI", "Cgroups", "Netlink", "Rootfs", "Seccomp", "Terminal", "CLinux"]),
    library("Runtime", "Systemd", ["Kernel", "OCI", "Cgroups", "CLinux"]),
    library("Runtime", "Shim", ["Kernel", "OCI", "Cgroups", "ContainerRuntime", "Terminal", "CLinux"]),
    .target(
      name: "CSealedStart", path: "Sources/Runtime/CSealedStart",
      cSettings: [.unsafeFlags(["-ffreestanding", "-fno-builtin", "-fno-stack-protector", "-O2"])]),
    library(
      "Runtime", "RuntimeCommand",
      ["Kernel", "OCI", "Cgroups", "ContainerRuntime", "Rootfs", "Seccomp", "Systemd", "Terminal", "CLinux"]),

    // Stores
    .target(name: "CCompression", path: "Sources/Stores/CCompression"),
    library("Stores", "Archive", ["Kernel", "OCI", "CLinux", "Rootfs", "CCompression"]),
    library("Stores", "EROFS", ["Kernel", "OCI", "Archive", "CLinux"]),
    library("Stores", "ContentStore", ["Errdefs", "Kernel", "OCI", "CLinux", crypto]),
    library("Stores", "Snapshots", ["Errdefs", "Kernel", "OCI", "Archive", "EROFS", "CLinux", "Rootfs", crypto]),
    library("Stores", "Metadata", ["Errdefs", "OCI", "Kernel", grdb]),

    // Engine
    library("Engine", "Events", ["OCI"]),
    library(
      "Engine", "Registry",
      ["CLinux", "OCI", "Errdefs", "Kernel", nioCore, nioHTTP1, nioSSL, asyncHTTPClient, crypto, logging]),
    library(
      "Engine", "Images",
      [
        "CLinux", "OCI", "Errdefs", "Kernel", "Archive", "ContentStore", "Snapshots", "Metadata", "Events", "Registry",
        crypto, logging, nioCore,
      ]),
    library("Engine", "Networks", ["OCI", "Errdefs", "Kernel", "Netlink", "CLinux", logging]),
    library(
      "Engine", "Volumes",
      ["OCI", "Errdefs", "Kernel", "CLinux", "Rootfs", "Archive", "Metadata", "Events", logging]),
    library(
      "Engine", "Containers",
      [
        "OCI", "Errdefs", "Kernel", "CLinux", "ContainerRuntime", "Cgroups", "Seccomp", "Rootfs", "Archive",
        "Snapshots",
        "Metadata", "Events", "Terminal", logging,
      ]),
    library(
      "Engine", "Engine",
      [
        "CLinux",
        "OCI", "Errdefs", "Kernel", "Containers", "Images", "Networks", "Volumes", "Events", "Registry", "Metadata",
        "ContentStore",
        "Snapshots", "EROFS", "Cgroups",
        "Seccomp", logging,
      ]),

    // API
    library(
      "API", "EngineAPI",
      [
        "Archive",
        "OCI", "Errdefs", "Kernel", "CLinux", "Engine", "Containers", "Images", "Networks", "Volumes", "Events",
        "Registry",
        nioCore,
        nioPosix, nioHTTP1,
        logging,
      ]),
    library("API", "EngineClient", ["OCI", "Kernel", "CLinux"]),
    library("API", "Commands", ["EngineClient", "Archive", "Rootfs", "OCI", "Kernel", "Terminal", "CLinux"]),

    // Programs
    program("berth", ["Commands", "CLinux"]),
    program(
      "berthd",
      [
        "EngineAPI", "Engine", "Containers", "Networks", "Volumes", "Registry", "Snapshots", "Cgroups", "OCI", "Kernel",
        "CLinux",
        logging,
      ]),
    program("berth-shim", ["Shim", "CLinux"]),
    .executableTarget(
      name: "berth-runtime", dependencies: ["RuntimeCommand", "CSealedStart", "CLinux"],
      path: "Sources/Programs/berth-runtime", swiftSettings: common,
      linkerSettings: fullyStatic + [
        .unsafeFlags(["-Xlinker", "--entry=berth_sealed_start"], .when(configuration: .release))
      ]),

    // Tests
    .executableTarget(
      name: "launch-probe", dependencies: ["ContainerRuntime", "Cgroups", "Seccomp", "OCI", "Kernel", "CLinux"],
      path: "Tests/LaunchProbe",
      swiftSettings: common, linkerSettings: fullyStatic),
    .target(
      name: "RegistryFixture", dependencies: ["Archive", "OCI", "Snapshots", nioCore, nioPosix, nioHTTP1],
      path: "Tests/RegistryFixture", swiftSettings: common),
    tests(
      "ContainerRuntimeTests",
      ["ContainerRuntime", "Seccomp", "OCI", "Kernel", "CLinux", "Cgroups", "launch-probe"]),
    tests("RootfsTests", ["Rootfs", "OCI", "Kernel", "CLinux"]),
    tests("SystemdTests", ["Systemd", "OCI"]),
    tests("CgroupsTests", ["Cgroups", "Kernel", "OCI", "CLinux"]),
    tests("SeccompTests", ["Seccomp", "Kernel", "OCI", "CLinux"]),
    tests("EngineClientTests", ["EngineClient", "OCI", "Kernel", "CLinux"]),
    tests("CommandsTests", ["Commands", "OCI", "Kernel"]),
    tests("OCITests", ["OCI"]),
    tests("TerminalTests", ["Terminal", "Kernel", "CLinux"]),
    tests(
      "ShimTests",
      ["Shim", "berth-shim", "Cgroups", "ContainerRuntime", "Containers", "OCI", "Terminal", "Kernel", "CLinux"]),
    tests("Integration", ["Kernel", "OCI", "CLinux", "RegistryFixture", "Snapshots", "launch-probe", nioHTTP1]),
    tests("MetadataTests", ["Metadata", "Errdefs", "Kernel", grdb]),
    tests("EventsTests", ["Events", "OCI"]),
    tests("ContainersTests", ["Containers", "Cgroups", "Terminal", "OCI", "Errdefs", "Kernel", "CLinux"]),
    tests(
      "EngineTests",
      [
        "Engine", "Containers", "Images", "Networks", "Events", "Archive", "Cgroups", "Netlink", "OCI", "Errdefs",
        "Kernel", "CLinux",
        "berth-shim", crypto, logging,
      ]),
    tests(
      "EngineAPITests", ["EngineAPI", "Containers", "OCI", "Errdefs", "Kernel", "CLinux", nioCore, nioHTTP1, logging]),
    tests("NetlinkTests", ["Netlink", "Kernel", "CLinux"]),
    tests("ContentStoreTests", ["ContentStore", "Errdefs", "Kernel", "OCI", "CLinux"]),
    tests("EROFSTests", ["EROFS", "Archive", "Kernel", "OCI", "CLinux"]),
    tests("SnapshotsTests", ["Snapshots", "Archive", "EROFS", "Errdefs", "Kernel", "OCI", "CLinux"]),
    tests(
      "ImagesTests",
      [
        "Images", "Snapshots", "ContentStore", "Metadata", "Archive", "Events", "Errdefs", "Kernel", "OCI", "CLinux",
        logging,
      ]),
    tests(
      "RegistryTests",
      [
        "Registry", "RegistryFixture", "Images", "Snapshots", "ContentStore", "Metadata", "Archive", "Events",
        "Errdefs",
        "Kernel", "OCI", "CLinux", crypto, logging, nioCore, nioPosix, nioHTTP1,
      ]),
    tests("VolumesTests", ["Volumes", "Metadata", "Events", "Errdefs", "Kernel", "OCI", "CLinux", logging]),
    tests("NetworksTests", ["Networks", "Netlink", "Kernel", "OCI", "Errdefs", "CLinux", logging]),
    tests("ArchiveTests", ["Archive", "Kernel", "OCI", "CLinux"]),
  ].filter { $0.type != .test || wanted?.contains($0.name) ?? true }
)
