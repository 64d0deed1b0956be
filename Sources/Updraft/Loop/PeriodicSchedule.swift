/// When the runs of something periodic are due: arithmetic alone, in the clock's nanoseconds.
///
/// The first run is due one period after the start, and every later one a whole number of periods
/// after that, whatever the runs take: a run that is still going when the next is due makes the
/// schedule skip to the next multiple. Contract row F2, conformance list 3.1, 44-47.
struct PeriodicSchedule {
    /// How far the next run may be moved, as a fraction of the period: 0.1 is 5 % either way.
    private let jitter: Double
    private let period: Int64
    private let random: () -> Double

    /// When the next run is due; means nothing before `start`.
    private(set) var next: Int64 = 0

    /// - Parameters:
    ///   - random: Numbers from 0 to 1, one for each run; not asked without jitter. The system's
    ///     by default.
    /// - Throws: `LoopError` with `.invalidArgument`.
    init(period: Duration, jitter: Double = 0, random: (() -> Double)? = nil) throws {
        guard period > .zero else {
            throw LoopError(
                .invalidArgument, "The period must be longer than zero, not \(period).")
        }
        guard (0...1).contains(jitter) else {
            throw LoopError(.invalidArgument, "The jitter must be from 0 to 1, not \(jitter).")
        }
        self.period = period.wholeNanoseconds
        self.jitter = jitter
        self.random = random ?? { .random(in: 0...1) }
    }

    /// Starts anew: the next run is due one period from now.
    mutating func start(at now: Int64) {
        next = now
        advance(past: now)
    }

    /// Finds the run after the one that was due at `next` and is over now.
    ///
    /// A clock that was set back stands before `next`: then the schedule goes on as if it had not
    /// been, instead of running twice for one multiple or trying to make up for the jump.
    mutating func advance(past now: Int64) {
        let step = jitteredPeriod()
        let (late, overflow) = now.subtractingReportingOverflow(next)
        let missed = overflow || late < 0 ? 0 : late / step
        let (skipped, tooMany) = step.multipliedReportingOverflow(by: missed + 1)
        let (sum, carry) = next.addingReportingOverflow(skipped)
        next = tooMany || carry ? Int64.max : sum
    }

    private func jitteredPeriod() -> Int64 {
        guard jitter > 0 else { return period }
        let factor = 1 + jitter * (min(max(random(), 0), 1) - 0.5)
        return max(1, Int64(exactly: (Double(period) * factor).rounded()) ?? period)
    }
}
