/// Ticks on a fixed schedule, for a `for` loop; see `IOLoop.ticks(every:)`.
public struct PeriodicTicks: AsyncSequence {
    fileprivate let loop: IOLoop
    fileprivate let schedule: PeriodicSchedule

    /// Waits for the ticks of one `for` loop.
    public final class Iterator: AsyncIteratorProtocol {
        private let loop: IOLoop
        private var schedule: PeriodicSchedule
        /// Whether the tick that is due at `schedule.next` has been handed out.
        private var isDelivered = false

        fileprivate init(_ ticks: PeriodicTicks) {
            loop = ticks.loop
            schedule = ticks.schedule
            schedule.start(at: loop.now.nanoseconds)
        }

        /// Waits for the next tick.
        ///
        /// - Returns: When it was due; never nil.
        /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
        public func next(isolation actor: isolated (any Actor)?) async throws -> LoopInstant? {
            if isDelivered { schedule.advance(past: loop.now.nanoseconds) }
            isDelivered = false
            let due = LoopInstant(nanoseconds: schedule.next)
            try await loop.sleep(until: due)
            isDelivered = true
            return due
        }
    }

    /// Called by `for`: the schedule starts here.
    public func makeAsyncIterator() -> Iterator {
        Iterator(self)
    }
}

extension IOLoop {
    /// Ticks for ever, on the schedule of `PeriodicCallback`: the first is due one period after
    /// the `for` loop begins, the others at whole multiples from there. Multiples that pass while
    /// the body of the loop is busy are left out.
    ///
    /// ```swift
    /// for try await _ in try loop.ticks(every: .seconds(1)) { try await stream.write(status()) }
    /// ```
    ///
    /// It ends when the task is cancelled, by throwing.
    ///
    /// - Parameters:
    ///   - period: Longer than zero.
    ///   - jitter: From 0 to 1; see `PeriodicCallback`.
    ///   - random: For tests: numbers from 0 to 1.
    /// - Throws: `LoopError` with `.invalidArgument` if the period or the jitter is out of range.
    public func ticks(
        every period: Duration, jitter: Double = 0, random: (() -> Double)? = nil
    ) throws -> PeriodicTicks {
        checkThread("IOLoop.ticks")
        let schedule = try PeriodicSchedule(period: period, jitter: jitter, random: random)
        return PeriodicTicks(loop: self, schedule: schedule)
    }

    /// Suspends the calling task until the loop's clock has reached `instant`, never less; true
    /// removal on cancellation.
    ///
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    public nonisolated(nonsending) func sleep(until instant: LoopInstant) async throws {
        checkThread("IOLoop.sleep")
        let waiter = Waiter(loop: self)
        let timeout = timers.add(deadline: instant.nanoseconds) {
            [unowned self] in resumingInline { waiter.fire() }
        }
        defer { timers.remove(timeout) }
        try await waiter.wait(for: .time)
    }
}
