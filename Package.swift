// swift-tools-version: 6.2
import PackageDescription

// One package, one target per room. A room may depend only on rooms listed before it
// (`scripts/check-rooms` verifies that against the imports).
//
// PACKET_AGENT_ROOMS=light leaves out what needs the HTTP client, the server framework and SQLite, because
// `swift test --filter X` compiles every test target of a package. Use it with `--scratch-path .build-light`.
// PACKET_AGENT_ROOMS=fuzz is for scripts/fuzz: the light rooms and packet-fuzz, no tests.
let rooms = Context.environment["PACKET_AGENT_ROOMS"]
let light = rooms == "light" || rooms == "fuzz"

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .treatAllWarnings(as: .error),
]
let cSettings: [CSetting] = [.define("_GNU_SOURCE"), .unsafeFlags(["-Wall", "-Wextra", "-Werror"])]

let system = Target.Dependency.product(name: "SystemPackage", package: "swift-system")
let logging = Target.Dependency.product(name: "Logging", package: "swift-log")
let arguments = Target.Dependency.product(name: "ArgumentParser", package: "swift-argument-parser")
let httpClient = Target.Dependency.product(name: "AsyncHTTPClient", package: "async-http-client")
let nioCore = Target.Dependency.product(name: "NIOCore", package: "swift-nio")
let nioPosix = Target.Dependency.product(name: "NIOPosix", package: "swift-nio")
let nioHTTP1 = Target.Dependency.product(name: "NIOHTTP1", package: "swift-nio")
let nioSSL = Target.Dependency.product(name: "NIOSSL", package: "swift-nio-ssl")
let unixSignals = Target.Dependency.product(name: "UnixSignals", package: "swift-service-lifecycle")
let lifecycle = Target.Dependency.product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
let hummingbird = Target.Dependency.product(name: "Hummingbird", package: "hummingbird")
let hummingbirdTesting = Target.Dependency.product(name: "HummingbirdTesting", package: "hummingbird")
let grdb = Target.Dependency.product(name: "GRDB", package: "GRDB.swift")

func cRoom(_ name: String) -> Target {
    .target(name: name, cSettings: cSettings)
}
func room(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .target(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}
func program(_ name: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, swiftSettings: swiftSettings)
}
func tests(of name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .testTarget(
        name: "\(name)Tests", dependencies: [.target(name: name)] + dependencies,
        path: "Tests/\(name)Tests", exclude: exclude, swiftSettings: swiftSettings)
}

