// swift-tools-version: 6.3

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("MemberImportVisibility"),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
    .enableUpcomingFeature("InferIsolatedConformances"),
]

let serviceLifecycle = Target.Dependency.product(
    name: "ServiceLifecycle", package: "swift-service-lifecycle",
    condition: .when(traits: ["ServiceLifecycle"]))

let package = Package(
    name: "updraft",
    platforms: [.macOS(.v15)],
    products: [
        .library(name: "Updraft", targets: ["Updraft"]),
        .library(name: "MessagePack", targets: ["MessagePack"]),
        .library(name: "UpdraftRPC", targets: ["UpdraftRPC"]),
        .library(name: "UpdraftTLS", targets: ["UpdraftTLS"]),
        .library(name: "UpdraftTesting", targets: ["UpdraftTesting"]),
        .library(name: "UpdraftServiceLifecycle", targets: ["UpdraftServiceLifecycle"]),
        .executable(name: "leaderboard", targets: ["leaderboard"]),
        .executable(name: "echo-server", targets: ["echo-server"]),
        .executable(name: "updraft", targets: ["updraft-cli"]),
    ],
    traits: [
        .trait(
            name: "ServiceLifecycle",
            description: "UpdraftServiceLifecycle: event loops as services of a ServiceGroup."),
        .trait(
            name: "Regex",
            description: "Reading up to a regular expression, with PCRE2 (libpcre2-dev)."),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-log", from: "1.16.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.0"),
        // Only with the trait: without it, it is not even fetched.
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", from: "2.9.0"),
    ],
    targets: [
        .target(name: "CUpdraft"),
        .target(
            name: "Updraft",
            dependencies: [
                "CUpdraft", .product(name: "Logging", package: "swift-log"),
                .target(name: "CPCRE2", condition: .when(traits: ["Regex"])),
            ],
            swiftSettings: settings
        ),
        .systemLibrary(
            name: "CPCRE2", providers: [.apt(["libpcre2-dev"])]),
        .target(name: "MessagePack", swiftSettings: settings),
        .target(
            name: "UpdraftRPC",
            dependencies: [
                "Updraft", "MessagePack", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        // OpenSSL 3 (libssl-dev): only what is built on UpdraftTLS needs it.
        .target(
            name: "CUpdraftTLS",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .target(
            name: "UpdraftTLS",
            dependencies: [
                "CUpdraftTLS", "Updraft", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings
        ),
        .target(name: "UpdraftTesting", dependencies: ["Updraft"], swiftSettings: settings),
        .target(
            name: "UpdraftServiceLifecycle",
            dependencies: ["Updraft", serviceLifecycle],
            swiftSettings: settings
        ),
        .target(
            name: "LeaderboardCore",
            dependencies: [
                "Updraft", "UpdraftRPC", "MessagePack",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Examples/LeaderboardCore",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "leaderboard",
            dependencies: [
                "LeaderboardCore", "Updraft", "UpdraftRPC",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/leaderboard",
            swiftSettings: settings
        ),
        .executableTarget(
            name: "echo-server",
            dependencies: [
                "Updraft", "UpdraftTLS",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Examples/echo-server",
            swiftSettings: settings
        ),
        .target(
            name: "UpdraftCommandCore", dependencies: ["MessagePack"], swiftSettings: settings),
        .executableTarget(
            name: "updraft-cli",
            dependencies: [
                "UpdraftCommandCore", "Updraft", "UpdraftRPC", "MessagePack",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Sources/updraft-cli",
            swiftSettings: settings
        ),
        // Every Swift block of the README and of docs/ stands in here, so that it compiles.
        .executableTarget(
            name: "Snippets",
            dependencies: ["Updraft", "UpdraftRPC", "UpdraftTLS", "MessagePack", "UpdraftTesting"],
            path: "Examples/Snippets", swiftSettings: settings),
        // One program as three kinds of user module: see scripts/check-hops.
        .executableTarget(
            name: "hops-plain", dependencies: ["Updraft", "UpdraftRPC"],
            path: "Tests/Hops/plain",
            swiftSettings: [.swiftLanguageMode(.v6)]),
        .executableTarget(
            name: "hops-nonsending", dependencies: ["Updraft", "UpdraftRPC"],
            path: "Tests/Hops/nonsending",
            swiftSettings: [
                .swiftLanguageMode(.v6), .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
            ]),
        .executableTarget(
            name: "hops-mainactor", dependencies: ["Updraft", "UpdraftRPC"],
            path: "Tests/Hops/mainactor",
            swiftSettings: [.swiftLanguageMode(.v6), .defaultIsolation(MainActor.self)]),
        // A program that stops in many ways: see Tests/Programs/test_shutdown.py.
        .executableTarget(
            name: "shutdown-probe", dependencies: ["Updraft"], path: "Tests/Shutdown",
            swiftSettings: settings),
        // One mistake per run, of those that compile: see scripts/check-misuse.
        .executableTarget(
            name: "misuse-probe", dependencies: ["Updraft", "UpdraftRPC", "MessagePack"],
            path: "Tests/Misuse/probe",
            swiftSettings: [.swiftLanguageMode(.v6)]),
        // What Tests/Programs/test_prefork.py runs.
        .executableTarget(
            name: "prefork-probe",
            dependencies: [
                "Updraft",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
            ],
            path: "Tests/Prefork",
            swiftSettings: settings
        ),
        // What stands in for kevent(2) on Linux, so that KqueuePoller runs there in tests.
        .target(
            name: "CKeventStandIn", dependencies: ["CUpdraft"], path: "Tests/CKeventStandIn",
            cSettings: [.headerSearchPath(".")]),
        // What the tests of streams share: the ways to connect two of them, and certificates.
        .target(
            name: "TestSupport",
            dependencies: [
                "Updraft", "UpdraftTLS", "UpdraftTesting", "CTestCertificates", "CTestMemory",
                .product(name: "Logging", package: "swift-log"),
            ],
            path: "Tests/TestSupport", swiftSettings: settings),
        // Tells tests how much memory is allocated.
        .target(name: "CTestMemory", path: "Tests/CTestMemory"),
        // Counts the atomic instructions of a piece of work.
        .target(name: "CTestAtomics", path: "Tests/CTestAtomics"),
        // Lets signals interrupt the calls that move bytes, as far as tests can see.
        .target(name: "CTestInterrupts", path: "Tests/CTestInterrupts"),
        // The behaviours of streams and what a network does to them, over every transport.
        .testTarget(
            name: "StreamTests",
            dependencies: [
                "Updraft", "UpdraftTLS", "UpdraftTesting", "TestSupport", "CTestInterrupts",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "UpdraftTests",
            dependencies: [
                "Updraft", "UpdraftTesting", "TestSupport", "CUpdraft", "CKeventStandIn",
                "CTestMemory", "CTestAtomics",
            ],
            swiftSettings: settings),
        .testTarget(
            name: "MessagePackTests", dependencies: ["MessagePack"], swiftSettings: settings),
        .testTarget(
            name: "UpdraftRPCTests",
            dependencies: ["Updraft", "UpdraftRPC", "MessagePack", "UpdraftTesting"],
            swiftSettings: settings),
        // Makes certificates for tests, new ones in each run.
        .target(
            name: "CTestCertificates", path: "Tests/CTestCertificates",
            linkerSettings: [.linkedLibrary("ssl"), .linkedLibrary("crypto")]),
        .executableTarget(
            name: "tls-client", dependencies: ["Updraft", "UpdraftTLS"],
            path: "Tests/TLSClient", swiftSettings: settings),
        .testTarget(
            name: "UpdraftTLSTests",
            dependencies: [
                "UpdraftTLS", "UpdraftRPC", "Updraft", "UpdraftTesting", "CTestCertificates",
                "TestSupport", .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "LeaderboardTests",
            dependencies: [
                "LeaderboardCore", "Updraft", "UpdraftTesting",
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: settings),
        .testTarget(
            name: "UpdraftCommandTests", dependencies: ["UpdraftCommandCore", "MessagePack"],
            swiftSettings: settings),
        .testTarget(
            name: "UpdraftServiceLifecycleTests",
            dependencies: [
                "Updraft", "UpdraftRPC", "UpdraftServiceLifecycle", "UpdraftTesting",
                serviceLifecycle,
                .product(
                    name: "Logging", package: "swift-log",
                    condition: .when(traits: ["ServiceLifecycle"])),
            ],
            swiftSettings: settings),
        .testTarget(name: "TidyTests", swiftSettings: settings),
    ],
    swiftLanguageModes: [.v6]
)
