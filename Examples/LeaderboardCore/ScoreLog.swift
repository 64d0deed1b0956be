/// The leaderboard's storage: an append-only file of scores, read once at start.
///
/// Every method blocks on the disk. The log is **not thread-safe**: one worker at a time may own
/// it, and it must not be used on a loop's thread.
///
/// ```swift
/// let (log, records, report) = try ScoreLog.open(folder: "leaderboard-data")
/// if let warning = report.warning { print(warning) }
/// let board = Scoreboard(records: records)
/// try log.append([ScoreRecord(uid: "ada", score: 40)])
/// ```
///
/// What ``append(_:)`` has written survives the death of the process, and after ``sync()`` also
/// that of the machine.
public final class ScoreLog {
    /// The name of the log's file in the data folder.
    public static let fileName = "scores.log"
    /// The name of the file whose lock keeps other processes out; it stays when the log closes.
    public static let lockFileName = "scores.lock"
    /// The name of the file that a compaction writes before it takes the log's place.
    public static let temporaryFileName = "scores.log.tmp"

    /// A larger buffer is not kept for the next batch.
    private static let batchBytesKept = 1 << 20

    enum State {
        case ready(ScoreLogFile)
        /// A failed write left bytes behind the last record; they must go before the next write.
        case untrimmed(ScoreLogFile)
        /// A sync failed: what the disk holds is uncertain, and later syncs would not tell.
        case failed(reason: String)
        case closed
    }

    /// The data folder.
    public let folder: String
    /// How many records the file holds.
    public internal(set) var recordCount: Int
    /// The length of the file.
    public internal(set) var fileBytes: Int64

    let system: ScoreLogSystem
    let policy: ScoreLogCompactionPolicy
    var state: State
    /// Held for the sake of its lock; nil once the log is closed.
    private var lock: ScoreLogFile?
    private var batch: [UInt8] = []

    init(
        folder: String, lock: ScoreLogFile, file: ScoreLogFile, recordCount: Int,
        fileBytes: Int64, policy: ScoreLogCompactionPolicy, system: ScoreLogSystem
    ) {
        self.folder = folder
        self.lock = lock
        self.state = .ready(file)
        self.recordCount = recordCount
        self.fileBytes = fileBytes
        self.policy = policy
        self.system = system
    }

    /// Appends records, all or none.
    ///
    /// When it returns, the kernel has them. When it throws, what was written of them is cut off
    /// again, at the latest by the next append, which may succeed.
    ///
    /// - Throws: ``LeaderboardError`` with code `invalidUID` (before anything is written),
    ///   `fileFailed` (as when the disk is full) or `logUnusable`.
    public func append(_ records: some Sequence<ScoreRecord>) throws {
        batch.removeAll(keepingCapacity: batch.capacity <= Self.batchBytesKept)
        var count = 0
        for record in records {
            try ScoreRecord.validate(uid: record.uid)
            ScoreLogFormat.encode(record, into: &batch)
            count += 1
        }
        let file = try trimmedFile()
        do {
            try batch.withUnsafeBytes { try system.writeAll($0, to: file, at: fileBytes) }
        } catch {
            state = .untrimmed(file)
            // If the file cannot be cut now, the next append tries again. A restart before that
            // keeps the whole records among the bytes and cuts off the rest.
            _ = try? trimmedFile()
            throw error
        }
        fileBytes += Int64(batch.count)
        recordCount += count
    }

    /// Waits until everything appended is on the disk.
    ///
    /// - Throws: ``LeaderboardError`` with code `fileFailed` or `logUnusable`. After a failure
    ///   the log takes nothing more, unless ``compact(_:)`` writes it anew: the kernel may have
    ///   dropped the data that it could not write, and says so only once.
    public func sync() throws {
        let file = try usableFile()
        do {
            try system.synchronizeFile(file)
        } catch {
            state = .failed(reason: "\(error)")
            throw error
        }
    }

    /// Closes the file and lets go of the folder; the log cannot be used after it. Does not sync.
    ///
    /// Closing twice does nothing. A log that is let go of closes itself.
    public func close() {
        state = .closed
        lock = nil
    }

    /// The file, whatever may lie behind its last record.
    func usableFile() throws -> ScoreLogFile {
        switch state {
        case .ready(let file), .untrimmed(let file):
            return file
        case .failed(let reason):
            throw LeaderboardError(
                .logUnusable, "the score log in \(folder) takes no more records since: \(reason)")
        case .closed:
            throw LeaderboardError(.logUnusable, "the score log in \(folder) is closed")
        }
    }

    /// The file, with nothing behind its last record.
    private func trimmedFile() throws -> ScoreLogFile {
        let file = try usableFile()
        if case .untrimmed = state {
            try system.truncateFile(file, to: fileBytes)
            state = .ready(file)
        }
        return file
    }
}
