/// What opening a log found.
public struct ScoreLogReport: Hashable, Sendable {
    /// A last record that was incomplete or damaged, and was cut off.
    public struct TornTail: Hashable, Sendable {
        /// Where in the file it began, in bytes: the file's length now.
        public let offset: Int64
        /// How many bytes were cut off.
        public let bytes: Int64
    }

    /// The log's file.
    public let path: String
    /// How many whole records the file holds.
    public let recordCount: Int
    /// How many players they belong to.
    public let playerCount: Int
    /// What was cut off the end; nil if the file was whole.
    public let tornTail: TornTail?
    /// Whether a compaction that never finished had left its file, which was removed.
    public let removedLeftover: Bool

    /// One line for the server's log; nil if the file was whole.
    public var warning: String? {
        tornTail.map {
            "\(path): dropped a torn last record, \($0.bytes) bytes at byte \($0.offset); "
                + "kept the \(recordCount) records before it"
        }
    }
}

/// When a log has become worth rewriting.
public struct ScoreLogCompactionPolicy: Hashable, Sendable {
    /// More than so many records per player are too many.
    public var recordsPerPlayerMax: Int
    /// A file that is not longer than this, in bytes, stays as it is.
    public var fileBytesMin: Int64

    /// Creates a policy.
    ///
    /// - Parameters:
    ///   - recordsPerPlayerMax: By default 4.
    ///   - fileBytesMin: By default 1 MiB.
    public init(recordsPerPlayerMax: Int = 4, fileBytesMin: Int64 = 1 << 20) {
        self.recordsPerPlayerMax = recordsPerPlayerMax
        self.fileBytesMin = fileBytesMin
    }
}
