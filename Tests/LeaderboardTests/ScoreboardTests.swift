import Testing

@testable import LeaderboardCore

@Suite struct ScoreboardTests {
    @Test func equalScoresShareTheBetterRank() {
        let board = Scoreboard()
        #expect(board.submit(uid: "ada", score: 50).rank == 1)
        #expect(board.submit(uid: "bob", score: 50).rank == 1)
        #expect(board.submit(uid: "cyd", score: 40).rank == 3)
        #expect(board.rank(of: "ada") == 1)
        #expect(board.rank(of: "bob") == 1)
        #expect(board.rank(of: "dan") == nil)
    }

    @Test func submitKeepsTheBestAndReportsWhatWasThere() {
        let board = Scoreboard()
        let first = board.submit(uid: "ada", score: -5)
        #expect(first.isNewBest && first.previousBest == nil)
        let same = board.submit(uid: "ada", score: -5)
        #expect(!same.isNewBest && same.previousBest == -5)
        let worse = board.submit(uid: "ada", score: .min)
        #expect(!worse.isNewBest && worse.previousBest == -5 && worse.rank == 1)
        let better = board.submit(uid: "ada", score: .max)
        #expect(better.isNewBest && better.previousBest == -5)
        #expect(board.best(of: "ada") == .max && board.count == 1)
    }

    @Test func aWorseSubmissionAnswersTheRankOfTheBest() {
        let board = Scoreboard()
        board.submit(uid: "ada", score: 100)
        board.submit(uid: "bob", score: 90)
        #expect(board.submit(uid: "ada", score: 1).rank == 1)
    }

    @Test func topOrdersEqualsByWhoReachedTheScoreFirst() {
        let board = Scoreboard()
        board.submit(uid: "late", score: 1)
        board.submit(uid: "first", score: 7)
        board.submit(uid: "second", score: 7)
        board.submit(uid: "late", score: 7)
        board.submit(uid: "first", score: 7)
        #expect(board.top(9).map(\.uid) == ["first", "second", "late"])
        #expect(board.top(1).map(\.uid) == ["first"])
        #expect(board.top(0).isEmpty)
        #expect(board.top(-1).isEmpty)
    }

    @Test func loadingASnapshotGivesTheSameBoard() {
        var random = SeededRandom(seed: 11)
        let board = Scoreboard()
        for _ in 0..<5_000 {
            board.submit(
                uid: "p\(random.next(below: 1_500))", score: Int64(random.next(below: 40)))
        }
        let copy = Scoreboard(records: board.snapshot())
        #expect(copy.snapshot() == board.snapshot())
        #expect(copy.count == board.count)
        // A later equal score comes after those that were loaded.
        copy.submit(uid: "new", score: 39)
        let best = copy.players(from: 39, below: 40).map(\.uid)
        #expect(best.last == "new" && best.count > 1)
        #expect(copy.rank(of: "new") == 1)
    }

    @Test func loadingKeepsTheBestOfSeveralRecordsOfAPlayer() {
        let board = Scoreboard(records: [
            ScoreRecord(uid: "ada", score: 3), ScoreRecord(uid: "bob", score: 9),
            ScoreRecord(uid: "ada", score: 9), ScoreRecord(uid: "bob", score: 4),
        ])
        #expect(board.top(5).map(\.uid) == ["bob", "ada"])
        #expect(board.submit(uid: "cyd", score: 10).rank == 1)
        #expect(board.rank(of: "bob") == 2 && board.rank(of: "ada") == 2)
    }

    @Test(arguments: [UInt64.random(in: 0...9_999), 1, 2])
    func ranksAgreeWithANaiveModel(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let board = Scoreboard()
        var model = NaiveBoard()
        for step in 0..<4_000 {
            let uid = "p\(random.next(below: 700))"
            let score = Int64(random.next(below: 300)) - 100 + Int64(step / 40)
            let submission = board.submit(uid: uid, score: score)
            let expected = model.submit(uid, score)
            let other = "p\(random.next(below: 700))"
            guard
                submission.rank == model.rank(uid), submission.isNewBest == expected.isNewBest,
                submission.previousBest == expected.previous,
                board.rank(of: other) == model.rank(other)
            else {
                Issue.record("differs from the model: seed \(seed), step \(step)")
                return
            }
        }
        #expect(board.top(1_000).map(\.uid) == model.order(), "seed \(seed)")
    }
}

