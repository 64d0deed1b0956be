// Unsafe: `nonisolated(unsafe)` carries a callback's context to the loop's thread. It is made for
// that callback alone, and nobody else has it.

// Callbacks and timeouts: contract rows D1-D9, E1-E9.
extension IOLoop {
    /// Runs `callback` in the next turn, after those that were added before it (D1, B2).
    ///
    /// On the loop's thread; from others, `remote.addCallback`. What it throws goes to
    /// `onUnhandledError`.
    ///
    /// The callback gets the running task's locals as they are now (I3). Where any are bound, that
    /// costs 0.7 µs, and 1.4 KiB until it has run; `spawnCallback` is without. See
    /// `docs/context.md`.
    public func addCallback(_ callback: @escaping () throws -> Void) {
        checkThread("IOLoop.addCallback")
        schedule("A callback", captureContext(), callback)
    }

    /// Runs `callback` in the next turn, like `addCallback`, but detached from the caller: without
    /// its task-locals (D7). For fire-and-forget work, and where many are added.
    ///
    /// What it throws goes to `onUnhandledError`.
    public func spawnCallback(_ callback: @escaping () throws -> Void) {
        checkThread("IOLoop.spawnCallback")
        schedule("A callback", nil, callback)
    }

    /// `spawnCallback` for the library's own book-keeping.
    package func runSoon(_ callback: @escaping () throws -> Void) {
        checkThread("IOLoop")
        schedule("A callback", nil, callback)
    }

    func schedule(
        _ place: String, _ context: CallbackContext?, _ callback: @escaping () throws -> Void
    ) {
        // In a closed loop's queue it would stay, and keep what it holds.
        guard state != .closed else { return }
        guard let context else {
            return executor.ready.append(
                .callback { [unowned self] in guarded(place, callback) })
        }
        executor.ready.append(
            .callback { [unowned self] in context.run { guarded(place, callback) } })
    }

    /// Runs `callback` once, when so much time has passed, never earlier (E3, E9).
    ///
    /// The callback gets the running task's locals as they are now (I3). Where any are bound, that
    /// costs 0.6 µs, and 1.4 KiB until it has run or is removed; in `withoutContext` nothing.
    ///
    /// - Parameter delay: Zero or less means: in the next step for timeouts, never at once (E7).
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func callLater(
        _ delay: Duration, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        callAt(now.advanced(by: delay), callback)
    }

    /// `callLater` for the library's own book-keeping: without the caller's task-locals.
    @discardableResult
    package func runLater(
        _ delay: Duration, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        checkThread("IOLoop")
        return addTimer(now.advanced(by: delay), nil, callback)
    }

    /// Runs `callback` once, when the loop's clock has reached `instant` (E2). Timeouts with the
    /// same instant run in the order in which they were added (B11).
    ///
    /// In a task, the callback gets the task's locals as they are now (I3), at the cost of
    /// `callLater`.
    ///
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func callAt(
        _ instant: LoopInstant, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        checkThread("IOLoop.callAt")
        return addTimer(instant, captureContext(), callback)
    }

    /// The same as `callAt`: runs `callback` once, at `deadline` (E1).
    ///
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func addTimeout(
        _ deadline: LoopInstant, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        callAt(deadline, callback)
    }

    /// The same as `callLater`: runs `callback` once, when so much time has passed (E1).
    ///
    /// - Returns: A handle for `removeTimeout`.
    @discardableResult
    public func addTimeout(
        _ delay: Duration, _ callback: @escaping () throws -> Void
    ) -> Timeout {
        callLater(delay, callback)
    }

    private func addTimer(
        _ instant: LoopInstant, _ context: CallbackContext?,
        _ callback: @escaping () throws -> Void
    ) -> Timeout {
        guard let context else {
            return timers.add(deadline: instant.nanoseconds, action: callback)
        }
        return timers.add(deadline: instant.nanoseconds) { [unowned self] in
            context.run { guarded("A timeout", callback) }
        }
    }

