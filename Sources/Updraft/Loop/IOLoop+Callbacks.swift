// Callbacks and timeouts: contract rows D1-D9, E1-E9.
extension IOLoop {
    /// Runs `callback` in the next turn, after those that were added before it (D1, B2).
    ///
    /// On the loop's thread; from others, `remote.addCallback`. What it throws goes to
    /// `onUnhandledError`.
    public func addCallback(_ callback: @escaping () throws -> Void) {
        checkThread("IOLoop.addCallback")
        executor.ready.append(.callback { [unowned self] in guarded("A callback", callback) })
    }

    /// Runs `callback` once, when so much time has passed, never earlier (E3, E9).
    ///
    /// - Parameter delay: Zero or less means: in the next step for timeouts, never at once (E7).
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func callLater(
        _ delay: Duration, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        callAt(now.advanced(by: delay), callback)
    }

    /// Runs `callback` once, when the loop's clock has reached `instant` (E2). Timeouts with the
    /// same instant run in the order in which they were added (B11).
    ///
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func callAt(
        _ instant: LoopInstant, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        checkThread("IOLoop.callAt")
        return timers.add(deadline: instant.nanoseconds) { [unowned self] in
            guarded("A timeout", callback)
        }
    }

    /// Takes a timeout back. It does nothing if the timeout has run or was removed (E4).
    public func removeTimeout(_ timeout: Timeout) {
        checkThread("IOLoop.removeTimeout")
        timers.remove(timeout)
    }

    /// Suspends the calling task for so long, on the loop's clock; true removal on cancellation.
    ///
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
        checkThread("IOLoop.sleep")
        let waiter = Waiter(loop: self, for: .time)
        let timeout = timers.add(deadline: now.advanced(by: duration).nanoseconds) {
            [unowned self] in resumingInline { waiter.fire() }
        }
        defer { timers.remove(timeout) }
        try await waiter.wait()
    }

    /// Lets everything else that is ready have its turn, then goes on.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func nextTurn() async throws {
        checkThread("IOLoop.nextTurn")
        let waiter = Waiter(loop: self, for: .turn)
        executor.ready.append(.callback { [unowned self] in resumingInline { waiter.fire() } })
        try await waiter.wait()
    }

    func guarded(_ place: String, _ callback: () throws -> Void) {
        do {
            try callback()
        } catch {
            onUnhandledError(error, place)
        }
    }

    // MARK: From other threads

    /// What any thread may do with the loop.
    public var remote: Remote { Remote(executor: executor) }

    /// The Sendable side of a loop (contract rows D1, A7).
    ///
    /// After the loop is closed, everything here does nothing (D4).
    public struct Remote: Sendable {
        let executor: LoopExecutor

        /// Runs `callback` on the loop's thread, in its next turn. Any thread, any time.
        public func addCallback(_ callback: @escaping @Sendable () throws -> Void) {
            executor.postCallback { loop in loop.guarded("A callback", callback) }
        }

        /// Stops the loop; see `IOLoop.stop`.
        public func stop() {
            executor.postCallback { loop in loop.stop() }
        }
    }
}

extension LoopExecutor {
    /// Runs a callback with the loop, on its thread, in its next turn.
    func postCallback(_ callback: @escaping @Sendable (IOLoop) -> Void) {
        post(
            .callback { [unowned self] in
                if let loop { callback(loop) }
            })
    }
}
