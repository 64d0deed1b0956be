/// Calls something again and again, every so often.
///
/// ```swift
/// let report = try PeriodicCallback(every: .seconds(10), jitter: 0.1) { print(board.summary) }
/// report.start()
/// ```
///
/// The first run comes one period after `start`, later ones at whole multiples of the period from
/// there: the time that a run takes moves nothing. If a run takes longer than the period, the
/// multiples that it missed are left out. Runs never overlap, asynchronous ones neither.
///
/// What a run throws goes to the loop's `onUnhandledError`, and the timer goes on. As long as it
/// is started the loop keeps it alive, so it needs no owner. It belongs to its loop's thread.
/// Every run has the task-locals of the code that called `start` (I3), taken along once.
/// Contract rows F1-F4; for a `for` loop instead, see `IOLoop.ticks(every:)`.
public final class PeriodicCallback {
    private typealias AsyncCallback = nonisolated(nonsending) () async throws -> Void

    private enum Body {
        case synchronous(() throws -> Void)
        case asynchronous(AsyncCallback)
    }

    private enum State {
        case stopped
        /// Started; the next run is due when the timeout is.
        case waiting(Timeout)
        /// A run is under way; the next is found when it ends.
        case running
        /// `stop` was called since the run began.
        case runningStopped
        /// `stop` and then `start` were called since the run began: the new schedule's first run.
        case runningRestarted
    }

    /// The time from one run to the next.
    public let period: Duration

    private let body: Body
    private let executor: LoopExecutor
    private var schedule: PeriodicSchedule
    private var state = State.stopped
    /// The context of the code that started it; nil while it is stopped, and if there is none.
    private var context: CallbackContext?

    /// A callback that is not started yet.
    ///
    /// - Parameters:
    ///   - period: From one run to the next; longer than zero.
    ///   - jitter: From 0 to 1. With 0.1 each step of the schedule is up to 5 % shorter or longer
    ///     than the period, so that many processes do not all work at the same moment.
    ///   - loop: The calling thread's loop by default.
    ///   - random: For tests: numbers from 0 (the shortest step) to 1 (the longest).
    ///   - callback: Runs on the loop's thread.
    /// - Throws: `LoopError` with `.invalidArgument` if the period or the jitter is out of range.
    public convenience init(
        every period: Duration, jitter: Double = 0, on loop: IOLoop? = nil,
        random: (() -> Double)? = nil, _ callback: @escaping () throws -> Void
    ) throws {
        try self.init(period, jitter, loop, random, .synchronous(callback))
    }

    /// The same for an asynchronous callback: each run is a task of its own, and the next run is
    /// due only after it has ended. `stop` lets a run that is under way end by itself.
    ///
    /// - Throws: `LoopError` with `.invalidArgument` if the period or the jitter is out of range.
    public convenience init(
        every period: Duration, jitter: Double = 0, on loop: IOLoop? = nil,
        random: (() -> Double)? = nil,
        _ callback: nonisolated(nonsending) @escaping () async throws -> Void
    ) throws {
        try self.init(period, jitter, loop, random, .asynchronous(callback))
    }

    private init(
        _ period: Duration, _ jitter: Double, _ loop: IOLoop?, _ random: (() -> Double)?,
        _ body: Body
    ) throws {
        let loop = loop ?? IOLoop.current
        loop.checkThread("PeriodicCallback")
        executor = loop.executor
        self.period = period
        self.body = body
        schedule = try PeriodicSchedule(period: period, jitter: jitter, random: random)
    }

    /// Whether it is started.
    public var isRunning: Bool {
        switch state {
        case .waiting, .running, .runningRestarted: true
        case .stopped, .runningStopped: false
        }
    }

    /// Starts the schedule: the first run is one period from now. Does nothing if it is started
    /// already, or if the loop was closed.
    public func start() {
        guard let loop = usableLoop("PeriodicCallback.start"), !isRunning else { return }
        context = loop.captureContext(isRepeated: true)
        schedule.start(at: loop.now.nanoseconds)
        if case .runningStopped = state {
            state = .runningRestarted
        } else {
            arm(on: loop)
        }
    }

    /// Ends the schedule. A run that is under way is the last; called inside the callback, it is
    /// honoured (F4).
    public func stop() {
        guard let loop = usableLoop("PeriodicCallback.stop") else { return }
        context = nil
        switch state {
        case .waiting(let timeout):
            state = .stopped
            loop.removeTimeout(timeout)
        case .running, .runningRestarted:
            state = .runningStopped
        case .stopped, .runningStopped:
            break
        }
    }

    /// Nil once the loop is closed, so that what outlives its loop does no harm.
    private func usableLoop(_ what: String) -> IOLoop? {
        guard let loop = executor.loop else { return nil }
        loop.checkThread(what)
        return loop
    }

    private func arm(on loop: IOLoop) {
        // The timeout, and nothing else, keeps what is started alive.
        state = .waiting(loop.timers.add(deadline: schedule.next) { self.runInContext() })
    }

    private func runInContext() {
        guard let context else { return run() }
        context.run { run() }
    }

    private func run() {
        guard let loop = executor.loop else { return }
        state = .running
        switch body {
        case .synchronous(let callback):
            loop.guarded(PeriodicCallback.place, callback)
            runEnded()
        case .asynchronous(let callback):
            loop.start(named: "periodic callback", below: loop.rootScope) { [unowned loop] in
                do {
                    try await callback()
                } catch is CancellationError {
                    // Ended on request.
                } catch {
                    loop.onUnhandledError(error, PeriodicCallback.place)
                }
                self.runEnded()
            }
        }
    }

    private func runEnded() {
        guard let loop = executor.loop else { return }
        switch state {
        case .running:
            schedule.advance(past: loop.now.nanoseconds)
            arm(on: loop)
        case .runningRestarted:
            // A run that went on past the new schedule's first multiples has missed them.
            let now = loop.now.nanoseconds
            if schedule.next <= now { schedule.advance(past: now) }
            arm(on: loop)
        case .runningStopped:
            state = .stopped
        case .stopped, .waiting:
            break
        }
    }

    private static let place = "A periodic callback"
}