    /// Takes a timeout back. It does nothing if the timeout has run or was removed (E4).
    ///
    /// What its closure holds is let go of at once; while more than 32,768 timeouts are pending, up
    /// to 16 calls later, and before the loop next looks at its timeouts. Each has to be fetched
    /// from memory then, and those of several calls are fetched together. So a call may let go of
    /// what earlier ones took back, with its own task-locals bound; so do `metrics` and `dump`.
    public func removeTimeout(_ timeout: Timeout) {
        checkThread("IOLoop.removeTimeout")
        guard timers.count > IOLoop.timeoutsInCacheMax else {
            finishRemovals()
            timers.remove(timeout)
            return
        }
        timers.prefetch(timeout)
        if let earlier = leavingTimeouts.append(timeout) { timers.remove(earlier) }
    }

    static let timeoutsInCacheMax = 32_768

    /// For whoever is to look at `timers` next.
    @inline(__always)
    func finishRemovals() {
        if !leavingTimeouts.isEmpty { removeLeaving() }
    }

    @inline(never)
    private func removeLeaving() {
        // What goes away with one may take others back.
        while let timeout = leavingTimeouts.popFirst() { timers.remove(timeout) }
    }

    /// Suspends the calling task for so long, on the loop's clock; true removal on cancellation.
    ///
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    public nonisolated(nonsending) func sleep(for duration: Duration) async throws {
        checkThread("IOLoop.sleep")
        let waiter = Waiter(loop: self)
        let timeout = timers.add(deadline: now.advanced(by: duration).nanoseconds) {
            [unowned self] in resumingInline { waiter.fire() }
        }
        defer { timers.remove(timeout) }
        try await waiter.wait(for: .time)
    }

    /// Lets everything else that is ready have its turn, then goes on.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func nextTurn() async throws {
        checkThread("IOLoop.nextTurn")
        let waiter = Waiter(loop: self)
        executor.ready.append(.callback { [unowned self] in resumingInline { waiter.fire() } })
        try await waiter.wait(for: .turn)
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
    /// From the moment when `close` begins, everything here does nothing (D4).
    public struct Remote: Sendable {
        let executor: LoopExecutor

        /// Runs `callback` on the loop's thread, in its next turn. Any thread, any time.
        ///
        /// In a task, the callback gets the task's locals as they are now (I3).
        public func addCallback(_ callback: @escaping @Sendable () throws -> Void) {
            guard let context = executor.captureContext() else {
                return addCallbackFromSignal(callback)
            }
            // It goes to the loop's thread together with the callback.
            nonisolated(unsafe) let carried = context
            executor.postCallback { loop in
                if loop.isClosing { return }
                carried.run { loop.guarded("A callback", callback) }
            }
        }

        /// Runs `callback` on the loop's thread, in its next turn, without the task-locals of the
        /// interrupted code (D5). Any thread, any time.
        ///
        /// For code that is told of a signal by another library, on a thread. The name is
        /// Tornado's; a signal handler itself must not call it, for it takes a lock and memory.
        /// `IOLoop.addSignalHandler` runs its handlers on the loop.
        public func addCallbackFromSignal(_ callback: @escaping @Sendable () throws -> Void) {
            executor.post(.remoteCallback(callback))
        }

        /// Stops the loop; see `IOLoop.stop`.
        public func stop() {
            executor.postCallback { loop in loop.stop() }
        }
    }
}

extension LoopExecutor {
    /// As `IOLoop.captureContext`, on any thread.
    func captureContext() -> CallbackContext? {
        if isOnThread, let loop { return loop.captureContext() }
        guard let task = CurrentTask.identity, !TaskLocals.areMissing(in: task) else { return nil }
        return CallbackContext(ContextExecutor(endsDropped: false), isRepeated: false)
    }

    /// Runs a callback with the loop, on its thread, in its next turn.
    func postCallback(_ callback: @escaping @Sendable (IOLoop) -> Void) {
        post(.remote(callback))
    }
}