@Suite struct ScoreboardOvertakenTests {
    @Test func aPlayerIsOvertakenWhoWasLevelOrAheadAndIsBehindNow() {
        #expect(Scoreboard.isOvertaken(best: 10, from: 10, to: 11))
        #expect(Scoreboard.isOvertaken(best: 15, from: 10, to: 16))
        #expect(!Scoreboard.isOvertaken(best: 9, from: 10, to: 16))
        #expect(!Scoreboard.isOvertaken(best: 16, from: 10, to: 16))
        #expect(!Scoreboard.isOvertaken(best: 17, from: 10, to: 16))
        #expect(Scoreboard.isOvertaken(best: .min, from: nil, to: 0))
        #expect(!Scoreboard.isOvertaken(best: 5, from: 7, to: 7))
    }

    @Test func theSubmitterAndPlayersWithoutAScoreAreNotOvertaken() {
        let board = Scoreboard()
        board.submit(uid: "ada", score: 10)
        board.submit(uid: "bob", score: 20)
        let submission = board.submit(uid: "cyd", score: 30)
        let overtaken = board.overtaken(
            by: "cyd", from: submission.previousBest, to: 30,
            among: ["cyd", "nobody", "bob", "ada"])
        #expect(overtaken.map(\.uid) == ["bob", "ada"])
        #expect(overtaken.map(\.score) == [20, 10])
        // Nor by a score that the board has not taken.
        #expect(board.overtaken(by: "cyd", from: nil, to: 31, among: ["cyd"]).isEmpty)
    }

    @Test(arguments: [UInt64.random(in: 0...9_999), 3])
    func theRangeHasThoseThatThePredicatePicks(seed: UInt64) {
        var random = SeededRandom(seed: seed)
        let board = Scoreboard()
        let everybody = (0..<2_000).map { "p\($0)" }
        for uid in everybody { board.submit(uid: uid, score: Int64(random.next(below: 500))) }
        for _ in 0..<60 {
            let previous = random.next(below: 5) == 0 ? nil : Int64(random.next(below: 520)) - 10
            let new = Int64(random.next(below: 520)) - 10
            let range = board.players(from: previous, below: new)
            let picked = board.overtaken(by: "s", from: previous, to: new, among: everybody)
            #expect(range.count == picked.count, "seed \(seed)")
            #expect(Set(range.map(\.uid)) == Set(picked.map(\.uid)), "seed \(seed)")
            #expect(Array(range.map(\.score)) == picked.map(\.score).sorted(by: >))
        }
    }

    @Test func rangesReachTheEndsOfTheIntegers() {
        let board = Scoreboard()
        #expect(board.players(from: nil, below: .max).count == 0)
        board.submit(uid: "low", score: .min)
        board.submit(uid: "high", score: .max)
        #expect(board.players(from: nil, below: .max).map(\.uid) == ["low"])
        #expect(board.players(from: .min, below: .max).map(\.uid) == ["low"])
        #expect(board.players(from: nil, below: .min).count == 0)
        #expect(board.players(from: 5, below: 4).count == 0)
        #expect(board.players(from: 4, below: 4).count == 0)
    }

    @Test func aRangeShowsTheBoardAsItWas() {
        let board = Scoreboard()
        for number in 0..<2_000 { board.submit(uid: "p\(number)", score: Int64(number)) }
        let range = board.players(from: 100, below: 1_900)
        var iterator = range.makeIterator()
        #expect(iterator.next()?.uid == "p1899")
        for number in 0..<2_000 { board.submit(uid: "p\(number)", score: 5_000) }
        #expect(iterator.next()?.score == 1_898)
        #expect(range.map(\.score) == (100..<1_900).reversed())
    }
}

/// The definition of rank, spelled out without any structure.
struct NaiveBoard {
    private var bests: [String: (score: Int64, step: Int)] = [:]
    private var step = 0

    mutating func submit(_ uid: String, _ score: Int64) -> (isNewBest: Bool, previous: Int64?) {
        step += 1
        let previous = bests[uid]?.score
        let isNewBest = previous == nil || score > previous!
        if isNewBest { bests[uid] = (score, step) }
        return (isNewBest, previous)
    }

    func rank(_ uid: String) -> Int? {
        bests[uid].map { own in 1 + bests.values.count { $0.score > own.score } }
    }

    func order() -> [String] {
        bests.sorted {
            $0.value.score != $1.value.score
                ? $0.value.score > $1.value.score : $0.value.step < $1.value.step
        }.map(\.key)
    }
}

/// SplitMix64: the same numbers for the same seed on every machine.
struct SeededRandom {
    private var state: UInt64

    init(seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }

    mutating func next(below limit: Int) -> Int { Int(next() % UInt64(limit)) }
}
