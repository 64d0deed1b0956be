internal import Logging

/// Something that holds bytes which are on their way out.
protocol OutputSink: AnyObject {
    var unsentBytes: Int { get }
    nonisolated(nonsending) func flush() async throws
}

// The end of a program, as in `docs/shutdown.md`. Contract rows P1-P3, M3.
extension IOLoop {
    /// Made when it is first needed.
    var shutdown: Shutdown {
        if let madeShutdown { return madeShutdown }
        let made = Shutdown(self)
        madeShutdown = made
        return made
    }

    /// Whether a shutdown has begun: servers take nothing new, and what goes on is to end soon.
    ///
    /// For work that comes in pieces, to stop after the piece at hand. A loop that is closed, or
    /// is being closed, says true as well, however it came to its end.
    public var isShuttingDown: Bool {
        if state == .closing || state == .closed { return true }
        guard let madeShutdown else { return false }
        return !madeShutdown.isRunning
    }

    /// Begins the shutdown of this loop, as a signal does that `serve(until:)` waits for: every
    /// server on the loop stops accepting, connections that wait for something new end, those in
    /// the middle of something have until the deadline; then they are cut.
    ///
    /// It returns at once. `serve` calls return when the connections have ended. While the
    /// shutdown goes on, calling it again can only give it more time. The other loops of
    /// `run(loops:)` begin theirs too.
    ///
    /// A shutdown is the end of a loop's work: a server that begins to serve later ends at once. To
    /// end one server of a loop that goes on, use its `drain`.
    ///
    /// - Parameter limit: The time for all of it. Where there are stop hooks, the last quarter is
    ///   for them alone.
    public func shutDown(within limit: Duration = .seconds(5)) {
        checkThread("IOLoop.shutDown")
        shutdown.begin(nil, within: limit)
    }

    /// Adds work that must happen before the loop ends: writing a file back, leaving a cluster.
    ///
    /// ```swift
    /// let store = try await ScoreStore.open(folder: "scores", loop: loop)
    /// loop.onStop("scores") { try await store.close() }
    /// try await rpc.serve(until: .terminationSignals, drain: .seconds(5))
    /// ```
    ///
    /// Hooks run when the body of `IOLoop.run` (or of `run(loops:)`, `main`, a `LoopService`) has
    /// returned or thrown, so after the servers have drained, and while the loop still runs as
    /// ever: the last one added comes first, as with `defer`. Each runs once.
    ///
    /// After a shutdown they have what is left of its time, and a quarter of it at least; else 5
    /// seconds. A hook that throws, or is cancelled at the deadline, makes `run` throw a
    /// `ShutdownError`. `loop.stop()` ends a loop without its hooks.
    ///
    /// - Parameter name: For log lines and the error.
    /// - Returns: A handle to take the hook back.
    @discardableResult
    public func onStop(
        _ name: String, _ hook: nonisolated(nonsending) @escaping () async throws -> Void
    ) -> StopHook {
        checkThread("IOLoop.onStop")
        return shutdown.hooks.add(name, hook)
    }

    /// Runs `body`, and whatever it ends with, what must happen before the loop closes.
    ///
    /// - Throws: What the body throws; `ShutdownError` if it throws nothing, but something was cut
    ///   or a hook failed.
    package nonisolated(nonsending) func finishing<R>(
        _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        let outcome = Outcome<R>()
        await outcome.run(body)
        let report = await shutdown.finish()
        return try conclude(outcome.result, report)
    }

    private func conclude<R>(
        _ result: Result<R, any Error>?, _ report: StopReport
    ) throws -> R {
        guard let result else { throw CancellationError() }
        let value: R
        do {
            value = try result.get()
        } catch {
            // The body's own error tells more; but hooks are told of nowhere else then.
            for hook in report.failedHooks {
                logger.error("the stop hook '\(hook.name)' \(hook.reason)")
            }
            throw error
        }
        if let error = ShutdownError(report) { throw error }
        return value
    }

    // MARK: The last steps

    /// Lets the callbacks run that are queued, and those that they add (P2, P3).
    nonisolated(nonsending) func runQueuedCallbacks(until deadline: LoopInstant) async {
        var turns = 0
        repeat {
            turns += 1
            let waiter = Waiter(loop: self)
            runSoon { waiter.fire() }
            await waiter.waitUncancellably()
        } while executor.hasQueuedCallbacks && now < deadline && turns < IOLoop.lastTurnsMax
        if turns == IOLoop.lastTurnsMax {
            libraryLogger.debug("callbacks that add callbacks without end were left behind")
        }
    }

    /// More than any chain of callbacks needs that ends.
    private static let lastTurnsMax = 100_000

    /// Waits until the kernel has what was written to the streams that are open.
    ///
    /// - Returns: Bytes that it has not.
    nonisolated(nonsending) func sendLastBytes(until deadline: LoopInstant) async -> Int {
        let sinks = (table.sinks + keptSinks.values).compactMap { $0 as? any OutputSink }
            .filter { $0.unsentBytes > 0 }
        guard !sinks.isEmpty else { return 0 }
        let group = LoopGroup(loop: self, below: shutdown.hooks.scope)
        for sink in sinks {
            // A connection that fails meanwhile takes nothing more: that is the peer's choice.
            group.spawn(name: "last bytes") { try? await sink.flush() }
        }
        await group.join(grace: max(now.duration(to: deadline), .zero))
        group.cancelAll()
        return sinks.reduce(0) { $0 + $1.unsentBytes }
    }

    /// Waits, whatever happens to the task, until the waiter is fired or the time has come.
    nonisolated(nonsending) func wait(for waiter: Waiter, until deadline: LoopInstant) async {
        let timer = timers.add(deadline: deadline.nanoseconds) { [unowned self] in
            resumingInline { waiter.fire() }
        }
        await waiter.waitUncancellably()
        timers.remove(timer)
    }
}

extension IOLoop.Remote {
    /// Begins the shutdown of the loop; see `IOLoop.shutDown`. Any thread, any time.
    public func shutDown(within limit: Duration = .seconds(5)) {
        executor.postCallback { loop in loop.shutdown.begin(nil, within: limit) }
    }

    /// For a loop whose crew has begun to stop.
    func follow(_ signal: Signal?, within limit: Duration) {
        executor.postCallback { loop in
            if loop.shutdown.isRunning { loop.shutdown.begin(signal, within: limit) }
        }
    }
}
