/// When to log what may happen very often: only if it has not happened for a while.
struct LogEpisode {
    private var last: LoopInstant?
    private var count: UInt64 = 0

    /// It has happened.
    ///
    /// - Parameter quiet: The while.
    /// - Returns: How often it has happened since it was logged last, if it is to be logged now.
    mutating func note(at now: LoopInstant, quiet: Duration) -> UInt64? {
        let isNew = last.map { $0.advanced(by: quiet) < now } ?? true
        last = now
        count += 1
        guard isNew else { return nil }
        defer { count = 0 }
        return count
    }
}
