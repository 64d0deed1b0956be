/// The best score of every player, and the players' ranks, in memory.
///
/// A plain class without locks: it belongs to one loop, or one thread at a time. No operation
/// takes time in proportion to the number of players, except where it says so; see
/// `ScoreboardRanking` for the structure.
///
/// Rank 1 is best, and equal scores share the better rank: 1, 1, 3. Two uids are the same player
/// when Swift's `==` says so, which compares by canonical equivalence.
///
/// ```swift
/// let board = Scoreboard()
/// board.submit(uid: "ada", score: 40)
/// board.submit(uid: "bob", score: 50).rank   // 1
/// board.rank(of: "ada")                      // 2
/// ```
public final class Scoreboard {
    /// A player and their best score.
    public typealias Standing = (uid: String, score: Int64)

    /// What a submitted score did.
    public struct Submission: Hashable, Sendable {
        /// The player's rank by their best score, after this submission.
        public let rank: Int
        /// Whether the score is above the player's previous best, or their first.
        public let isNewBest: Bool
        /// The player's best before this submission; nil if they had none.
        public let previousBest: Int64?
    }

    private struct Best {
        var score: Int64
        var sequence: UInt64
    }

    private var bests: [String: Best] = [:]
    private var nextSequence: UInt64 = 0
    private(set) var ranking = ScoreboardRanking()

    /// Creates a board without players.
    public init() {}

    /// Creates a board from stored scores; O(n log n).
    ///
    /// - Parameter records: Scores in the order in which they were reached (as
    ///   ``ScoreLog/open(folder:compaction:)`` returns them), which decides the order among
    ///   equals. Of several records of a player the best counts.
    public init(records: [ScoreRecord]) {
        bests.reserveCapacity(records.count)
        for (index, record) in records.enumerated() {
            Self.raise(&bests[record.uid], to: record.score, sequence: UInt64(index))
        }
        nextSequence = UInt64(records.count)
        // Numbers sort several times faster than entries that hold strings.
        let keys = bests.values.sorted {
            $0.score != $1.score ? $0.score > $1.score : $0.sequence < $1.sequence
        }
        ranking = ScoreboardRanking(
            sorted: keys.map {
                let uid = records[Int($0.sequence)].uid
                return ScoreboardRanking.Entry(score: $0.score, sequence: $0.sequence, uid: uid)
            })
    }

    /// How many players have a score.
    public var count: Int { bests.count }

    /// The player's best score; nil if they have none.
    public func best(of uid: String) -> Int64? { bests[uid]?.score }

    /// The player's rank, from 1; nil if they have no score.
    public func rank(of uid: String) -> Int? {
        bests[uid].map { ranking.countAbove($0.score) + 1 }
    }

    /// Takes a score: keeps it if it is above the player's best.
    ///
    /// - Parameters:
    ///   - uid: The player. Check one from outside with ``ScoreRecord/validate(uid:)`` first.
    ///   - score: Any integer, also a negative one.
    /// - Returns: The rank now, and what the player's best was before.
    @discardableResult
    public func submit(uid: String, score: Int64) -> Submission {
        let previous = Self.raise(&bests[uid], to: score, sequence: nextSequence)
        let isNewBest = previous.map { score > $0.score } ?? true
        if isNewBest {
            if let previous {
                ranking.remove(score: previous.score, sequence: previous.sequence)
            }
            ranking.insert(.init(score: score, sequence: nextSequence, uid: uid))
            nextSequence += 1
        }
        let best = max(score, previous?.score ?? score)
        return Submission(
            rank: ranking.countAbove(best) + 1, isNewBest: isNewBest,
            previousBest: previous?.score)
    }

    /// The best players in rank order; among equals, who reached the score first comes first.
    ///
    /// - Parameter limit: How many at most; none if it is 0 or less. Takes O(limit).
    public func top(_ limit: Int) -> [Standing] {
        let everyone = ScoreboardRange(
            ranking: ranking, start: .init(block: 0, offset: 0), count: ranking.count)
        return Array(everyone.prefix(max(limit, 0)))
    }

    /// Every player's best, in rank order; O(n).
    ///
    /// A log written in this order keeps the order among equals when it is read again.
    public func snapshot() -> [ScoreRecord] {
        var records: [ScoreRecord] = []
        records.reserveCapacity(count)
        for block in ranking.blocks {
            for entry in block { records.append(ScoreRecord(uid: entry.uid, score: entry.score)) }
        }
        return records
    }

    /// Sets a best if the score beats it, and returns what was there: one lookup in place of two.
    @discardableResult
    private static func raise(
        _ best: inout Best?, to score: Int64, sequence: UInt64
    ) -> Best? {
        let previous = best
        if let previous, score <= previous.score { return previous }
        best = Best(score: score, sequence: sequence)
        return previous
    }
}
