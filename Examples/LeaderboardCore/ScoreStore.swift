public import Logging
public import Updraft

/// The scoreboard of a loop together with its file: a score counts once it is written.
///
/// The file is a ``ScoreLog`` on a thread of its own, so the loop never waits for the disk. Scores
/// that come in while a write is under way are written together by the next one, so that many
/// small writes become few. The board changes only after the write: nobody ever reads a rank that
/// a killed process would forget.
///
/// ```swift
/// let (store, report) = try await ScoreStore.open(folder: "leaderboard-data", loop: loop)
/// let rank = try await store.append(ScoreRecord(uid: "ada", score: 40)).rank
/// try await store.close()
/// ```
///
/// What is written survives the death of the process at once, and that of the machine after
/// ``close()`` or when the kernel has written it back by itself.
public final class ScoreStore {
    /// Bounds of a store.
    public struct Limits: Sendable {
        /// Records that may wait to be written; further ones are refused as `busy`.
        public var waitingMax = 16_384
        /// How long a failed compaction is not tried again.
        public var compactionPause = Duration.seconds(60)

        /// The defaults.
        public init() {}
    }

    /// The scores that are written.
    public let board: Scoreboard

    /// Called for every score when it is written and on the board, in the order of the
    /// ``append(_:)`` calls, also for those whose caller was cancelled meanwhile.
    public var onWritten: (ScoreRecord, Scoreboard.Submission) -> Void = { _, _ in }

    /// Says when writing fails, when it works again, and what a compaction fails with.
    public var logger = Logger(label: "leaderboard.store")

    /// Records that are not written yet.
    public private(set) var waitingCount = 0

    private let loop: IOLoop
    private let limits: Limits
    private let log: ScoreLogOwner
    /// One thread, which owns the log.
    private let pool: BlockingPool

    /// Takes records; its write has not begun.
    private var collecting: Batch?
    /// The batch that was made last, written or not.
    private var last: Batch?
    private var isClosed = false
    private var isFailing = false
    private var compaction = Compaction.idle

    private enum Compaction {
        case idle
        case running(LoopFuture<Void>)
        case failed(retry: LoopInstant)
    }

    /// Records that are written together.
    private final class Batch {
        var records: [ScoreRecord] = []
        /// What became of the records, once they are written.
        var submissions: [Scoreboard.Submission] = []
        var end: LoopFuture<Void>?
    }

    init(
        log: ScoreLogOwner, records: [ScoreRecord], pool: BlockingPool, loop: IOLoop,
        limits: Limits = Limits()
    ) {
        self.log = log
        board = Scoreboard(records: records)
        self.pool = pool
        self.loop = loop
        self.limits = limits
    }

    /// Opens the store of a data folder, creating it if need be.
    ///
    /// - Parameters:
    ///   - folder: A path. Missing folders above it are created too.
    ///   - compaction: When the file is rewritten.
    ///   - loop: The calling thread's loop, on which the store is used.
    /// - Returns: The store and what was found in the folder.
    /// - Throws: As ``ScoreLog/open(folder:compaction:)``; `SystemError` without a thread to spare.
    public static nonisolated(nonsending) func open(
        folder: String, compaction: ScoreLogCompactionPolicy = .init(), limits: Limits = Limits(),
        loop: IOLoop
    ) async throws -> (store: ScoreStore, report: ScoreLogReport) {
        let pool = try BlockingPool(name: "scores", size: 1)
        let (owner, records, report) = try await loop.runInExecutor(pool) {
            let (log, records, report) = try ScoreLog.open(folder: folder, compaction: compaction)
            return (ScoreLogOwner(log), records, report)
        }
        let store = ScoreStore(
            log: owner, records: records, pool: pool, loop: loop, limits: limits)
        let playerCount = store.board.count
        if try await loop.runInExecutor(pool, { owner.shouldCompact(playerCount: playerCount) }) {
            store.startCompaction()
        }
        return (store, report)
    }

