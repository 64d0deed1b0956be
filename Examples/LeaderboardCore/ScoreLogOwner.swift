// Unsafe: `@unchecked Sendable`. The log is made and used only by the jobs of a pool that has one
// thread, so one job at a time owns it; a `ScoreStore` hands it from job to job and never looks
// inside. A job that its caller no longer waits for still ends before the next one begins.

internal import Updraft

/// A score log on the thread of a pool; see ``ScoreStore``.
final class ScoreLogOwner: @unchecked Sendable {
    private let log: ScoreLog

    init(_ log: ScoreLog) {
        self.log = log
    }

    /// Appends records, all or none.
    ///
    /// - Returns: Whether the file should be compacted.
    func append(_ records: [ScoreRecord], playerCount: Int) throws -> Bool {
        try log.append(records)
        return log.shouldCompact(playerCount: playerCount)
    }

    func shouldCompact(playerCount: Int) -> Bool {
        log.shouldCompact(playerCount: playerCount)
    }

    func compact() throws {
        try log.compact()
    }

    /// Syncs and closes; closes even if it throws.
    func close() throws {
        defer { log.close() }
        try log.sync()
    }
}
