import Logging
import Testing
import Updraft
import UpdraftTesting

@testable import LeaderboardCore

@Suite struct GameTests {
    /// A player whose answers the test chooses.
    private final class FakeConnection: PlayerConnection {
        enum Answer { case acknowledge, refuse, never }
        struct Refusal: Error {}
        struct Call: Equatable {
            let uid: String
            let score: Int64
            let rank: Int
        }

        var answer = Answer.acknowledge
        private(set) var calls: [Call] = []
        private(set) var isClosed = false
        private let loop: IOLoop

        init(_ loop: IOLoop, _ answer: Answer = .acknowledge) {
            self.loop = loop
            self.answer = answer
        }

        nonisolated(nonsending) func overtaken(
            by uid: String, score: Int64, rank: Int
        ) async throws {
            calls.append(Call(uid: uid, score: score, rank: rank))
            switch answer {
            case .acknowledge: return
            case .refuse: throw Refusal()
            case .never:
                while answer == .never { try await loop.nextTurn() }
            }
        }

        func close() { isClosed = true }
    }

    private struct Table {
        let loop: IOLoop
        let folder: ScoreLogFolder
        let store: ScoreStore
        let game: Game

        init(_ loop: IOLoop, _ limits: OvertakenCalls.Limits = .init()) throws {
            self.loop = loop
            folder = try ScoreLogFolder()
            store = try ScoreStore.make(folder, loop: loop)
            var logger = Logger(label: "test")
            logger.logLevel = .critical
            game = Game(store: store, loop: loop, logger: logger, limits: limits)
        }

        nonisolated(nonsending) func player(
            _ uid: String, _ score: Int64? = nil, _ answer: FakeConnection.Answer = .acknowledge
        ) async throws -> FakeConnection {
            let connection = FakeConnection(loop, answer)
            try game.login(uid, connection)
            if let score { _ = try await game.submit(score, from: connection) }
            return connection
        }

        /// Until nobody waits to be called, and no call is under way.
        nonisolated(nonsending) func settled() async throws {
            try await loop.turns {
                game.overtakenCalls.waitingCount == 0 && game.overtakenCalls.underWayCount == 0
            }
        }
    }

