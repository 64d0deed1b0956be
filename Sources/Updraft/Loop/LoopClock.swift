internal import CUpdraft

/// A point in time on a loop's clock.
///
/// The clock is monotonic: it counts nanoseconds from a start of its own (of the machine, mostly)
/// and never goes back, whatever happens to the time of day. Instants of different clocks do not
/// compare. Contract row A12.
public struct LoopInstant: InstantProtocol, Hashable, Sendable {
    /// Nanoseconds since the clock's start.
    public let nanoseconds: Int64

    /// An instant so many nanoseconds after the clock's start.
    public init(nanoseconds: Int64) {
        self.nanoseconds = nanoseconds
    }

    /// This instant moved by a duration, held at the ends of the range instead of overflowing.
    public func advanced(by duration: Duration) -> LoopInstant {
        let (sum, overflow) = nanoseconds.addingReportingOverflow(duration.wholeNanoseconds)
        if overflow {
            return LoopInstant(nanoseconds: duration < .zero ? Int64.min : Int64.max)
        }
        return LoopInstant(nanoseconds: sum)
    }

    /// The time from this instant to another.
    public func duration(to other: LoopInstant) -> Duration {
        .nanoseconds(other.nanoseconds - nanoseconds)
    }

    /// Whether one instant is before another.
    public static func < (left: LoopInstant, right: LoopInstant) -> Bool {
        left.nanoseconds < right.nanoseconds
    }
}

extension Duration {
    /// Nanoseconds, rounded up so that no timer is early, and held at the ends of `Int64`
    /// (292 years).
    package var wholeNanoseconds: Int64 {
        let (seconds, attoseconds) = components
        let perSecond: Int64 = 1_000_000_000
        let (nanoseconds, overflow) = seconds.multipliedReportingOverflow(by: perSecond)
        if overflow { return seconds < 0 ? Int64.min : Int64.max }
        let roundUp: Int64 = attoseconds % perSecond > 0 ? 1 : 0
        let fraction = attoseconds / perSecond + roundUp
        let (sum, carry) = nanoseconds.addingReportingOverflow(fraction)
        return carry ? (seconds < 0 ? Int64.min : Int64.max) : sum
    }
}

/// Where a loop reads the time; replaced by a manual clock in tests.
public protocol LoopClock: AnyObject {
    /// The time now. Never less than at an earlier call.
    func now() -> LoopInstant
}

/// The system's monotonic clock: the default of every loop.
public final class MonotonicClock: LoopClock {
    /// All instances tell the same time.
    public init() {}

    /// The time since the machine started, without the time it was suspended.
    public func now() -> LoopInstant {
        LoopInstant(nanoseconds: cu_monotonic_nanoseconds())
    }
}
