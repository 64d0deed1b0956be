#if canImport(Glibc)
    import Glibc
#endif

extension ScoreLog {
    /// How much of a new file is collected for one write.
    private static let writeBufferBytes = 256 * 1024

    /// Whether the file has grown so far beyond what it must hold that rewriting it pays.
    ///
    /// - Parameter playerCount: How many players there are.
    public func shouldCompact(playerCount: Int) -> Bool {
        fileBytes > policy.fileBytesMin
            && recordCount > playerCount * policy.recordsPerPlayerMax
    }

    /// Rewrites the file so that it holds the best record of every player and no other.
    ///
    /// Reads the file again, so that nobody else has to hand over what it contains; for the time
    /// of the call it needs memory for one record per player.
    ///
    /// - Throws: As ``compact(_:)``, and `corruptLog` if the file was damaged meanwhile.
    public func compact() throws {
        var replay = ScoreLogReplay()
        let file = try usableFile()
        let end = try replay.takeAll(of: file, fileBytes: fileBytes)
        guard end == fileBytes else {
            throw LeaderboardError(.corruptLog, "\(file.path) is damaged at byte \(end)")
        }
        try compact(replay.records())
    }

    /// Replaces the file's contents.
    ///
    /// The new file is complete and on the disk before it takes the old one's name, so a crash at
    /// any moment leaves one or the other. When it throws before that, the old file stays in use.
    ///
    /// - Parameter snapshot: What the file shall hold, with equal scores in the order in which
    ///   they were reached, as ``Scoreboard/snapshot()`` has them. It must cover **every** record
    ///   that was appended before this call: what is not in it is lost.
    /// - Throws: ``LeaderboardError`` with code `invalidUID`, `fileFailed` or `logUnusable` (if
    ///   the log is closed; a failed sync is healed by this).
    public func compact(_ snapshot: [ScoreRecord]) throws {
        if case .closed = state { _ = try usableFile() }
        let replacement = try Self.replaceFile(in: folder, with: snapshot, system)
        state = .ready(replacement.file)
        fileBytes = replacement.bytes
        recordCount = snapshot.count
        do {
            try system.synchronizeFolder(folder)
        } catch {
            // Until the rename is on the disk, a power failure may bring the old file back,
            // without what would be appended to the new one.
            state = .failed(reason: "\(error)")
            throw error
        }
    }

    /// Writes a new file and gives it the log's name, which lasts when the folder is synced.
    ///
    /// - Returns: The new file and its length.
    static func replaceFile(
        in folder: String, with records: [ScoreRecord], _ system: ScoreLogSystem
    ) throws -> (file: ScoreLogFile, bytes: Int64) {
        let temporary = "\(folder)/\(temporaryFileName)"
        let path = "\(folder)/\(fileName)"
        do {
            let file = try ScoreLogFile.open(temporary, O_RDWR | O_CREAT | O_TRUNC)
            let bytes = try write(records, to: file, system)
            try system.synchronizeFile(file)
            guard system.rename(temporary, path) == 0 else {
                throw LeaderboardError.file("rename to \(fileName)", temporary, error: errno)
            }
            file.path = path
            return (file, bytes)
        } catch {
            // What remains of it costs room only: the next opening removes it.
            _ = try? ScoreLogFile.remove(temporary)
            throw error
        }
    }

    private static func write(
        _ records: [ScoreRecord], to file: ScoreLogFile, _ system: ScoreLogSystem
    ) throws -> Int64 {
        var buffer = ScoreLogFormat.header
        var bytes: Int64 = 0
        func flush() throws {
            try buffer.withUnsafeBytes { try system.writeAll($0, to: file, at: bytes) }
            bytes += Int64(buffer.count)
            buffer.removeAll(keepingCapacity: true)
        }
        for record in records {
            try ScoreRecord.validate(uid: record.uid)
            ScoreLogFormat.encode(record, into: &buffer)
            if buffer.count >= writeBufferBytes { try flush() }
        }
        try flush()
        return bytes
    }
}
