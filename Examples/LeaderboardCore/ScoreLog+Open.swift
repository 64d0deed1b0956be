#if canImport(Glibc)
    import Glibc
#endif

extension ScoreLog {
    /// What ``open(folder:compaction:)`` returns: the log, the best record of every player in the
    /// order in which they were written, and what was found.
    public typealias Opened = (log: ScoreLog, records: [ScoreRecord], report: ScoreLogReport)

    /// Opens the log of a data folder, creating both if need be, and reads it.
    ///
    /// A last record that is incomplete or damaged, as a process leaves it that is killed while
    /// it writes, is cut off and reported. Any other damage is an error, and then no file is
    /// changed.
    ///
    /// - Parameters:
    ///   - folder: A path. Missing folders above it are created too.
    ///   - compaction: When ``shouldCompact(playerCount:)`` answers true.
    /// - Throws: ``LeaderboardError`` with code `folderInUse`, `notAScoreLog`,
    ///   `unsupportedVersion`, `corruptLog` or `fileFailed`.
    public static func open(
        folder: String, compaction: ScoreLogCompactionPolicy = .init()
    ) throws -> Opened {
        try open(folder: folder, compaction: compaction, system: ScoreLogSystem())
    }

    static func open(
        folder: String, compaction: ScoreLogCompactionPolicy = .init(), system: ScoreLogSystem
    ) throws -> Opened {
        try ScoreLogFile.createFolder(folder)
        let lock = try ScoreLogFile.open("\(folder)/\(lockFileName)", O_RDWR | O_CREAT)
        guard try lock.tryLock() else {
            throw LeaderboardError(
                .folderInUse, "the data folder \(folder) is in use by another process")
        }
        let contents = try Contents(of: "\(folder)/\(fileName)", in: folder, system)
        // Only now: if the log cannot be read, everything stays for somebody to look at.
        let removedLeftover = try ScoreLogFile.remove("\(folder)/\(temporaryFileName)")

        let records = contents.replay.records()
        let log = ScoreLog(
            folder: folder, lock: lock, file: contents.file,
            recordCount: contents.replay.recordCount, fileBytes: contents.fileBytes,
            policy: compaction, system: system)
        let report = ScoreLogReport(
            path: contents.file.path, recordCount: log.recordCount, playerCount: records.count,
            tornTail: contents.tornTail, removedLeftover: removedLeftover)
        return (log, records, report)
    }

    /// A log's file as it was found, less a torn tail.
    private struct Contents {
        var file: ScoreLogFile
        var fileBytes: Int64
        var replay = ScoreLogReplay()
        var tornTail: ScoreLogReport.TornTail?

        init(of path: String, in folder: String, _ system: ScoreLogSystem) throws {
            guard let found = try ScoreLogFile.openIfPresent(path, O_RDWR) else {
                (file, fileBytes) = try Self.empty(in: folder, system)
                return
            }
            let foundBytes = try found.byteCount()
            guard try ScoreLogReader.checkHeader(of: found) else {
                // It ends before its first record, so there is nothing in it to keep.
                (file, fileBytes) = try Self.empty(in: folder, system)
                if foundBytes > 0 { tornTail = .init(offset: 0, bytes: foundBytes) }
                return
            }
            file = found
            fileBytes = foundBytes
            let end = try replay.takeAll(of: found, fileBytes: foundBytes)
            guard end < foundBytes else { return }
            try system.truncateFile(found, to: end)
            fileBytes = end
            tornTail = .init(offset: end, bytes: foundBytes - end)
        }

        private static func empty(
            in folder: String, _ system: ScoreLogSystem
        ) throws -> (ScoreLogFile, Int64) {
            let (file, bytes) = try ScoreLog.replaceFile(in: folder, with: [], system)
            try system.synchronizeFolder(folder)
            return (file, bytes)
        }
    }
}
