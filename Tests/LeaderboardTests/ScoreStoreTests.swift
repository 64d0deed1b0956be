import Glibc
import Testing
import Updraft
import UpdraftTesting

@testable import LeaderboardCore

@Suite struct ScoreStoreTests {
    private static func record(_ uid: String, _ score: Int64) -> ScoreRecord {
        ScoreRecord(uid: uid, score: score)
    }

    @Test func aScoreIsOnTheBoardAndAnsweredOnlyOnceItIsWritten() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(folder, loop: loop, file: file)
            file.gate()
            let answer = loop.async { try await store.append(Self.record("ada", 7)) }
            try await loop.turns { store.waitingCount == 1 }
            try await loop.runInExecutor { file.waitForArrival() }
            for _ in 0..<10 { try await loop.nextTurn() }
            #expect(!answer.isDone && store.board.rank(of: "ada") == nil)
            file.open()
            #expect(try await answer.value.rank == 1)
            #expect(store.board.best(of: "ada") == 7 && store.waitingCount == 0)
            #expect(try ScoreLogReplay.records(in: folder) == [Self.record("ada", 7)])
        }
    }

    @Test func scoresThatComeDuringAWriteAreWrittenTogether() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(folder, loop: loop, file: file)
            var order: [Int64] = []
            store.onWritten = { record, _ in order.append(record.score) }
            let before = file.writes
            file.gate()
            let first = loop.async { try await store.append(Self.record("ada", 0)) }
            try await loop.turns { store.waitingCount == 1 }
            try await loop.runInExecutor { file.waitForArrival() }
            var others: [LoopFuture<Scoreboard.Submission>] = []
            for score in 1...100 {
                others.append(
                    loop.async {
                        try await store.append(Self.record("p\(score)", Int64(score)))
                    })
                // So that each comes in a turn of its own.
                try await loop.turns { store.waitingCount == 1 + score }
                try await loop.nextTurn()
            }
            file.open()
            #expect(try await first.value.rank == 1)
            for other in others { #expect(try await other.value.rank == 1) }
            #expect(file.writes == before + 2, "one for the first, one for the rest")
            #expect(order == Array(0...100))
        }
    }

    @Test func aFailedWriteFailsAllItsScoresAndTheNextOneWorks() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(folder, loop: loop, file: file)
            file.failWrites(ENOSPC)
            let answers = (0..<3).map { score in
                loop.async { try await store.append(Self.record("ada", Int64(score))) }
            }
            for answer in answers {
                let error = await #expect(throws: LeaderboardError.self) { try await answer.value }
                #expect(error?.code == .fileFailed)
                #expect(error?.rpcMessage.contains("/") == false, "a peer is told no path")
            }
            #expect(store.board.count == 0 && store.waitingCount == 0)
            file.failWrites(0)
            #expect(try await store.append(Self.record("ada", 9)).rank == 1)
            try await store.close()
            #expect(try ScoreLogReplay.records(in: folder) == [Self.record("ada", 9)])
        }
    }

    @Test func moreThanTheLimitIsRefusedAsBusyAndOthersAreKept() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            var limits = ScoreStore.Limits()
            limits.waitingMax = 2
            let store = try ScoreStore.make(folder, loop: loop, file: file, limits: limits)
            file.gate()
            let answers = (1...2).map { score in
                loop.async { try await store.append(Self.record("ada", Int64(score))) }
            }
            try await loop.turns { store.waitingCount == 2 }
            let error = await #expect(throws: LeaderboardError.self) {
                try await store.append(Self.record("bob", 1))
            }
            #expect(error?.code == .busy && error?.message.contains("2") == true)
            try await loop.runInExecutor { file.waitForArrival() }
            file.open()
            for answer in answers { _ = try await answer.value }
            #expect(store.board.top(9).map(\.score) == [2])
            _ = try await store.append(Self.record("bob", 1))
        }
    }

    @Test func aScoreWhoseCallerWasCancelledIsNotLost() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(folder, loop: loop, file: file)
            file.gate()
            let answer = loop.async { try await store.append(Self.record("ada", 7)) }
            try await loop.turns { store.waitingCount == 1 }
            try await loop.runInExecutor { file.waitForArrival() }
            answer.cancel()
            await #expect(throws: CancellationError.self) { try await answer.value }
            file.open()
            try await loop.turns { store.waitingCount == 0 }
            #expect(store.board.best(of: "ada") == 7)
        }
    }

    @Test func closeWritesWhatWaitsAndRefusesWhatComesLater() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let store = try ScoreStore.make(folder, loop: loop)
            let answers = (1...50).map { score in
                loop.async { try await store.append(Self.record("p\(score)", Int64(score))) }
            }
            try await loop.turns { store.waitingCount > 0 }
            try await store.close()
            for answer in answers { _ = try await answer.value }
            let error = await #expect(throws: LeaderboardError.self) {
                try await store.append(Self.record("late", 1))
            }
            #expect(error?.code == .logUnusable)
            try await store.close()
            let (again, _) = try await ScoreStore.open(folder: folder.path, loop: loop)
            #expect(again.board.count == 50)
        }
    }

    @Test func aUidThatCannotBeStoredIsRefusedAlone() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let store = try ScoreStore.make(folder, loop: loop)
            let good = loop.async { try await store.append(Self.record("ada", 1)) }
            let error = await #expect(throws: LeaderboardError.self) {
                try await store.append(Self.record("", 1))
            }
            #expect(error?.code == .invalidUID)
            #expect(try await good.value.rank == 1)
        }
    }

    @Test func theFileIsCompactedWhileScoresComeInAndNothingIsLost() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(
                folder, loop: loop, file: file,
                compaction: .init(recordsPerPlayerMax: 4, fileBytesMin: 256))
            let before = file.renames
            for score in Int64(1)...200 {
                let ada = loop.async { try await store.append(Self.record("ada", score)) }
                _ = try await store.append(Self.record("bob", -score))
                _ = try await ada.value
            }
            try await store.close()
            #expect(file.renames > before + 5)
            let records = try ScoreLogReplay.records(in: folder)
            #expect(Set(records) == [Self.record("ada", 200), Self.record("bob", -1)])
            #expect(folder.logBytes().count < 2_000)
        }
    }

    @Test func aFailedCompactionIsNotTriedAgainAtOnce() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            let file = GatedFile()
            let store = try ScoreStore.make(
                folder, loop: loop, file: file,
                compaction: .init(recordsPerPlayerMax: 4, fileBytesMin: 64))
            let before = file.renames
            file.failRenames(EIO)
            for score in Int64(1)...50 { _ = try await store.append(Self.record("ada", score)) }
            try await store.close()
            #expect(file.renames == before + 1)
            #expect(try ScoreLogReplay.records(in: folder) == [Self.record("ada", 50)])
        }
    }

    @Test func aFileThatHasGrownIsCompactedAtTheStart() async throws {
        try await withLoop { loop in
            let folder = try ScoreLogFolder()
            folder.writeLog((1...1_000).map { Self.record("ada", $0) })
            let (store, report) = try await ScoreStore.open(
                folder: folder.path, compaction: .init(fileBytesMin: 256), loop: loop)
            #expect(report.recordCount == 1_000 && store.board.best(of: "ada") == 1_000)
            try await store.close()
            #expect(folder.logBytes().count < 256)
        }
    }
}

extension ScoreLogReplay {
    /// What a restart would find.
    static func records(in folder: ScoreLogFolder) throws -> [ScoreRecord] {
        let copy = try ScoreLogFolder()
        copy.write(folder.logBytes())
        return try ScoreLog.open(folder: copy.path).records
    }
}
