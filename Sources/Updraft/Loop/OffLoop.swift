extension IOLoop {
    /// Runs an async closure on Swift's own threads and comes back to the loop with its result.
    ///
    /// ```swift
    /// let thumbnail = try await loop.offLoop { await render(image) }
    /// ```
    ///
    /// For async code that computes for long, or that must not run on a loop. A function that says
    /// `@concurrent` is not enough: a loop's tasks carry the loop as their preference, which
    /// `@concurrent` functions follow, so when they are called from the loop they run on it and
    /// block it. Inside `offLoop` there is no such preference.
    ///
    /// The loop goes on meanwhile. The closure has the caller's task-locals. If the calling task is
    /// cancelled, or a `withTimeout` around the call expires, the closure's task is cancelled and
    /// the call ends at once, without waiting for the closure.
    ///
    /// Swift has one thread per processor for all async code of the process, so what blocks in
    /// system calls belongs into `runInExecutor`.
    ///
    /// - Parameter body: Streams, the loop and what else belongs to a loop are not Sendable, so it
    ///   can't touch them.
    /// - Throws: What the body throws; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func offLoop<R: Sendable>(
        _ body: @concurrent @escaping @Sendable () async throws -> R
    ) async throws -> R {
        checkThread("IOLoop.offLoop")
        let delivery = try Delivery<R>(to: self)
        // Not a child: children inherit the preference for the loop.
        let task = Task<Void, Never> {
            do {
                delivery.send(.success(try await body()))
            } catch {
                delivery.send(.failure(error))
            }
        }
        do {
            return try await delivery.received(for: .offLoop)
        } catch {
            task.cancel()
            throw error
        }
    }
}
