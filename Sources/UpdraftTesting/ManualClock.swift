public import Updraft

/// A clock that stands still until it is moved: the time of tests.
///
/// With it a loop's timeouts fire when the test says so. `withVirtualLoop` moves one by itself.
/// It belongs to its loop's thread, as the loop does.
public final class ManualClock: LoopClock {
    private var instant: LoopInstant

    /// A clock that shows `start`; by default one second after its zero.
    public init(start: LoopInstant = LoopInstant(nanoseconds: 1_000_000_000)) {
        instant = start
    }

    /// The time that the clock shows.
    public func now() -> LoopInstant { instant }

    /// Moves the clock forward. A loop notices when it next looks at its timeouts.
    ///
    /// - Parameter duration: Rounded up to nanoseconds; zero or less does nothing, since a loop's
    ///   clock never goes back.
    public func advance(by duration: Duration) {
        guard duration > .zero else { return }
        instant = instant.advanced(by: duration)
    }
}
