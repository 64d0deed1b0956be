/// A piece of work for a thread of a pool.
struct BlockingJob: Sendable {
    /// Blocks. What it returns is called by the same thread when its place in the pool is free
    /// again, so that whoever is told of the end finds room.
    let run: @Sendable () -> (@Sendable () -> Void)?

    /// Called in place of `run` if the pool is closed before it had room for the job.
    let refuse: @Sendable (LoopError) -> Void
}

/// Jobs in the order in which they came, of which any can be taken back.
struct JobQueue {
    /// Tickets of jobs, and of some that were taken back.
    private(set) var order = RingBuffer<UInt64>(capacity: 16)
    private var jobs: [UInt64: BlockingJob] = [:]

    var count: Int { jobs.count }

    mutating func append(_ job: BlockingJob, _ ticket: UInt64) {
        order.append(ticket)
        jobs[ticket] = job
    }

    mutating func popFirst() -> (ticket: UInt64, job: BlockingJob)? {
        while let ticket = order.popFirst() {
            if let job = jobs.removeValue(forKey: ticket) { return (ticket, job) }
        }
        return nil
    }

    /// - Returns: The job, or nil if it is not in the queue (any more).
    mutating func remove(_ ticket: UInt64) -> BlockingJob? {
        guard let job = jobs.removeValue(forKey: ticket) else { return nil }
        // Callers that give up again and again while every thread is stuck must not leave their
        // tickets behind for ever.
        if order.count > 2 * jobs.count + 64 { dropTicketsWithoutJobs() }
        return job
    }

    private mutating func dropTicketsWithoutJobs() {
        var kept = RingBuffer<UInt64>(capacity: 16)
        while let ticket = order.popFirst() {
            if jobs[ticket] != nil { kept.append(ticket) }
        }
        order = kept
    }
}