    @Test func submitNeedsALogin() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let connection = FakeConnection(loop)
            let error = await #expect(throws: LeaderboardError.self) {
                try await table.game.submit(1, from: connection)
            }
            #expect(error?.code == .notLoggedIn && error?.message.contains("login") == true)
            #expect(table.store.board.count == 0)
        }
    }

    @Test func aSecondLoginClosesTheOlderConnectionAndTheNewerKeepsTheName() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let old = try await table.player("ann", 10)
            let new = try await table.player("ann")
            #expect(old.isClosed && !new.isClosed)
            table.game.disconnected(old)
            #expect(table.game.stats().online == 1)
            #expect(try await table.game.submit(11, from: new) == 1)
            await #expect(throws: LeaderboardError.self) {
                try await table.game.submit(12, from: old)
            }
        }
    }

    @Test func loginAgainOnOneConnectionKeepsOrRenamesIt() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let peer = try await table.player("ann", 10)
            try table.game.login("ann", peer)
            #expect(!peer.isClosed && table.game.stats().online == 1)
            try table.game.login("bob", peer)
            #expect(!peer.isClosed && table.game.stats().online == 1)
            #expect(try await table.game.submit(20, from: peer) == 1)
            #expect(table.game.rank(of: "ann") == 2)
            table.game.disconnected(peer)
            #expect(table.game.stats().online == 0)
        }
    }

    @Test(arguments: ["", String(repeating: "x", count: 256)])
    func aBadLoginKeepsTheNameThatTheConnectionHas(_ uid: String) async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let peer = try await table.player("ann")
            let error = #expect(throws: LeaderboardError.self) { try table.game.login(uid, peer) }
            #expect(error?.code == .invalidUID && error?.message.contains("uid") == true)
            #expect(try await table.game.submit(1, from: peer) == 1)
            #expect(table.game.rank(of: "ann") == 1)
        }
    }

    @Test func whoIsOvertakenIsToldTheirOwnRankAndCounted() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let ann = try await table.player("ann", 10)
            let cid = try await table.player("cid", 5)
            let offline = try await table.player("off", 7)
            table.game.disconnected(offline)
            let bob = try await table.player("bob", 20)
            try await table.settled()
            #expect(ann.calls == [.init(uid: "bob", score: 20, rank: 2)])
            let byOff = FakeConnection.Call(uid: "off", score: 7, rank: 3)
            #expect(cid.calls == [byOff, .init(uid: "bob", score: 20, rank: 4)])
            #expect(offline.calls.isEmpty && bob.calls.isEmpty)
            #expect(table.game.stats().overtakenAcked == 3)
        }
    }

    @Test func aTieAWorseScoreAndARepeatedOvertakeTellNobody() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            let ann = try await table.player("ann", 10)
            let bob = try await table.player("bob", 10)
            _ = try await table.game.submit(5, from: bob)
            try await table.settled()
            #expect(ann.calls.isEmpty)
            _ = try await table.game.submit(11, from: bob)
            _ = try await table.game.submit(12, from: bob)
            try await table.settled()
            #expect(ann.calls == [.init(uid: "bob", score: 11, rank: 2)])
        }
    }

    @Test func silenceAndErrorsAreNotCountedAndNobodyWaitsForThem() async throws {
        try await withLoop { loop in
            var limits = OvertakenCalls.Limits()
            limits.answer = .milliseconds(20)
            let table = try Table(loop, limits)
            let silent = try await table.player("ann", 10, .never)
            let refusing = try await table.player("cid", 5, .refuse)
            let bob = try await table.player("bob", 20)
            #expect(table.game.overtakenCalls.underWayCount > 0, "submit does not wait")
            try await table.settled()
            #expect(silent.calls.count == 1 && refusing.calls.count == 1)
            #expect(table.game.stats().overtakenAcked == 0)
            #expect(!silent.isClosed && !refusing.isClosed && !bob.isClosed)
        }
    }

    @Test func callsAreBoundedPerSubmissionAndTogetherAndAllAreMade() async throws {
        try await withLoop { loop in
            var limits = OvertakenCalls.Limits()
            (limits.perRoundMax, limits.totalMax) = (3, 5)
            let table = try Table(loop, limits)
            var players: [FakeConnection] = []
            for number in 0..<10 {
                players.append(try await table.player("p\(number)", Int64(-number), .never))
            }
            let calls = table.game.overtakenCalls
            let first = try await table.player("first", 10, .never)
            #expect(calls.underWayCount == 3 && calls.waitingCount == 7)
            _ = try await table.player("second", 20)
            #expect(calls.underWayCount == 5 && calls.waitingCount == 16)
            for player in players + [first] { player.answer = .acknowledge }
            try await table.settled()
            #expect(players.allSatisfy { $0.calls.map(\.uid).sorted() == ["first", "second"] })
            #expect(table.game.stats().overtakenAcked == 21)
        }
    }

    @Test func playersBeyondTheQueueAreNotToldAndAStoppedGameTellsNobody() async throws {
        try await withLoop { loop in
            var limits = OvertakenCalls.Limits()
            (limits.perRoundMax, limits.waitingMax) = (1, 4)
            let table = try Table(loop, limits)
            var players: [FakeConnection] = []
            for number in 0..<10 {
                players.append(try await table.player("p\(number)", Int64(-number)))
            }
            _ = try await table.player("best", 10)
            try await table.settled()
            #expect(players.map(\.calls.count) == [1, 1, 1, 1, 0, 0, 0, 0, 0, 0])
            table.game.stop()
            _ = try await table.player("better", 20)
            try await table.settled()
            #expect(players.map(\.calls.count).reduce(0, +) == 4)
        }
    }

    @Test func bothWaysOfLookingFindWhomAModelFinds() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            var random = SystemRandomNumberGenerator()
            var bests: [String: Int64] = [:]
            var online: [String: FakeConnection] = [:]
            for number in 0..<40 {
                let uid = "p\(number)"
                let score = Int64.random(in: 0..<30, using: &random)
                let connection = try await table.player(uid, score)
                bests[uid] = score
                if number % 4 == 0 {
                    online[uid] = connection
                } else {
                    table.game.disconnected(connection)
                }
            }
            for _ in 0..<200 {
                try await table.settled()
                guard let (uid, connection) = online.randomElement() else { return }
                let told = online.mapValues(\.calls.count)
                let score = (bests[uid] ?? 0) + Int64.random(in: -3..<6, using: &random)
                _ = try await table.game.submit(score, from: connection)
                try await table.settled()
                let previous = bests[uid] ?? 0
                bests[uid] = max(previous, score)
                for (other, connection) in online {
                    let best = bests[other] ?? 0
                    let isOvertaken = other != uid && best >= previous && best < score
                    #expect(connection.calls.count == (told[other] ?? 0) + (isOvertaken ? 1 : 0))
                    guard isOvertaken else { continue }
                    let rank = bests.values.count { $0 > best } + 1
                    #expect(connection.calls.last == .init(uid: uid, score: score, rank: rank))
                }
            }
        }
    }

    @Test func topIsBoundedAndSumsThatOverflowAreErrors() async throws {
        try await withLoop { loop in
            let table = try Table(loop)
            _ = try await table.player("ann", 10)
            #expect(table.game.top(.max).map(\.uid) == ["ann"])
            #expect(table.game.top(-1).isEmpty)
            #expect(try Game.sum(.max, .min) == -1)
            for (x, y) in [(Int64.max, Int64(1)), (.min, -1)] {
                let error = #expect(throws: LeaderboardError.self) { try Game.sum(x, y) }
                #expect(error?.code == .overflow)
            }
        }
    }
}
