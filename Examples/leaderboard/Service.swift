import LeaderboardCore
import Logging
import Updraft
import UpdraftRPC

/// The server from its start to its end.
struct Service: Sendable {
    let host: String
    let port: Int
    let folder: String

    /// From the signal to the exit there are 5 s. The disk has the last quarter of this for itself.
    private static let stopTime = Duration.milliseconds(4_500)

    nonisolated(nonsending) func run(on loop: IOLoop) async throws {
        let (store, report) = try await ScoreStore.open(
            folder: folder, compaction: .init(fileBytesMin: 256 * 1_024), loop: loop)
        loop.onStop("sync of the scores in \(folder)") { try await store.close() }
        if let warning = report.warning { Logger(label: "leaderboard").warning("\(warning)") }
        let game = Game(store: store, loop: loop)
        loop.onStop("game") { game.stop() }
        let rpc = RPCServer(host: host, port: port)
        game.register(in: rpc)
        try await rpc.serve(until: .terminationSignals, drain: Self.stopTime) { announce(rpc) }
    }

    private func announce(_ rpc: RPCServer) {
        guard let address = rpc.localAddress else { return }
        StandardOutput.announce(
            "listening on \(address) (MessagePack-RPC), scores in \(folder); "
                + "try: swift run updraft call \(address) sum 1 2")
    }
}
