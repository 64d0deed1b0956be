// Unsafe: hands the loop's event buffer, or the rest of it, on to the base within one call.

public import Updraft

/// A poller that never sleeps for a deadline: where the loop would, it moves a clock there.
///
/// A loop with this poller and the same clock runs in virtual time: an hour's timeout fires as soon
/// as nothing else can happen, in the order in which it would. `ScriptedDescriptor`s are ready when
/// the test says so, at moments of virtual time. Real descriptors work too; whatever takes real
/// time outside of the loop (other threads, other processes, name look-ups) takes no virtual time,
/// so timeouts that guard against it expire at once. A loop that waits for nothing with a moment
/// (no deadline, no scripted change) waits in real time.
///
/// `withVirtualLoop` makes a loop on one, and `IOLoop.virtualPoller` finds it there.
public final class VirtualPoller: Poller {
    /// The name in log lines.
    public let name = "virtual"

    /// The clock that it moves, which has to be the loop's.
    public let clock: ManualClock

    /// Sleeps that were skipped so far: how often the loop had nothing to do before a deadline or a
    /// scripted change.
    public private(set) var skippedSleeps = 0

    private let base: any Poller
    private var failures: [SystemError] = []
    var scripts = DescriptorScripts()
    /// Kept, because a test may use no more of one than its number.
    var scripted: [Int32: ScriptedDescriptor] = [:]

    /// - Parameters:
    ///   - clock: The loop's clock.
    ///   - base: Watches the real descriptors; the system's best poller by default.
    /// - Throws: `SystemError` if the system has no descriptor left.
    public init(clock: ManualClock, base: (any Poller)? = nil) throws {
        self.clock = clock
        self.base = try base ?? PollerChoice.best.makePoller()
    }

    /// Lets the next wait of the loop fail, once: a failure that is not an interruption by a signal
    /// ends `IOLoop.start` (contract row B6).
    public func failNextWait(_ error: SystemError) {
        failures.append(error)
    }

    /// As the base says.
    public var needsRearm: Bool { base.needsRearm }

    /// Passed on to the base, but for scripted descriptors.
    public func add(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        if try scripts.add(descriptor, events, mode, token) { return }
        try base.add(descriptor, events: events, mode: mode, token: token)
    }

    /// Passed on to the base, but for scripted descriptors.
    public func modify(
        _ descriptor: Int32, events: IOEvents, mode: PollMode, token: UInt64
    ) throws {
        if try scripts.modify(descriptor, events, mode, token) { return }
        try base.modify(descriptor, events: events, mode: mode, token: token)
    }

    /// Passed on to the base, but for scripted descriptors.
    public func remove(_ descriptor: Int32) throws {
        if try scripts.remove(descriptor) { return }
        try base.remove(descriptor)
    }

    /// Passed on to the base, but for scripted descriptors.
    public func rearm(_ descriptor: Int32, events: IOEvents) {
        if scripts.rearm(descriptor, events) { return }
        base.rearm(descriptor, events: events)
    }

    /// Looks without waiting; if nothing is ready, moves the clock by the timeout, or to the next
    /// scripted change if that comes before it.
    public func wait(
        timeoutNanoseconds: Int64, into events: UnsafeMutableBufferPointer<PollEvent>
    ) throws -> Int {
        if !failures.isEmpty { throw failures.removeFirst() }
        let count = try look(into: events)
        if count > 0 || timeoutNanoseconds == 0 { return count }
        let now = clock.now()
        let change = scripts.nextChange
        if timeoutNanoseconds < 0, change == nil {
            return try base.wait(timeoutNanoseconds: timeoutNanoseconds, into: events)
        }
        let deadline =
            timeoutNanoseconds < 0
            ? LoopInstant(nanoseconds: .max)
            : now.advanced(by: .nanoseconds(timeoutNanoseconds))
        clock.advance(by: now.duration(to: min(deadline, change ?? deadline)))
        skippedSleeps += 1
        return fill(events)
    }

    /// Closes the base, and the scripted descriptors.
    public func close() {
        for descriptor in scripted.values { descriptor.close() }
        base.close()
    }

    /// What is ready now: scripted descriptors, and then the base's as far as there is room.
    private func look(into events: UnsafeMutableBufferPointer<PollEvent>) throws -> Int {
        let scripted = fill(events)
        guard scripted < events.count else { return scripted }
        let room = UnsafeMutableBufferPointer(rebasing: events[scripted...])
        return try scripted + base.wait(timeoutNanoseconds: 0, into: room)
    }

    /// The scripted descriptors that are ready now.
    private func fill(_ events: UnsafeMutableBufferPointer<PollEvent>) -> Int {
        let ready = scripts.ready(at: clock.now(), countMax: events.count)
        for (index, event) in ready.enumerated() { events[index] = event }
        return ready.count
    }
}

extension IOLoop {
    /// The poller of a loop in virtual time; nil if the loop runs on another one.
    public var virtualPoller: VirtualPoller? { poller as? VirtualPoller }
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
