import Testing

@testable import LeaderboardCore

/// What opening does with files that a crash, a bad disk or a stranger left.
@Suite struct ScoreLogDamageTests {
    private let kept = [ScoreRecord(uid: "ada", score: 300), ScoreRecord(uid: "bob", score: -257)]
    private let last = ScoreRecord(uid: "cyd", score: 77)

    private func encoded(_ records: ScoreRecord...) -> [UInt8] {
        records.reduce(into: []) { ScoreLogFormat.encode($1, into: &$0) }
    }

    /// Opens a folder whose log ends in a torn record, and checks that only that is lost.
    private func expectDropped(_ tail: [UInt8], _ what: String) throws {
        let folder = try ScoreLogFolder()
        folder.writeLog(kept, then: tail)
        let whole = Int64(folder.logBytes().count - tail.count)
        let (log, records, report) = try ScoreLog.open(folder: folder.path)
        #expect(records == kept, "\(what)")
        #expect(report.tornTail == .init(offset: whole, bytes: Int64(tail.count)), "\(what)")
        #expect(report.warning?.contains("\(tail.count) bytes at byte \(whole)") == true)
        #expect(Int64(folder.logBytes().count) == whole, "\(what)")
        try log.append([last])
        log.close()
        let again = try ScoreLog.open(folder: folder.path)
        #expect(again.records == kept + [last] && again.report.tornTail == nil, "\(what)")
    }

    /// Opens a folder whose log is damaged, and checks that it is refused and left alone.
    private func expectRefused(
        _ bytes: [UInt8], _ what: String, _ code: LeaderboardError.Code = .corruptLog,
        at offset: Int? = nil
    ) throws {
        let folder = try ScoreLogFolder()
        folder.write(bytes)
        folder.write([1, 2], to: ScoreLog.temporaryFileName)
        let error = #expect(throws: LeaderboardError.self, "\(what)") {
            try ScoreLog.open(folder: folder.path)
        }
        #expect(error?.code == code, "\(what)")
        #expect(error?.message.contains("\(folder.path)/scores.log") == true)
        if let offset { #expect(error?.message.contains("at byte \(offset),") == true, "\(what)") }
        #expect(folder.logBytes() == bytes && folder.exists(ScoreLog.temporaryFileName))
    }

    @Test func aRecordTornAtAnyByteIsDropped() throws {
        let bytes = encoded(ScoreRecord(uid: "cyd \u{0} 🎲", score: -2))
        for length in 1..<bytes.count {
            try expectDropped(Array(bytes[..<length]), "\(length) bytes of a record")
        }
    }

    @Test func aLastRecordWithAnyWrongByteIsDropped() throws {
        let bytes = encoded(ScoreRecord(uid: "cyd", score: 77))
        for index in bytes.indices {
            var damaged = bytes
            damaged[index] ^= 0x10
            try expectDropped(damaged, "byte \(index) of the last record")
        }
    }

    @Test func zerosThatWereNeverWrittenAreDropped() throws {
        try expectDropped([0], "one zero")
        try expectDropped([UInt8](repeating: 0, count: 600_000), "many zeros")
    }

    @Test func anyWrongByteBeforeTheLastRecordIsRefused() throws {
        let header = ScoreLogFormat.header
        let bytes = header + encoded(kept[0], kept[1], last)
        let lastStart = bytes.count - encoded(last).count
        let secondStart = header.count + encoded(kept[0]).count
        for index in header.count..<lastStart {
            var damaged = bytes
            // Also turns a length into one that reaches beyond the end of the file.
            damaged[index] ^= 0xE0
            let start = index < secondStart ? header.count : secondStart
            try expectRefused(damaged, "byte \(index)", at: start)
        }
    }

    @Test func damageFarFromTheEndIsRefused() throws {
        let many = (0..<30_000).map { ScoreRecord(uid: "player \($0)", score: Int64($0)) }
        var bytes = many.reduce(into: ScoreLogFormat.header) {
            ScoreLogFormat.encode($1, into: &$0)
        }
        bytes[400_000] ^= 1
        try expectRefused(bytes, "a byte in the middle")
    }