    deinit {
        pool.close()
    }

    /// Writes a score, then puts it on the board.
    ///
    /// If the calling task is cancelled the call ends at once, but the score is not taken back.
    ///
    /// - Returns: What the score did, as of the moment when it was written.
    /// - Throws: ``LeaderboardError`` with code `invalidUID`; `busy` if ``Limits/waitingMax``
    ///   records wait already; `logUnusable` after ``close()``; what ``ScoreLog/append(_:)``
    ///   throws, and then nothing was kept of it; `CancellationError`; `TimeoutError`.
    @discardableResult
    public nonisolated(nonsending) func append(
        _ record: ScoreRecord
    ) async throws -> Scoreboard.Submission {
        try ScoreRecord.validate(uid: record.uid)
        guard !isClosed else {
            throw LeaderboardError(.logUnusable, "the score store is closed")
        }
        guard waitingCount < limits.waitingMax else {
            throw LeaderboardError(
                .busy, "busy: \(limits.waitingMax) scores wait to be written already")
        }
        let batch = collecting ?? makeBatch()
        let index = batch.records.count
        batch.records.append(record)
        waitingCount += 1
        try await batch.end?.value
        return batch.submissions[index]
    }

    /// Writes what waits, syncs the file, closes it and lets go of the folder. Further scores are
    /// refused from the start of the call; calling it again does nothing.
    ///
    /// - Throws: ``LeaderboardError`` if the sync fails; the file is closed all the same.
    ///   `TimeoutError` or `CancellationError` if the disk takes longer than the caller may wait.
    public nonisolated(nonsending) func close() async throws {
        guard !isClosed else { return }
        isClosed = true
        defer { pool.close() }
        // Who waits for these has been told how they ended.
        _ = try? await last?.end?.value
        if case .running(let end) = compaction { try await end.value }
        let log = log
        try await loop.runInExecutor(pool) { try log.close() }
    }

    // MARK: Writing

    /// A batch whose write begins when that of the batch before has ended.
    private func makeBatch() -> Batch {
        let batch = Batch()
        let previous = last
        batch.end = loop.async { [self] in
            // How the batch before ended concerns those who wait for it.
            _ = try? await previous?.end?.value
            collecting = nil
            defer { waitingCount -= batch.records.count }
            try await write(batch)
        }
        collecting = batch
        last = batch
        return batch
    }

    private nonisolated(nonsending) func write(_ batch: Batch) async throws {
        let (log, records) = (log, batch.records)
        // As if every record were of a new player: a compaction may come a batch late, but never
        // for nothing.
        let playerCount = board.count + records.count
        let isDue: Bool
        do {
            isDue = try await loop.runInExecutor(pool) {
                try log.append(records, playerCount: playerCount)
            }
        } catch {
            reportFailure(error)
            throw error
        }
        if isFailing {
            isFailing = false
            logger.notice("scores can be written again")
        }
        for record in records {
            let submission = board.submit(uid: record.uid, score: record.score)
            batch.submissions.append(submission)
            onWritten(record, submission)
        }
        if isDue { startCompaction() }
    }

    /// Once until it works again: a full disk fails every write.
    private func reportFailure(_ error: any Error) {
        guard !isFailing else { return }
        isFailing = true
        logger.error("scores cannot be written: \(error)")
    }

    /// Rewrites the file on its thread; writes wait behind it in the pool's queue.
    private func startCompaction() {
        switch compaction {
        case .running: return
        case .failed(let retry) where loop.now < retry: return
        case .failed, .idle: compaction = .running(loop.async { [self] in await compact() })
        }
    }

    private nonisolated(nonsending) func compact() async {
        let log = log
        do {
            try await loop.runInExecutor(pool) { try log.compact() }
            compaction = .idle
        } catch {
            compaction = .failed(retry: loop.now.advanced(by: limits.compactionPause))
            logger.warning("the score log was not compacted: \(error)")
        }
    }
}
