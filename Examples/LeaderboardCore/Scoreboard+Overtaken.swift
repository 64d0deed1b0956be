extension Scoreboard {
    /// Whether a submission overtook a player: they were level with the submitter or ahead
    /// before, and are behind now.
    ///
    /// - Parameters:
    ///   - best: The other player's best score.
    ///   - previous: The submitter's best before; nil (they had none) is behind everybody.
    ///   - new: The submitter's best now.
    public static func isOvertaken(best: Int64, from previous: Int64?, to new: Int64) -> Bool {
        guard best < new else { return false }
        guard let previous else { return true }
        return best >= previous
    }

    /// Those of the candidates whom a submission overtook, in the candidates' order.
    ///
    /// Takes time in proportion to the candidates. When ``players(from:below:)`` counts fewer
    /// players than there are candidates, walking that range is cheaper.
    ///
    /// - Parameters:
    ///   - uid: The submitter, who is never in the result.
    ///   - previous: The submitter's best before the submission; nil if they had none.
    ///   - new: The submitter's best after it.
    ///   - candidates: The players to look at, as those who are online. Those without a score are
    ///     never overtaken.
    /// - Returns: The overtaken with their best scores.
    public func overtaken(
        by uid: String, from previous: Int64?, to new: Int64,
        among candidates: some Sequence<String>
    ) -> [Standing] {
        candidates.compactMap { candidate in
            guard candidate != uid, let best = best(of: candidate),
                Self.isOvertaken(best: best, from: previous, to: new)
            else { return nil }
            return (uid: candidate, score: best)
        }
    }

    /// The players whose best lies in a range of scores, best first, without collecting them.
    ///
    /// After a submission that raised a best from `previous` to `new`,
    /// `players(from: previous, below: new)` are the players whom it overtook.
    ///
    /// - Parameters:
    ///   - lowest: The lowest score in the range; nil has no lower end.
    ///   - limit: The score that ends the range, not itself in it.
    public func players(from lowest: Int64?, below limit: Int64) -> ScoreboardRange {
        // Nobody is below the lowest integer, and limit - 1 must not overflow.
        guard limit > Int64.min, lowest.map({ $0 < limit }) ?? true else {
            return ScoreboardRange(ranking: ranking, start: .init(block: 0, offset: 0), count: 0)
        }
        let start = ranking.position(of: limit - 1, sequence: 0)
        let end: Int
        if let lowest {
            end = lowest == .min ? ranking.count : ranking.countAbove(lowest - 1)
        } else {
            end = ranking.count
        }
        return ScoreboardRange(
            ranking: ranking, start: start, count: end - ranking.index(of: start))
    }
}

/// Players in rank order whose best lies in a range of scores.
///
/// It shows the board as it was when the range was made, even if scores change while it is
/// walked. Let go of it before the next submission, which must otherwise copy what both share.
public struct ScoreboardRange: Sequence {
    /// A player and their best score.
    public typealias Element = Scoreboard.Standing

    private let ranking: ScoreboardRanking
    private let start: ScoreboardRanking.Position
    /// How many players there are, known without walking them.
    public let count: Int

    init(ranking: ScoreboardRanking, start: ScoreboardRanking.Position, count: Int) {
        self.ranking = ranking
        self.start = start
        self.count = count
    }

    /// The same as ``count``.
    public var underestimatedCount: Int { count }

    /// Starts with the best player of the range.
    public func makeIterator() -> Iterator {
        Iterator(blocks: ranking.blocks, position: start, remaining: count)
    }

    /// Walks the range; each step is O(1).
    public struct Iterator: IteratorProtocol {
        private let blocks: [[ScoreboardRanking.Entry]]
        private var position: ScoreboardRanking.Position
        private var remaining: Int

        init(
            blocks: [[ScoreboardRanking.Entry]], position: ScoreboardRanking.Position,
            remaining: Int
        ) {
            self.blocks = blocks
            self.position = position
            self.remaining = remaining
        }

        /// The next player and their best score; nil at the end of the range.
        public mutating func next() -> Scoreboard.Standing? {
            guard remaining > 0 else { return nil }
            if position.offset == blocks[position.block].count {
                position = .init(block: position.block + 1, offset: 0)
            }
            let entry = blocks[position.block][position.offset]
            position.offset += 1
            remaining -= 1
            return (uid: entry.uid, score: entry.score)
        }
    }
}
