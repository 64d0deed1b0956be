/// The pool that a loop's blocking work runs on if the caller names none.
enum DefaultPool {
    /// Made when it is first needed.
    case unmade
    /// Made by the loop, which closes it.
    case own(BlockingPool)
    /// Given to the loop, which leaves it open.
    case given(BlockingPool)

    /// Ends it if it is the loop's own.
    func close() {
        if case .own(let pool) = self { pool.close() }
    }
}

// Blocking work: contract rows S1-S5, and the conformance behaviours 33-35 of 3.1.
extension IOLoop {
    /// Runs blocking work on a pool of threads and comes back to the loop with its result (S2).
    ///
    /// ```swift
    /// let text = try await loop.runInExecutor { try readWholeFile(path) }
    /// ```
    ///
    /// The loop goes on meanwhile. What the work throws is thrown here, on the loop, so that a
    /// server's handler answers with it as with any other error (S4). If the calling task is
    /// cancelled, or a `withTimeout` around the call expires, the call ends at once; work that has
    /// not begun then never runs, and work that has goes on and its result is dropped.
    ///
    /// For async work see `offLoop`.
    ///
    /// - Parameters:
    ///   - pool: `defaultPool` if it is nil.
    ///   - work: What blocks. Streams, the loop and what else belongs to a loop are not Sendable,
    ///     so it can't touch them.
    /// - Throws: What the work throws; `LoopError` with `.full` if the pool is full and does not
    ///   let callers wait, with `.closed` if it is closed; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func runInExecutor<R: Sendable>(
        _ pool: BlockingPool? = nil, _ work: @escaping @Sendable () throws -> R
    ) async throws -> R {
        checkThread("IOLoop.runInExecutor")
        let pool = try pool ?? defaultPool
        let delivery = try Delivery<R>(to: self)
        let job = BlockingJob(
            run: {
                let result = Result { try work() }
                return { delivery.send(result) }
            }, refuse: { delivery.send(.failure($0)) })
        let ticket = try pool.add(job, mayWait: pool.whenFull == .wait)
        do {
            return try await delivery.received(for: .blockingWork)
        } catch {
            pool.withdraw(ticket)
            throw error
        }
    }

    /// Where `runInExecutor` runs work if it is given no pool.
    ///
    /// By default the loop makes a pool of 4 threads when it is first needed, with a queue of 1024
    /// that fails when it is full, and closes it when it is closed itself; `setDefaultExecutor`
    /// replaces it.
    ///
    /// - Throws: `SystemError` if the system is out of memory when it is first needed.
    public var defaultPool: BlockingPool {
        get throws {
            checkThread("IOLoop.defaultPool")
            switch defaultPoolState {
            case .own(let pool), .given(let pool):
                return pool
            case .unmade:
                let pool = try BlockingPool()
                defaultPoolState = .own(pool)
                return pool
            }
        }
    }

    /// Replaces the pool that `runInExecutor` uses. Several loops may share one. You close it; the
    /// loop does not.
    ///
    /// What was queued on the pool before goes on there.
    public func setDefaultExecutor(_ pool: BlockingPool) {
        checkThread("IOLoop.setDefaultExecutor")
        let previous = defaultPoolState
        defaultPoolState = .given(pool)
        previous.close()
    }
}
