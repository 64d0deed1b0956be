/// One stored score: what the log keeps and gives back.
public struct ScoreRecord: Hashable, Sendable {
    /// The longest uid, in bytes of UTF-8.
    public static let uidBytesMax = 255

    /// The player.
    public let uid: String
    /// The score that the player reached.
    public let score: Int64

    /// Creates a record. The log checks the uid when it writes it.
    public init(uid: String, score: Int64) {
        self.uid = uid
        self.score = score
    }

    /// Refuses a uid that cannot be stored.
    ///
    /// - Throws: ``LeaderboardError`` with code `invalidUID` if it is empty or longer than
    ///   ``uidBytesMax`` bytes of UTF-8.
    public static func validate(uid: String) throws {
        let bytes = uid.utf8.count
        guard bytes > 0 else { throw LeaderboardError(.invalidUID, "the uid is empty") }
        guard bytes <= uidBytesMax else {
            throw LeaderboardError(
                .invalidUID, "the uid has \(bytes) bytes; the limit is \(uidBytesMax)")
        }
    }
}
