// Unsafe: `@unchecked Sendable`. The wait of a future is made and changed on its loop's thread; the
// task that carries it runs there only.

/// A callback that waits for a task's end.
protocol FutureWait: AnyObject {
    /// Forgets the callback: the loop is closed.
    func drop()
}

private final class TaskWait<Success: Sendable, Failure: Error>: FutureWait, @unchecked Sendable {
    private unowned let loop: IOLoop
    private var callback: ((Result<Success, Failure>) throws -> Void)?
    private var context: CallbackContext?

    init(
        _ loop: IOLoop, _ context: CallbackContext?,
        _ callback: @escaping (Result<Success, Failure>) throws -> Void
    ) {
        self.loop = loop
        self.context = context
        self.callback = callback
    }

    func drop() {
        callback = nil
        context = nil
    }

    func ended(_ result: Result<Success, Failure>) {
        guard let callback else { return }
        let context = context
        drop()
        loop.futureWaits[ObjectIdentifier(self)] = nil
        loop.schedule("The callback of a future", context) { try callback(result) }
    }
}

extension IOLoop {
    /// Runs `callback` with the result of `future` when it has ended: in a later turn, never at
    /// once, also if the task has ended already (contract row D6).
    ///
    /// The task may run anywhere; one that `spawn` started is fine. The callback runs on the
    /// loop's thread, with the caller's task-locals (as with `addCallback`), and what it throws
    /// goes to `onUnhandledError`. If the loop is closed first, the callback is dropped.
    ///
    /// ```swift
    /// loop.addFuture(Task { try await lookUp(name) }) { result in
    ///     cache[name] = try result.get()
    /// }
    /// ```
    public func addFuture<Success, Failure>(
        _ future: Task<Success, Failure>,
        _ callback: @escaping (Result<Success, Failure>) throws -> Void
    ) {
        checkThread("IOLoop.addFuture")
        guard state != .closed else { return }
        let wait = TaskWait(self, captureContext(), callback)
        futureWaits[ObjectIdentifier(wait)] = wait
        let executor = executor
        // Detached, and none of the loop's own tasks: when the loop ends, nothing waits for it, and
        // if the future then never ends, it keeps nothing of the caller's.
        _ = Task.detached(executorPreference: executor) {
            wait.ended(await future.result)
            withExtendedLifetime(executor) {}
        }
    }
}
