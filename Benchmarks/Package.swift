// swift-tools-version: 6.3

import PackageDescription

let settings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),
]

// Apart from the package itself, so that its users never fetch or build this.
let package = Package(
    name: "updraft-benchmarks",
    platforms: [.macOS(.v15)],
    dependencies: [.package(name: "updraft", path: "..")],
    targets: [
        .executableTarget(
            name: "updraft-bench-server",
            dependencies: [
                .product(name: "Updraft", package: "updraft"),
                .product(name: "UpdraftRPC", package: "updraft"),
                .product(name: "UpdraftTLS", package: "updraft"),
            ],
            swiftSettings: settings
        ),
        // Timers and callbacks from other threads; `compare` runs it beside libuv.
        .executableTarget(
            name: "updraft-bench",
            dependencies: ["CProcessors", .product(name: "Updraft", package: "updraft")],
            swiftSettings: settings
        ),
        // What it has in common with the C programs.
        .systemLibrary(name: "CProcessors", path: "c"),
    ]
)
