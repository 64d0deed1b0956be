import Glibc
import Testing

@testable import LeaderboardCore

/// System calls that fail or do half of what they were asked, and compaction under both.
@Suite struct ScoreLogFailureTests {
    private let old = [ScoreRecord(uid: "ada", score: 1), ScoreRecord(uid: "bob", score: 2)]
    private let new = [ScoreRecord(uid: "cyd", score: 3), ScoreRecord(uid: "dan", score: 4)]

    /// A system whose calls a test breaks while it runs.
    private final class Faults {
        var writeBytesMax = Int.max
        /// How many more bytes fit on the "disk".
        var room = Int.max
        var interruptEverySecondWrite = false
        var truncateError: Int32?
        var syncError: Int32?
        var folderError: Int32?
        var renameError: Int32?
        private(set) var writes = 0

        func system() -> ScoreLogSystem {
            let real = ScoreLogSystem()
            func failing(_ error: Int32?, _ call: () -> Int32) -> Int32 {
                guard let error else { return call() }
                errno = error
                return -1
            }
            var system = real
            system.write = { descriptor, bytes, offset in
                self.writes += 1
                if self.interruptEverySecondWrite, self.writes % 2 == 1 {
                    errno = EINTR
                    return -1
                }
                let count = min(bytes.count, self.writeBytesMax, self.room)
                guard count > 0 else {
                    errno = ENOSPC
                    return -1
                }
                self.room -= count
                return real.write(
                    descriptor, UnsafeRawBufferPointer(rebasing: bytes[..<count]), offset)
            }
            system.truncate = { descriptor, length in
                failing(self.truncateError) { real.truncate(descriptor, length) }
            }
            system.synchronize = { descriptor in
                failing(self.syncError) { real.synchronize(descriptor) }
            }
            system.synchronizeEntries = { descriptor in
                failing(self.folderError) { real.synchronizeEntries(descriptor) }
            }
            system.rename = { from, to in failing(self.renameError) { real.rename(from, to) } }
            return system
        }
    }

    /// A log that holds `old`, on a system to break.
    private func opened(_ folder: ScoreLogFolder, _ faults: Faults) throws -> ScoreLog {
        let log = try ScoreLog.open(folder: folder.path, system: faults.system()).log
        try log.append(old)
        return log
    }

    private func expectStored(_ records: [ScoreRecord], _ folder: ScoreLogFolder) throws {
        let found = try ScoreLog.open(folder: folder.path)
        #expect(found.records == records && found.report.tornTail == nil)
    }

    @Test func shortAndInterruptedWritesWriteEverything() throws {
        let folder = try ScoreLogFolder()
        let faults = Faults()
        let log = try opened(folder, faults)
        faults.writeBytesMax = 3
        faults.interruptEverySecondWrite = true
        try log.append(new)
        #expect(faults.writes > 10)
        log.close()
        try expectStored(old + new, folder)
    }

    @Test func aFullDiskLeavesNothingOfTheBatch() throws {
        for room in 0..<36 {
            let folder = try ScoreLogFolder()
            let faults = Faults()
            let log = try opened(folder, faults)
            let before = folder.logBytes()
            faults.room = room
            let error = #expect(throws: LeaderboardError.self) { try log.append(new) }
            #expect(error?.code == .fileFailed)
            #expect(error?.message.contains("No space left on device") == true)
            #expect(folder.logBytes() == before && log.recordCount == 2)
            faults.room = .max
            try log.append(new)
            log.close()
            try expectStored(old + new, folder)
        }
    }

    @Test func aBatchThatCouldNotBeCutOffIsCutOffBeforeTheNext() throws {
        let folder = try ScoreLogFolder()
        let faults = Faults()
        let log = try opened(folder, faults)
        let before = folder.logBytes()
        faults.room = 30
        faults.truncateError = EIO
        #expect(throws: LeaderboardError.self) { try log.append(new) }
        #expect(folder.logBytes().count == before.count + 30)
        faults.room = .max
        #expect(throws: LeaderboardError.self) { try log.append(new[..<1]) }
        faults.truncateError = nil
        try log.append(new[..<1])
        log.close()
        try expectStored(old + new[..<1], folder)
    }

