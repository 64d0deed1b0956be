/// What went wrong in the leaderboard: a code to decide by, and a sentence for a person.
///
/// The sentence names the file, uid or limit at fault, so that it can be printed as it is.
public struct LeaderboardError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure that a caller may want to tell apart.
    public enum Code: String, Hashable, Sendable {
        /// Another process (or another log of this one) has the data folder open.
        case folderInUse
        /// The file does not begin as a score log does.
        case notAScoreLog
        /// The file is a score log of a format that this program does not read.
        case unsupportedVersion
        /// The log is damaged before its last record; nothing was changed.
        case corruptLog
        /// A system call on the data folder or one of its files failed.
        case fileFailed
        /// The log was closed, or an earlier failure left its contents on disk uncertain.
        case logUnusable
        /// The uid is empty or longer than ``ScoreRecord/uidBytesMax``.
        case invalidUID
        /// The connection has not named its player yet.
        case notLoggedIn
        /// Too many scores wait to be written.
        case busy
        /// The sum of two integers does not fit into 64 bits.
        case overflow
    }

    /// What kind of failure this is.
    public let code: Code
    /// What was wrong, with the name or the limit.
    public let message: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: The kind of failure.
    ///   - message: One sentence, without a trailing full stop.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message and, in brackets, the code.
    public var description: String { "\(message) [\(code.rawValue)]" }
}
