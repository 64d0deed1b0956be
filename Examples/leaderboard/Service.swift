import LeaderboardCore
import Logging
import Updraft
import UpdraftRPC

/// The server from its start to its end.
struct Service: Sendable {
    let host: String
    let port: Int
    let folder: String

    /// From the signal to the exit there are 5 s; the connections have most of it, and the disk
    /// what they leave.
    private static let drainTime = Duration.seconds(3)
    private static let stopTime = Duration.milliseconds(4_700)

    nonisolated(nonsending) func run(on loop: IOLoop) async throws {
        let (store, report) = try await ScoreStore.open(
            folder: folder, compaction: .init(fileBytesMin: 256 * 1_024), loop: loop)
        if let warning = report.warning { Logger(label: "leaderboard").warning("\(warning)") }
        let game = Game(store: store, loop: loop)
        let stop = StopClock(loop)
        do {
            let rpc = RPCServer(host: host, port: port)
            game.register(in: rpc)
            try stop.watch()
            _ = try await rpc.serve(until: .terminationSignals, drain: Self.drainTime) {
                announce(rpc)
            }
        } catch {
            try? await store.close()
            throw error
        }
        game.stop()
        do {
            try await withTimeout(Self.stopTime - stop.elapsed) { try await store.close() }
        } catch is TimeoutError {
            throw LeaderboardError(
                .fileFailed, "the scores in \(folder) are written but not synced: the disk is slow")
        }
    }

    private func announce(_ rpc: RPCServer) {
        guard let address = rpc.localAddress else { return }
        StandardOutput.announce(
            "listening on \(address) (MessagePack-RPC), scores in \(folder); "
                + "try: swift run updraft call \(address) sum 1 2")
    }
}

/// How long ago the signal came that stops the server.
final class StopClock {
    private let loop: IOLoop
    private var ids: [SignalHandlerID] = []
    private var signalledAt: LoopInstant?

    init(_ loop: IOLoop) {
        self.loop = loop
    }

    /// Zero before the signal.
    var elapsed: Duration {
        signalledAt?.duration(to: loop.now) ?? .zero
    }

    /// Waits for the first signal only: a second one must find no handler, so that it ends the
    /// program.
    func watch() throws {
        ids = try [Signal.sigterm, .sigint].map { signal in
            try loop.addSignalHandler(signal) { [self] in
                signalledAt = loop.now
                for id in ids { loop.removeSignalHandler(id) }
                ids = []
            }
        }
    }
}
