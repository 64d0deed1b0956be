/// What went wrong with a lock or a queue.
public struct SyncError: Error, Sendable, CustomStringConvertible {
    /// Kinds of errors of locks and queues.
    public enum Code: Sendable {
        /// `release` of a lock that is not locked.
        case notLocked
        /// `release` of a lock that a `withLock` holds, which releases it itself.
        case heldByScope
        /// A task inside `withLock` asks for the same lock again: it would wait for itself.
        case wouldDeadlock
        /// More releases of a `BoundedSemaphore` than it had permits taken.
        case releasedTooOften
        /// `putNowait` on a queue that is full.
        case full
        /// `getNowait` on a queue that is empty.
        case empty
        /// The queue was finished: nothing more can be put, or nothing is left to get.
        case finished
        /// More calls of `taskDone` than items put.
        case doneTooOften
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The sentence.
    public var description: String { message }
}
