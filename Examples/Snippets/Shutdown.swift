import Updraft
import UpdraftRPC

// The program of docs/shutdown.md.

/// Stands in for whatever keeps the scores.
final class Store {
    private var best = 0
    private(set) var isClosed = false

    nonisolated(nonsending) static func open(_ name: String) async throws -> Store { Store() }

    nonisolated(nonsending) func write(_ score: Int) async throws -> Int {
        best = max(best, score)
        return best
    }

    nonisolated(nonsending) func close() async throws { isClosed = true }
}

func scoresProgram() -> Never {
    IOLoop.main { loop in
        let store = try await Store.open("scores")
        loop.onStop("scores") { try await store.close() }

        let echo = TCPServer(port: 7000)
        try echo.listen { stream in
            for try await line in stream.lines { try await stream.write(line + [10]) }
        }
        let rpc = RPCServer(port: 5700)
        rpc.register("submit") { (score: Int) in try await store.write(score) }
        try await rpc.serve(until: .terminationSignals, drain: .seconds(5))
    }
}