    @Test func aDamagedRecordBeforeATornOneIsRefused() throws {
        var damaged = encoded(last)
        damaged[4] ^= 1
        let bytes = ScoreLogFormat.header + damaged + encoded(last).dropLast(3)
        try expectRefused(bytes, "damaged, then torn", at: ScoreLogFormat.header.count)
    }

    @Test func moreUnreadableBytesThanOneRecordAreRefused() throws {
        let noise = [UInt8](repeating: 0x55, count: ScoreLogFormat.recordBytesMax + 1)
        try expectRefused(ScoreLogFormat.header + encoded(last) + noise, "noise at the end")
        try expectRefused(
            ScoreLogFormat.header + encoded(last) + [UInt8](repeating: 0, count: 400) + [1],
            "zeros with something after them")
    }

    @Test func noUidMakesATornRecordLookLikeDamageInTheMiddle() throws {
        // The inner record's first byte cannot be in a uid, so this is as near as one gets.
        let inner = encoded(ScoreRecord(uid: "x", score: 0x0101_0101_0101_0101)).dropFirst(2)
        let uid = String(decoding: inner, as: UTF8.self)
        for score in [Int64(-257), -2, 0x01FE_FF00, -1] {
            let bytes = encoded(ScoreRecord(uid: uid + uid, score: score))
            for length in 1..<bytes.count { try expectDropped(Array(bytes[..<length]), uid) }
        }
    }

    @Test func strangersAndOtherVersionsAreRefused() throws {
        try expectRefused(Array("not a score log at all".utf8), "text", .notAScoreLog)
        try expectRefused(Array("x".utf8), "short text", .notAScoreLog)
        var bytes = ScoreLogFormat.header
        bytes[8] = 2
        try expectRefused(bytes, "version 2", .unsupportedVersion)
        bytes[11] = 1
        try expectRefused(bytes + encoded(last), "version 16777218", .unsupportedVersion)
    }

    @Test func aFileThatEndsInsideItsHeaderIsStartedAgain() throws {
        for length in 0..<ScoreLogFormat.header.count {
            let folder = try ScoreLogFolder()
            folder.write(Array(ScoreLogFormat.header[..<length]))
            let (log, records, report) = try ScoreLog.open(folder: folder.path)
            #expect(records.isEmpty)
            #expect(report.tornTail?.bytes == (length == 0 ? nil : Int64(length)))
            try log.append([last])
            log.close()
            #expect(try ScoreLog.open(folder: folder.path).records == [last])
        }
    }

    @Test func aLeftoverOfACompactionIsRemoved() throws {
        let folder = try ScoreLogFolder()
        folder.writeLog(kept)
        folder.write(ScoreLogFormat.header + [0xFF, 0xFE], to: ScoreLog.temporaryFileName)
        let (_, records, report) = try ScoreLog.open(folder: folder.path)
        #expect(records == kept && report.removedLeftover && report.warning == nil)
        #expect(!folder.exists(ScoreLog.temporaryFileName))
    }

    @Test func recordsThatStraddleTheBufferAreRead() throws {
        let folder = try ScoreLogFolder()
        let records = (0..<600).map {
            ScoreRecord(uid: String(repeating: "u", count: 1 + $0 % 255) + "", score: Int64($0))
        }
        folder.writeLog(records)
        let file = try ScoreLogFile.open(folder.path + "/scores.log", 0)
        for bufferBytes in [ScoreLogFormat.recordBytesMax, 271, 1_000] {
            var reader = ScoreLogReader(
                file, fileBytes: try file.byteCount(), bufferBytes: bufferBytes)
            var found: [ScoreRecord] = []
            while case .record(let record) = try reader.next() { found.append(record) }
            #expect(found == records)
        }
    }
}