var targets: [Target] = [
    cRoom("CLinux"),
    cRoom("CNVML"),
    cRoom("CSystemd"),
    .target(name: "CZlib", cSettings: cSettings, linkerSettings: [.linkedLibrary("z")]),
    room("Effects", []),
    room("LinuxKit", ["CLinux", "CSystemd", "Effects", system, logging]),
    room("Init", ["CLinux", "Effects", "LinuxKit"]),
    room("Settings", ["LinuxKit"]),
    room("Storage", ["CLinux", "Effects", "LinuxKit", system]),
    room("Catalog", ["LinuxKit", "Settings"]),
    room("AtRisk", ["LinuxKit", "Storage", "Catalog", system]),
    room("Limits", ["LinuxKit"]),
    room("Warnings", ["LinuxKit"]),
    room("Environment", ["CLinux", "LinuxKit", "Settings", "Storage", "Catalog"]),
    room("Transfer", ["CLinux", "LinuxKit", "Storage", "Catalog", "AtRisk"]),
    room("Boot", ["CLinux", "Effects", "LinuxKit", "Settings", "Storage", "Environment"]),
    room("GPU", ["CLinux", "CNVML", "Effects", "LinuxKit"]),
    room("UsageRecord", ["LinuxKit"]),
    room("Metering", ["Effects", "UsageRecord"]),
    room("Ledger", ["UsageRecord"]),
    room("Telemetry", ["CZlib", "GPU", "Metering"]),
    room("GPUView", ["GPU"]),
    room("ControlPlaneAPI", ["UsageRecord"]),
    .target(
        name: "Support", dependencies: ["CLinux", "LinuxKit"], path: "Tests/Support", swiftSettings: swiftSettings),
    tests(of: "LinuxKit", ["CLinux", "Effects", system, logging]),
    tests(of: "Init", ["LinuxKit"]),
    // The entrypoint alone, for scripts/test-init; not installed.
    .executableTarget(
        name: "init-harness", dependencies: ["CLinux", "Init"], path: "Tests/Init/harness", swiftSettings: swiftSettings
    ),
    tests(of: "Settings", ["LinuxKit"]),
    tests(of: "Storage", ["LinuxKit", "CLinux", system], exclude: ["Fixtures"]),
    tests(of: "Catalog", ["LinuxKit"], exclude: ["Truth"]),
    tests(of: "AtRisk", ["LinuxKit", "Storage", "Catalog", system]),
    tests(of: "Limits", ["LinuxKit"]),
    tests(of: "Warnings"),
    tests(of: "Environment", ["CLinux", "LinuxKit", "Settings", "Storage", "Catalog", "Support"]),
    tests(of: "Transfer", ["CLinux", "LinuxKit", "Storage", "Catalog", "AtRisk", "transfer", "Support"]),
    tests(of: "Boot", ["CLinux", "Effects", "LinuxKit", "Settings", "Storage", "Environment", "Support"]),
    tests(of: "GPU", ["CNVML", "Effects", "LinuxKit"]),
    tests(of: "UsageRecord"),
    tests(of: "Metering", ["Effects", "UsageRecord"]),
    tests(of: "Ledger", ["UsageRecord"]),
    tests(of: "Telemetry", ["GPU"], exclude: ["Golden", "requirements.txt", "test_exports.py"]),
    tests(of: "GPUView", ["GPU"], exclude: ["Golden"]),
    tests(of: "ControlPlaneAPI", ["UsageRecord"]),
    // For Benchmarks/measure-walk only; not installed.
    .executableTarget(
        name: "walk", dependencies: ["LinuxKit", "Storage", "AtRisk"], path: "Benchmarks/walk",
        swiftSettings: swiftSettings),
    // For Benchmarks/measure-copy, and for the tests that kill a move; not installed.
    .executableTarget(
        name: "transfer", dependencies: ["LinuxKit", "Storage", "AtRisk", "Transfer"], path: "Benchmarks/transfer",
        swiftSettings: swiftSettings),
    .testTarget(
        name: "Simulation", dependencies: ["Effects", "UsageRecord", "Metering", "Ledger"],
        path: "Tests/Simulation", swiftSettings: swiftSettings),
]
var products: [Product] = []
var dependencies: [Package.Dependency] = [
    .package(url: "https://github.com/apple/swift-system", exact: "1.8.1"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
]

if !light {
    targets += [
        room(
            "Delivery",
            [
                "Effects", "LinuxKit", "UsageRecord", "Metering", "ControlPlaneAPI", httpClient, nioCore, nioPosix,
                nioHTTP1, nioSSL, logging,
            ]),
        room("LocalAPI", ["LinuxKit", "ControlPlaneAPI", httpClient, nioCore, nioPosix, nioHTTP1, logging]),
        room(
            "Doctor",
            [
                "Effects", "LinuxKit", "Settings", "Storage", "Catalog", "AtRisk", "Limits", "Environment", "Boot",
                "GPU", "UsageRecord", "ControlPlaneAPI", "LocalAPI",
            ]),
        room(
            "AgentService",
            [
                "CLinux", "Effects", "LinuxKit", "Settings", "Storage", "Catalog", "AtRisk", "Limits", "Warnings",
                "Environment", "Boot", "GPU", "Telemetry",
                "UsageRecord", "Metering", "ControlPlaneAPI", "Delivery", "LocalAPI", "Doctor", lifecycle,
                unixSignals, logging, nioCore, nioPosix,
            ]),
        program(
            "packet-agent",
            [
                "CLinux", "Effects", "LinuxKit", "Init", "Settings", "Storage", "Catalog", "AtRisk", "Limits",
                "Warnings", "Environment", "Transfer", "Boot", "GPU", "GPUView",
                "UsageRecord", "Metering", "ControlPlaneAPI", "Delivery", "LocalAPI", "Doctor", "AgentService",
                arguments,
                logging, system,
            ]),
        program(
            "packet-control",
            [
                "LinuxKit", "Environment", "UsageRecord", "Ledger", "ControlPlaneAPI", hummingbird, grdb, arguments,
                logging, nioCore,
            ]),
        tests(of: "Delivery", ["Effects", "UsageRecord", "Metering", "ControlPlaneAPI", nioCore, nioPosix, nioHTTP1]),
        tests(of: "LocalAPI", ["LinuxKit", nioPosix]),
        tests(
            of: "Doctor",
            [
                "Effects", "LinuxKit", "Settings", "Storage", "Catalog", "AtRisk", "Limits", "Environment", "Boot",
                "GPU", "ControlPlaneAPI", "LocalAPI",
            ]),
        .testTarget(
            name: "PacketControlTests",
            dependencies: [
                .target(name: "packet-control"), "UsageRecord", "Ledger", "ControlPlaneAPI", hummingbird,
                hummingbirdTesting, grdb,
            ],
            path: "Tests/PacketControlTests", swiftSettings: swiftSettings),
    ]
    products += [
        .executable(name: "packet-agent", targets: ["packet-agent"]),
        .executable(name: "packet-control", targets: ["packet-control"]),
    ]
    dependencies += [
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", exact: "2.37.6"),
        .package(url: "https://github.com/swift-server/async-http-client", exact: "1.37.0"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1", traits: []),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
    ]
}

if rooms == "fuzz" {
    targets.removeAll { $0.type == .test }
    dependencies.append(.package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"))
    targets += [
        .target(name: "CFuzzer", path: "Tests/Fuzz/CFuzzer"),
        // The server alone: the client would bring BoringSSL, which takes minutes.
        .target(
            name: "LocalAPI", dependencies: ["LinuxKit", nioCore, nioPosix, nioHTTP1], exclude: ["LocalClient.swift"],
            swiftSettings: swiftSettings),
        .executableTarget(
            name: "packet-fuzz",
            dependencies: [
                "CFuzzer", "Effects", "LinuxKit", "Init", "Settings", "Storage", "Catalog", "AtRisk", "Environment",
                "Transfer", "Boot", "GPU", "UsageRecord", "Metering", "Ledger", "Telemetry", "ControlPlaneAPI",
                "LocalAPI",
                nioCore, .product(name: "NIOEmbedded", package: "swift-nio"),
            ],
            path: "Tests/Fuzz/Harness", swiftSettings: swiftSettings),
    ]
}

let package = Package(
    name: "packet-agent",
    products: products,
    dependencies: dependencies,
    targets: targets,
    cLanguageStandard: .gnu11
)
