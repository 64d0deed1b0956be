import Testing

@testable import LeaderboardCore

/// What the bounds in the description of `ScoreboardRanking` rest on, counted, not timed.
@Suite struct ScoreboardRankingTests {
    enum Pattern: CaseIterable { case rising, falling, random, equal, churn }

    @Test(arguments: Pattern.allCases)
    func hundredThousandPlayersKeepBlocksFewAndRestructuringRare(pattern: Pattern) {
        let players = 100_000
        let board = Scoreboard()
        var random = SeededRandom(seed: 5)
        var changes = 0
        func submit(_ player: Int, _ score: Int) {
            if board.submit(uid: "p\(player)", score: Int64(score)).isNewBest { changes += 1 }
        }
        for player in 0..<players {
            switch pattern {
            case .rising, .churn: submit(player, player)
            case .falling: submit(player, -player)
            case .random: submit(player, random.next(below: 1 << 40))
            case .equal: submit(player, 7)
            }
        }
        if pattern == .churn {
            // The last ones jump to the front over and over: one end empties, the other fills.
            for round in 1...30_000 { submit(round % 9_000, players + round) }
        }
        let capacity = board.ranking.blockCapacity
        let blocks = board.ranking.blocks
        #expect(board.ranking.count == players)
        #expect(blocks.allSatisfy { !$0.isEmpty && $0.count <= capacity })
        #expect(blocks.count <= 8 * players / capacity + 1)
        #expect(board.ranking.restructurings <= 4 * changes / capacity + blocks.count)
        #expect(board.rank(of: "p0").map { $0 >= 1 && $0 <= players } == true)
        expectSorted(board.ranking)
    }

    @Test func blocksThatThinOutAreMerged() {
        var ranking = ScoreboardRanking()
        let numbers = 0..<20_000
        for number in numbers {
            ranking.insert(.init(score: Int64(number), sequence: UInt64(number), uid: ""))
        }
        for number in numbers where number % 200 != 0 {
            ranking.remove(score: Int64(number), sequence: UInt64(number))
        }
        #expect(ranking.count == 100)
        #expect(ranking.blocks.count <= 8 * ranking.count / ranking.blockCapacity + 1)
        expectSorted(ranking)
    }

    @Test(arguments: [4, 5, 8, 64])
    func insertingAndRemovingKeepsOrderAndPositions(capacity: Int) {
        var random = SeededRandom(seed: UInt64(capacity))
        var ranking = ScoreboardRanking(blockCapacity: capacity)
        var model: [(score: Int64, sequence: UInt64)] = []
        for step in 0..<3_000 {
            // Grows first, then shrinks to nothing, so that merging runs out of neighbours.
            if model.isEmpty || (step < 1_600 && random.next(below: 4) > 0) {
                let key = (score: Int64(random.next(below: 60)), sequence: UInt64(step))
                ranking.insert(.init(score: key.score, sequence: key.sequence, uid: "p\(step)"))
                model.append(key)
            } else {
                let key = model.remove(at: random.next(below: model.count))
                ranking.remove(score: key.score, sequence: key.sequence)
            }
            let probe = Int64(random.next(below: 62)) - 1
            #expect(ranking.countAbove(probe) == model.count { $0.score > probe })
        }
        #expect(ranking.count == model.count)
        expectSorted(ranking)
        for key in model { ranking.remove(score: key.score, sequence: key.sequence) }
        #expect(ranking.count == 0 && ranking.blocks.isEmpty)
    }

    private func expectSorted(_ ranking: ScoreboardRanking) {
        let entries = ranking.blocks.flatMap { $0 }
        #expect(entries.count == ranking.count)
        let pairs = zip(entries, entries.dropFirst())
        #expect(pairs.allSatisfy { $0.ranksBefore($1.score, $1.sequence) })
        // Every block's place in the tree, by asking for its first entry.
        var before = 0
        for block in ranking.blocks {
            let position = ranking.position(of: block[0].score, sequence: block[0].sequence)
            #expect(ranking.index(of: position) == before)
            before += block.count
        }
    }
}
