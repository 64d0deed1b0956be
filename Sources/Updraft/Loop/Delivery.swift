// Unsafe: `@unchecked Sendable`. The waiter is touched on the loop's thread only; the result is
// behind a mutex. If the loop is gone, the waiter may be freed by the thread that delivers: it
// holds nothing but a weak kind of reference to the loop.

internal import Synchronization

/// A result that another thread brings to a task that waits on a loop.
final class Delivery<R: Sendable>: @unchecked Sendable {
    private let executor: LoopExecutor
    private let waiter: Waiter
    private let result = Mutex<Result<R, any Error>?>(nil)

    /// For the calling task. Before anything is set going for it:
    ///
    /// - Throws: What `received` would throw at once, because the task may not wait any more.
    init(to loop: IOLoop) throws {
        if let error = TaskScope.current?.verdict { throw error }
        if Task.isCancelled { throw CancellationError() }
        executor = loop.executor
        waiter = Waiter(loop: loop)
    }

    /// Any thread, once.
    func send(_ result: Result<R, any Error>) {
        self.result.withLock { $0 = result }
        executor.postCallback { [self] _ in waiter.fire() }
    }

    /// Waits for the result, and returns or throws it. Once, on the loop's thread.
    ///
    /// - Throws: `CancellationError`, `TimeoutError`: the wait was ended; what is sent later is
    ///   dropped.
    nonisolated(nonsending) func received(for purpose: WaitPurpose) async throws -> R {
        try await waiter.wait(for: purpose)
        guard let result = result.withLock({ $0.take() }) else { throw CancellationError() }
        return try result.get()
    }
}
