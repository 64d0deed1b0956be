internal import MessagePack
public import UpdraftRPC

extension RPCPeer: PlayerConnection {
    /// Calls the client's `overtaken(byUid, theirScore, yourRank)`; any answer will do.
    public nonisolated(nonsending) func overtaken(
        by uid: String, score: Int64, rank: Int
    ) async throws {
        let arguments: [MessagePackValue] = [.string(uid), .int(score), .int(Int64(rank))]
        _ = try await call("overtaken", arguments: arguments)
    }
}

extension LeaderboardError: RPCReportableError {
    /// What a client is told: what it did wrong, or that the server has trouble, without paths.
    public var rpcMessage: String {
        switch code {
        case .invalidUID, .notLoggedIn, .busy, .overflow:
            message
        case .folderInUse, .notAScoreLog, .unsupportedVersion, .corruptLog, .fileFailed,
            .logUnusable:
            "the score could not be stored and is not kept"
        }
    }
}

extension Game {
    /// Registers the game's methods, and lets it notice who leaves.
    ///
    /// - Parameter rpc: The game takes over its `onDisconnect`.
    public func register(in rpc: RPCServer) {
        rpc.register("sum") { [self] (x: Int64, y: Int64) throws -> Int64 in
            countCall()
            return try Game.sum(x, y)
        }
        rpc.register("login") { [self] (peer: RPCPeer, uid: String) throws -> Void in
            countCall()
            try login(uid, peer)
        }
        rpc.register("submit") { [self] (peer: RPCPeer, score: Int64) async throws -> Int in
            countCall()
            return try await submit(score, from: peer)
        }
        rpc.register("top") { [self] (n: Int) -> [[MessagePackValue]] in
            countCall()
            return top(n).map { [.string($0.uid), .int($0.score)] }
        }
        rpc.register("rank") { [self] (uid: String) -> Int? in
            countCall()
            return rank(of: uid)
        }
        rpc.register("stats") { [self] () -> Stats in
            countCall()
            return stats()
        }
        rpc.onDisconnect = { [self] peer in disconnected(peer) }
    }
}
