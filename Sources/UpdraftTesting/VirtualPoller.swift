public import Updraft

/// A poller that never sleeps for a deadline: where the loop would, it moves a clock there.
///
/// A loop with this poller and the same clock runs in virtual time: an hour's timeout fires as soon
/// as nothing else can happen, in the order in which it would. Real descriptors work; whatever
/// takes real time outside of the loop (other threads, other processes, name look-ups) takes no
/// virtual time, so timeouts that guard against it expire at once. A loop that waits without a
/// deadline waits in real time.
///
/// In virtual time `loop.sleep(for: .nanoseconds(1))` waits until the loop has nothing else to do.
public final class VirtualPoller: Poller {
    /// The name in log lines.
    public let name = "virtual"
    private let base: any Poller
    private let clock: ManualClock

    /// Sleeps that were skipped so far: how often the loop had nothing to do before a deadline.
    public private(set) var skippedSleeps = 0

    /// - Parameters:
    ///   - clock: The loop's clock.
    ///   - base: Watches the real descriptors; the system's best poller by default.
    /// - Throws: `SystemError` if the system has no descriptor left.
    public init(clock: ManualClock, base: (any Poller)? = nil) throws {
        self.clock = clock
        self.base = try base ?? PollerChoice.best.makePoller()
    }

    /// As the base says.
    public var needsRearm: Bool { base.needsRearm }

    /// Passed on to the base.
    public func add(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        try base.add(descriptor, events: events, mode: mode, token: token)
    }

    /// Passed on to the base.
    public func modify(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        try base.modify(descriptor, events: events, mode: mode, token: token)
    }

    /// Passed on to the base.
    public func remove(_ descriptor: Int32) throws {
        try base.remove(descriptor)
    }

    /// Passed on to the base.
    public func rearm(_ descriptor: Int32, events: IOEvents) {
        base.rearm(descriptor, events: events)
    }

    /// Looks without waiting; if nothing is ready, moves the clock by the timeout.
    public func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        if timeoutNanoseconds < 0 {
            return try base.wait(timeoutNanoseconds: timeoutNanoseconds, into: events)
        }
        let count = try base.wait(timeoutNanoseconds: 0, into: events)
        if count == 0, timeoutNanoseconds > 0 {
            clock.advance(by: .nanoseconds(timeoutNanoseconds))
            skippedSleeps += 1
        }
        return count
    }

    /// Closes the base.
    public func close() {
        base.close()
    }
}

/// Runs `body` as `withLoop` does, in virtual time: the loop's clock stands still while there is
/// something to do, and then moves at once to the next deadline.
///
/// ```swift
/// try await withVirtualLoop { loop in
///     let before = loop.now
///     try await loop.sleep(for: .seconds(86_400))              // takes microseconds
///     #expect(before.duration(to: loop.now) == .seconds(86_400))
/// }
/// ```
///
/// - Parameters:
///   - timeLimit: Real time; see `withLoop(timeLimit:_:)`.
///   - body: Gets the loop.
/// - Returns: What the body returns.
/// - Throws: As `withLoop(timeLimit:_:)`.
public func withVirtualLoop<R: Sendable>(
    timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    try await withLoop(
        making: {
            let clock = ManualClock()
            return try IOLoop(poller: VirtualPoller(clock: clock), clock: clock)
        }, timeLimit: timeLimit, body)
}
