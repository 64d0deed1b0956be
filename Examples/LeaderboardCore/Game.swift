public import Logging
public import MessagePack
public import Updraft

/// The leaderboard's rules: who is logged in, what a score does, who is told.
///
/// It lives on a loop and knows nothing of sockets; see ``PlayerConnection``. A player is online
/// while one connection is named by their uid.
public final class Game {
    /// How many players ``top(_:)`` gives at most.
    public static let topMax = 10_000

    /// What `stats()` answers.
    public struct Stats: Codable, Hashable, Sendable, MessagePackCodable {
        /// Players with a score.
        public let players: Int
        /// Players with a connection.
        public let online: Int
        /// Requests and notifications that reached a method.
        public let calls: Int
        /// Calls of `overtaken` that were answered in time and without an error.
        public let overtakenAcked: Int
        /// Whole seconds since the start.
        public let uptimeSeconds: Int
    }

    private let loop: IOLoop
    private let store: ScoreStore
    private let startedAt: LoopInstant
    private var calls = 0
    private let roster = PlayerRoster()
    let overtakenCalls: OvertakenCalls

    /// Starts a game on the scores of a store.
    ///
    /// - Parameters:
    ///   - store: The game takes over its `onWritten`.
    ///   - loop: The loop that the store is on.
    ///   - logger: For what no player is told.
    public convenience init(
        store: ScoreStore, loop: IOLoop, logger: Logger = Logger(label: "leaderboard.game")
    ) {
        self.init(store: store, loop: loop, logger: logger, limits: .init())
    }

    init(store: ScoreStore, loop: IOLoop, logger: Logger, limits: OvertakenCalls.Limits) {
        self.store = store
        self.loop = loop
        startedAt = loop.now
        overtakenCalls = OvertakenCalls(
            loop: loop, roster: roster, limits: limits, logger: logger)
        store.onWritten = { [weak self] in self?.written($0, $1) }
    }

    /// Counts a request or notification that reached a method.
    public func countCall() {
        calls += 1
    }

    // MARK: Who is there

    /// Names a connection. One that had the name before is closed; logging in again on the same
    /// connection with another uid renames it.
    ///
    /// - Throws: ``LeaderboardError`` with code `invalidUID`; the connection then keeps the name
    ///   that it had.
    public func login(_ uid: String, _ connection: any PlayerConnection) throws {
        try ScoreRecord.validate(uid: uid)
        roster.name(connection, uid)?.close()
    }

    /// Takes note that a connection is gone.
    public func disconnected(_ connection: any PlayerConnection) {
        roster.remove(connection)
    }

    // MARK: Scores

    /// Keeps the best score of the player whose connection it is, and tells those whom it
    /// overtakes, without waiting for them.
    ///
    /// - Returns: The player's rank by their best score when this one was written.
    /// - Throws: ``LeaderboardError`` with code `notLoggedIn`; as ``ScoreStore/append(_:)``.
    public nonisolated(nonsending) func submit(
        _ score: Int64, from connection: any PlayerConnection
    ) async throws -> Int {
        guard let uid = roster.uid(of: connection) else {
            throw LeaderboardError(
                .notLoggedIn, "submit needs a player: call login(uid) on this connection first")
        }
        return try await store.append(ScoreRecord(uid: uid, score: score)).rank
    }

    /// The best players, ``topMax`` at most; none if `limit` is 0 or less.
    public func top(_ limit: Int) -> [Scoreboard.Standing] {
        store.board.top(min(limit, Self.topMax))
    }

    /// The player's rank from 1; nil without a score.
    public func rank(of uid: String) -> Int? {
        store.board.rank(of: uid)
    }

    /// The sum.
    ///
    /// - Throws: ``LeaderboardError`` with code `overflow`.
    public static func sum(_ x: Int64, _ y: Int64) throws -> Int64 {
        let (sum, overflow) = x.addingReportingOverflow(y)
        guard !overflow else {
            throw LeaderboardError(.overflow, "the sum does not fit into 64 bits")
        }
        return sum
    }

    /// How the game stands.
    public func stats() -> Stats {
        Stats(
            players: store.board.count, online: roster.count, calls: calls,
            overtakenAcked: overtakenCalls.acknowledgedCount,
            uptimeSeconds: Int(startedAt.duration(to: loop.now).components.seconds))
    }

    /// Forgets the overtaken players who have not been told yet, for the end of the program.
    public func stop() {
        overtakenCalls.stop()
    }

    private func written(_ record: ScoreRecord, _ submission: Scoreboard.Submission) {
        guard submission.isNewBest else { return }
        overtakenCalls.tell(overtaken(record, submission.previousBest), about: record)
    }

    /// The players online whom a new best overtook, found by looking at the fewer: those online,
    /// or those whom it passed.
    private func overtaken(
        _ record: ScoreRecord, _ previousBest: Int64?
    ) -> [OvertakenCalls.Overtaken] {
        let board = store.board
        let passed = board.players(from: previousBest, below: record.score)
        let found: [Scoreboard.Standing]
        if passed.count < roster.count {
            found = passed.filter { roster.connection(of: $0.uid) != nil }
        } else {
            found = board.overtaken(
                by: record.uid, from: previousBest, to: record.score, among: roster.uids)
        }
        return found.compactMap { player in
            board.rank(of: player.uid).map { (player.uid, $0) }
        }
    }
}
