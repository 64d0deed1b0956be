// Unsafe: `nonisolated(unsafe)` is one of the mistakes that this program makes.

import Updraft

private nonisolated(unsafe) var lastStream: IOStream?

private actor Server {
    func serve() async throws {
        try await TCPServer(port: 0).serve { stream in stream.close() }
    }
}

/// Mistakes that compile without any trick: a fresh result belongs to nobody yet, so the language
/// lets it go anywhere.
let holes = [
    // Not one: the way there is.
    Misuse("remote", sentence: nil) { loop in
        let remote = loop.remote
        await Task.detached { remote.addCallback {} }.value
        try await loop.nextTurn()
    },
    Misuse("hole.connect-result", says: "IOStream") { _ in
        let stream = try await connection()
        await Task.detached { _ = try? await stream.write("from elsewhere") }.value
    },
    Misuse("hole.current-loop", says: "IOLoop.addCallback") { _ in
        let loop = IOLoop.current
        await Task.detached { loop.addCallback {} }.value
    },
    Misuse("hole.unsafe-global", says: "IOStream.close") { _ in
        lastStream = try await connection()
        await Task.detached { lastStream?.close() }.value
    },
    Misuse("hole.serve-in-actor", sentence: "There is no loop on this thread.") { loop in
        // Called by a loop's task the actor would run on the loop.
        await Task.detached { try? await Server().serve() }.value
    },
    Misuse("hole.serve-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { try? await TCPServer(port: 0).serve { stream in stream.close() } }.value
    },
    Misuse("hole.connect-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { _ = try? await TCPClient.connect(host: "127.0.0.1", port: 1) }.value
    },
    Misuse("hole.timeout-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { try? await withTimeout(.seconds(1)) {} }.value
    },
    Misuse("hole.subprocess-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { _ = try? Subprocess("/bin/true") }.value
    },
    Misuse("hole.subprocess-run-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { _ = try? await Subprocess.run("/bin/true") }.value
    },
    Misuse("hole.lock-in-task", sentence: "There is no loop on this thread.") { _ in
        await Task { try? await Lock().acquire() }.value
    },
    Misuse("hole.loop-in-executor", sentence: "There is no loop on this thread.") { loop in
        try await loop.runInExecutor { IOLoop.current.stop() }
    },
    Misuse("hole.loop-off-loop", sentence: "There is no loop on this thread.") { loop in
        try await loop.offLoop { IOLoop.current.stop() }
    },
]
