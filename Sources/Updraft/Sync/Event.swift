/// Something that has happened or not: tasks wait until it is set, all at once.
///
/// ```swift
/// let ready = Event()
/// loop.spawn { try await table.load(); ready.set() }
/// try await ready.wait()
/// ```
///
/// Belongs to the thread of its loop and takes no lock of the system's. Contract row 3.7.
public final class Event: CustomStringConvertible {
    private let loop: IOLoop
    private let line: WaitLine<Void>

    /// Whether the event is set, so that `wait` returns at once.
    public private(set) var isSet = false

    /// An event that is not set.
    ///
    /// - Parameter loop: The loop whose tasks share it; the calling thread's by default.
    public init(loop: IOLoop = .current) {
        self.loop = loop
        line = WaitLine(loop)
    }

    /// Wakes every task that waits, in the order in which they came; from now on nobody waits.
    /// Setting it again does nothing.
    public func set() {
        loop.checkThread("Event.set")
        isSet = true
        line.wake()
    }

    /// From now on `wait` waits again. Tasks that were woken before are not affected.
    public func clear() {
        loop.checkThread("Event.clear")
        isSet = false
    }

    /// Waits until the event is set; returns at once if it is.
    ///
    /// - Parameter timeout: How long to wait at the most; nil means no limit. Zero or less gives
    ///   up when the loop next looks at its timeouts.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`.
    public nonisolated(nonsending) func wait(timeout: Duration? = nil) async throws {
        loop.checkThread("Event.wait")
        if !isSet { _ = try await line.wait(timeout: timeout) }
    }

    /// `Event(set)`, `Event(clear)` or `Event(clear, waiters: 2)`.
    public var description: String {
        if isSet { return "Event(set)" }
        let waiters = line.count
        return waiters == 0 ? "Event(clear)" : "Event(clear, waiters: \(waiters))"
    }
}
