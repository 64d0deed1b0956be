// Unsafe: `@unchecked Sendable` and `nonisolated(unsafe)` are the mistakes that this program makes.

import Glibc
import Updraft
import UpdraftRPC

// Makes one mistake that compiles, so that its end can be looked at: `misuse-probe NAME`. With
// `list` it prints the names and what the library must say. See scripts/check-misuse.

/// A way to use a loop from a thread that is not its own.
struct Misuse: Sendable {
    let name: String

    /// What the line on standard error begins with; nil if it is no mistake.
    let sentence: String?

    let body: nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void

    /// - Parameter what: What is named as used outside its loop's thread.
    init(
        _ name: String, says what: String,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) {
        self.init(name, sentence: "\(what) was used outside its loop's thread.", body)
    }

    init(
        _ name: String, sentence: String?,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) {
        self.name = name
        self.sentence = sentence
        self.body = body
    }
}

@main
struct Probe {
    static let cases =
        holes + loopCases + streamCases + netCases + processCases + syncCases
        + rpcCases

    static func main() throws {
        guard CommandLine.arguments.count == 2 else { exit(64) }
        let name = CommandLine.arguments[1]
        if name == "list" {
            for misuse in cases { print("\(misuse.name)\t\(misuse.sentence ?? "passes")") }
            return
        }
        guard let misuse = cases.first(where: { $0.name == name }) else { exit(64) }
        try IOLoop.run { loop in try await withTimeout(.seconds(60)) { try await misuse.body(loop) }
        }
    }
}

/// Takes what belongs to a loop past the compiler.
struct Smuggled<Value>: @unchecked Sendable {
    let value: Value
    init(_ value: Value) { self.value = value }
}

/// Uses a value on another thread, and waits for the end of that.
nonisolated(nonsending) func elsewhere<Value>(
    _ value: Value, _ use: @escaping @Sendable (Value) throws -> Void
) async {
    let smuggled = Smuggled(value)
    await Task.detached { try? use(smuggled.value) }.value
}

/// The same for what waits.
nonisolated(nonsending) func elsewhere<Value>(
    _ value: Value,
    waiting use: nonisolated(nonsending) @escaping @Sendable (Value) async throws -> Void
) async {
    let smuggled = Smuggled(value)
    await Task.detached { try? await use(smuggled.value) }.value
}

/// A stream to a server that never answers.
nonisolated(nonsending) func connection() async throws -> IOStream {
    let server = TCPServer(port: 0)
    try server.listen { stream in try await stream.closed() }
    return try await TCPClient.connect(host: "127.0.0.1", port: server.port)
}