    @Test func afterAFailedSyncOnlyCompactingHelps() throws {
        let folder = try ScoreLogFolder()
        let faults = Faults()
        let log = try opened(folder, faults)
        faults.syncError = EIO
        #expect(throws: LeaderboardError.self) { try log.sync() }
        faults.syncError = nil
        let error = #expect(throws: LeaderboardError.self) { try log.append(new) }
        #expect(error?.code == .logUnusable)
        #expect(error?.message.contains("Input/output error") == true)
        #expect(throws: LeaderboardError.self) { try log.sync() }
        try log.compact(old)
        try log.append(new)
        try log.sync()
        log.close()
        try expectStored(old + new, folder)
    }

    @Test func compactingKeepsWhatCountsAndItsOrder() throws {
        let folder = try ScoreLogFolder()
        let board = Scoreboard()
        let log = try ScoreLog.open(folder: folder.path).log
        var random = SeededRandom(seed: 8)
        func play(_ rounds: Int) throws {
            for _ in 0..<rounds {
                let record = ScoreRecord(
                    uid: "p\(random.next(below: 200))", score: Int64(random.next(below: 30)))
                if board.submit(uid: record.uid, score: record.score).isNewBest {
                    try log.append([record])
                }
            }
        }
        try play(900)
        let before = log.fileBytes
        try log.compact(board.snapshot())
        #expect(log.fileBytes < before && log.recordCount == board.count)
        try play(900)
        try log.compact()
        #expect(log.recordCount == board.count)
        #expect(log.fileBytes == folder.logBytes().count)
        try play(900)
        log.close()
        let records = try ScoreLog.open(folder: folder.path).records
        #expect(Scoreboard(records: records).snapshot() == board.snapshot())
    }

    @Test func aCompactionThatFailsLeavesTheOldFileInUse() throws {
        let breaks: [(Faults) -> Void] = [
            { $0.room = 0 }, { $0.room = 20 }, { $0.syncError = EIO }, { $0.renameError = EIO },
        ]
        for breakIt in breaks {
            let folder = try ScoreLogFolder()
            let faults = Faults()
            let log = try opened(folder, faults)
            breakIt(faults)
            let error = #expect(throws: LeaderboardError.self) { try log.compact(new) }
            #expect(error?.code == .fileFailed)
            #expect(!folder.exists(ScoreLog.temporaryFileName))
            (faults.room, faults.syncError, faults.renameError) = (.max, nil, nil)
            try log.append(new)
            log.close()
            try expectStored(old + new, folder)
        }
    }

    @Test func aCompactionWhoseNameMayNotLastTakesNothingMore() throws {
        let folder = try ScoreLogFolder()
        let faults = Faults()
        let log = try opened(folder, faults)
        faults.folderError = EIO
        #expect(throws: LeaderboardError.self) { try log.compact(new) }
        let error = #expect(throws: LeaderboardError.self) { try log.append(old) }
        #expect(error?.code == .logUnusable)
        faults.folderError = nil
        try log.compact(new)
        try log.append(old)
        log.close()
        try expectStored(new + old, folder)
    }

    @Test func aSnapshotWithAUidThatCannotBeStoredChangesNothing() throws {
        let folder = try ScoreLogFolder()
        let log = try opened(folder, Faults())
        #expect(throws: LeaderboardError.self) {
            try log.compact([ScoreRecord(uid: "", score: 1)])
        }
        log.close()
        try expectStored(old, folder)
    }

    @Test func compactingPaysAboveBothThresholds() throws {
        let folder = try ScoreLogFolder()
        let policy = ScoreLogCompactionPolicy(recordsPerPlayerMax: 2, fileBytesMin: 100)
        let log = try ScoreLog.open(folder: folder.path, compaction: policy).log
        let record = ScoreRecord(uid: "ada", score: 1)
        #expect(!log.shouldCompact(playerCount: 0))
        try log.append(Array(repeating: record, count: 4))
        #expect(log.fileBytes == 84 && !log.shouldCompact(playerCount: 1))
        try log.append([record])
        #expect(log.fileBytes == 102 && log.shouldCompact(playerCount: 1))
        #expect(log.shouldCompact(playerCount: 2))
        #expect(!log.shouldCompact(playerCount: 3))
        try log.compact()
        #expect(!log.shouldCompact(playerCount: 1))
    }
}
