internal import Logging
internal import Updraft

/// Tells overtaken players, a bounded number at a time.
///
/// Each submission is a round of calls. A round has at most `perRoundMax` calls under way, so that
/// one that overtakes everybody leaves room for others; all rounds together have `totalMax`.
final class OvertakenCalls {
    /// Bounds of the calls.
    struct Limits: Sendable {
        /// Calls under way for one submission.
        var perRoundMax = 64
        /// Calls under way together.
        var totalMax = 1_024
        /// Players who wait to be called; those beyond are not told.
        var waitingMax = 65_536
        /// How long an answer counts.
        var answer = Duration.seconds(2)
    }

    /// A player to tell, and their rank after the submission.
    typealias Overtaken = (uid: String, rank: Int)

    /// Calls that were answered without an error and in time.
    private(set) var acknowledgedCount = 0
    /// Players who wait to be called.
    private(set) var waitingCount = 0
    /// Calls under way.
    private(set) var underWayCount = 0

    private let loop: IOLoop
    private let limits: Limits
    private let logger: Logger
    private let roster: PlayerRoster
    /// Rounds with players who wait, oldest first.
    private var rounds: [Round] = []
    private var isStopped = false

    private final class Round {
        let cause: ScoreRecord
        var waiting: ArraySlice<Overtaken>
        var underWayCount = 0

        init(cause: ScoreRecord, waiting: ArraySlice<Overtaken>) {
            self.cause = cause
            self.waiting = waiting
        }
    }

    /// - Parameter roster: Where the connection of a player is looked up when their turn comes.
    init(loop: IOLoop, roster: PlayerRoster, limits: Limits = Limits(), logger: Logger) {
        self.loop = loop
        self.roster = roster
        self.limits = limits
        self.logger = logger
    }

    /// Tells players, in this order, and returns at once.
    func tell(_ players: [Overtaken], about cause: ScoreRecord) {
        guard !isStopped, !players.isEmpty else { return }
        let room = limits.waitingMax - waitingCount
        if players.count > room {
            logger.warning(
                "\(players.count - room) players were not told that they were overtaken",
                metadata: ["limit": "\(limits.waitingMax)"])
        }
        let told = players.prefix(room)
        guard !told.isEmpty else { return }
        waitingCount += told.count
        rounds.append(Round(cause: cause, waiting: told))
        startCalls()
    }

    /// Forgets who waits. Calls under way go on.
    func stop() {
        isStopped = true
        rounds = []
        waitingCount = 0
    }

    private func startCalls() {
        // At most totalMax / perRoundMax rounds are full at a time, so the search is short.
        while underWayCount < limits.totalMax,
            let index = rounds.firstIndex(where: { $0.underWayCount < limits.perRoundMax })
        {
            let round = rounds[index]
            guard let player = round.waiting.popFirst() else {
                rounds.remove(at: index)
                continue
            }
            if round.waiting.isEmpty { rounds.remove(at: index) }
            waitingCount -= 1
            underWayCount += 1
            round.underWayCount += 1
            loop.spawn(name: "overtaken") { [self] in
                await call(player, about: round.cause)
                underWayCount -= 1
                round.underWayCount -= 1
                startCalls()
            }
        }
    }

    private nonisolated(nonsending) func call(
        _ player: Overtaken, about cause: ScoreRecord
    ) async {
        guard let connection = roster.connection(of: player.uid) else { return }
        do {
            try await withTimeout(limits.answer) {
                try await connection.overtaken(
                    by: cause.uid, score: cause.score, rank: player.rank)
            }
            acknowledgedCount += 1
        } catch is CancellationError {
            // The loop ends; what waits would hold it up.
            stop()
        } catch {
            logger.debug("no answer to overtaken", metadata: ["error": "\(error)"])
        }
    }
}
