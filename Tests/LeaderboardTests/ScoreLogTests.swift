import Glibc
import Testing

@testable import LeaderboardCore

@Suite struct ScoreLogTests {
    @Test func whatWasAppendedIsReadAgain() throws {
        let folder = try ScoreLogFolder()
        let records = [
            ScoreRecord(uid: "ada", score: 1), ScoreRecord(uid: "bøb 🎲", score: .min),
            ScoreRecord(uid: String(repeating: "x", count: 255), score: .max),
        ]
        let (log, found, report) = try ScoreLog.open(folder: folder.path)
        #expect(found.isEmpty && report.recordCount == 0 && report.warning == nil)
        try log.append(records[..<1])
        try log.append(records[1...])
        try log.append([])
        try log.sync()
        #expect(log.fileBytes == folder.logBytes().count)
        log.close()

        let again = try ScoreLog.open(folder: folder.path)
        #expect(again.records == records)
        #expect(again.report.recordCount == 3 && again.report.playerCount == 3)
        #expect(again.report.tornTail == nil && again.log.fileBytes == log.fileBytes)
    }

    @Test func readingKeepsTheBestOfEachPlayerInTheOrderItWasReached() throws {
        let folder = try ScoreLogFolder()
        let (log, _, _) = try ScoreLog.open(folder: folder.path)
        try log.append([
            ScoreRecord(uid: "ada", score: 5), ScoreRecord(uid: "bob", score: 9),
            ScoreRecord(uid: "ada", score: 9), ScoreRecord(uid: "bob", score: 9),
            ScoreRecord(uid: "ada", score: 2),
        ])
        log.close()
        let (_, records, report) = try ScoreLog.open(folder: folder.path)
        #expect(
            records == [ScoreRecord(uid: "bob", score: 9), ScoreRecord(uid: "ada", score: 9)])
        #expect(report.recordCount == 5 && report.playerCount == 2)
    }

    @Test func missingFoldersAreCreated() throws {
        let folder = try ScoreLogFolder()
        let nested = folder.path + "/a/b/"
        try ScoreLog.open(folder: nested).log.append([ScoreRecord(uid: "ada", score: 1)])
        #expect(try ScoreLog.open(folder: nested).records.count == 1)
    }

    @Test func aFolderThatCannotBeCreatedIsNamed() throws {
        let folder = try ScoreLogFolder()
        folder.write([1], to: "file")
        let error = #expect(throws: LeaderboardError.self) {
            try ScoreLog.open(folder: folder.path + "/file/data")
        }
        #expect(error?.code == .fileFailed)
        #expect(error?.message.contains("/file/data: Not a directory") == true)
        #expect(throws: LeaderboardError.self) { try ScoreLog.open(folder: "") }
    }

    @Test func aFolderInUseIsRefusedUntilItIsClosed() throws {
        let folder = try ScoreLogFolder()
        let (log, _, _) = try ScoreLog.open(folder: folder.path)
        let error = #expect(throws: LeaderboardError.self) {
            try ScoreLog.open(folder: folder.path)
        }
        #expect(error?.code == .folderInUse)
        #expect(error?.message.contains(folder.path) == true)
        log.close()
        _ = try ScoreLog.open(folder: folder.path)
    }

    @Test func uidsThatCannotBeStoredAreRefusedAndNothingIsWritten() throws {
        let folder = try ScoreLogFolder()
        let (log, _, _) = try ScoreLog.open(folder: folder.path)
        let before = folder.logBytes()
        for uid in ["", String(repeating: "x", count: 256), String(repeating: "é", count: 128)] {
            let error = #expect(throws: LeaderboardError.self) {
                try log.append([
                    ScoreRecord(uid: "good", score: 1), ScoreRecord(uid: uid, score: 1),
                ])
            }
            #expect(error?.code == .invalidUID)
        }
        #expect(folder.logBytes() == before && log.recordCount == 0)
    }

    @Test func aClosedLogTakesNothing() throws {
        let folder = try ScoreLogFolder()
        let (log, _, _) = try ScoreLog.open(folder: folder.path)
        log.close()
        log.close()
        for use in [
            { try log.append([ScoreRecord(uid: "ada", score: 1)]) }, { try log.sync() },
            { try log.compact() }, { try log.compact([]) },
        ] {
            let error = #expect(throws: LeaderboardError.self) { try use() }
            #expect(error?.code == .logUnusable)
        }
    }

    @Test func descriptorsAreClosedOnExec() throws {
        let folder = try ScoreLogFolder()
        let (log, _, _) = try ScoreLog.open(folder: folder.path)
        let file = try log.usableFile()
        #expect(fcntl(file.descriptor, F_GETFD) & FD_CLOEXEC != 0)
    }

    @Test func theChecksumIsTheOneThatIsCalledCRC32() {
        let checksum = Array("123456789".utf8).withUnsafeBytes { CRC32.checksum($0) }
        #expect(checksum == 0xCBF4_3926)
    }
}

/// A folder of its own for one test, removed with everything in it.
final class ScoreLogFolder {
    let path: String

    init() throws {
        let base = getenv("TMPDIR").map { String(cString: $0) } ?? "/tmp"
        var template = Array("\(base)/updraft-scores-XXXXXX".utf8CString)
        let made = template.withUnsafeMutableBufferPointer { mkdtemp($0.baseAddress!) }
        path = String(cString: try #require(made))
    }

    deinit { Self.removeTree(path) }

    private static func removeTree(_ path: String) {
        guard unlink(path) != 0, let folder = opendir(path) else { return }
        while let entry = readdir(folder) {
            let name = withUnsafePointer(to: &entry.pointee.d_name) {
                $0.withMemoryRebound(to: CChar.self, capacity: 256) { String(cString: $0) }
            }
            if name != ".", name != ".." { removeTree("\(path)/\(name)") }
        }
        closedir(folder)
        rmdir(path)
    }

    func exists(_ name: String) -> Bool { access("\(path)/\(name)", F_OK) == 0 }

    func write(_ bytes: [UInt8], to name: String = ScoreLog.fileName) {
        let file = fopen("\(path)/\(name)", "w")!
        #expect(fwrite(bytes, 1, bytes.count, file) == bytes.count)
        fclose(file)
    }

    func logBytes() -> [UInt8] {
        let file = fopen("\(path)/\(ScoreLog.fileName)", "r")!
        defer { fclose(file) }
        fseek(file, 0, SEEK_END)
        var bytes = [UInt8](repeating: 0, count: ftell(file))
        rewind(file)
        #expect(fread(&bytes, 1, bytes.count, file) == bytes.count)
        return bytes
    }

    /// A log with these records, written without the class under test.
    func writeLog(_ records: [ScoreRecord], then tail: [UInt8] = []) {
        var bytes = ScoreLogFormat.header
        for record in records { ScoreLogFormat.encode(record, into: &bytes) }
        write(bytes + tail)
    }
}
