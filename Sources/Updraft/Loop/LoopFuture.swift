/// The result, yet to come, of `loop.async`.
///
/// It stays on its loop, so the value need not be Sendable. Any number of tasks of the loop may
/// wait for it.
public final class LoopFuture<Value> {
    private let loop: IOLoop
    private let outcome = Outcome<Value>()
    private var waiters: [Waiter] = []
    private var scope: TaskScope?

    init(loop: IOLoop, _ body: nonisolated(nonsending) @escaping () async throws -> Value) {
        self.loop = loop
        scope = loop.start(below: loop.rootScope) { [self] in
            await outcome.run(body)
            scope = nil
            let waiters = waiters
            self.waiters = []
            for waiter in waiters { waiter.fire() }
        }
    }

    /// Waits for the result and returns it, or throws what the body threw. Cancelling the waiting
    /// task ends the wait, not the work; see `cancel`.
    public var value: Value {
        get async throws {
            loop.checkThread("LoopFuture.value")
            while true {
                if let result = outcome.result { return try result.get() }
                let waiter = Waiter(loop: loop)
                waiters.append(waiter)
                defer { waiters.removeAll { $0 === waiter } }
                try await waiter.wait(for: .tasks)
            }
        }
    }

    /// Whether the work has ended.
    public var isDone: Bool { outcome.result != nil }

    /// Cancels the work.
    public func cancel() {
        loop.checkThread("LoopFuture.cancel")
        scope?.cancel()
    }
}

extension IOLoop {
    /// Starts work on this loop and returns at once: `async let` for closures that use streams or
    /// loop-local objects, and for results that are not Sendable.
    ///
    /// ```swift
    /// let reply = loop.async { try await stream.read(exactly: 4) }
    /// try await stream.write(question)
    /// print(try await reply.value)
    /// ```
    public func async<Value>(
        _ body: nonisolated(nonsending) @escaping () async throws -> Value
    ) -> LoopFuture<Value> {
        checkThread("IOLoop.async")
        return LoopFuture(loop: self, body)
    }
}
