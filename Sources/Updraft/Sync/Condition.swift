/// A place where tasks wait to be notified, one by one or all at once.
///
/// Unlike the condition of threads it needs no lock: on a loop nothing runs between the look at the
/// state and the wait. A notification reaches those who wait now; nobody gets it later.
///
/// ```swift
/// while room.isEmpty { try await changed.wait() }
/// room.admit()                                   // elsewhere, and then:
/// changed.notifyAll()
/// ```
///
/// Belongs to the thread of its loop and takes no lock of the system's. Contract row 3.7.
public final class Condition: CustomStringConvertible {
    private let loop: IOLoop
    private let line: WaitLine<Void>

    /// - Parameter loop: The loop whose tasks share it; the calling thread's by default.
    public init(loop: IOLoop = .current) {
        self.loop = loop
        line = WaitLine(loop)
    }

    /// Waits for a notification.
    ///
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    public nonisolated(nonsending) func wait() async throws {
        loop.checkThread("Condition.wait")
        _ = try await line.wait(timeout: nil)
    }

    /// Waits for a notification, but not for ever.
    ///
    /// - Parameter timeout: How long to wait at the most. Zero or less gives up when the loop next
    ///   looks at its timeouts.
    /// - Returns: Whether there was a notification; false means that the time ran out. A task that
    ///   gave up never uses a notification up.
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    @discardableResult
    public nonisolated(nonsending) func wait(timeout: Duration) async throws -> Bool {
        loop.checkThread("Condition.wait")
        do {
            _ = try await line.wait(timeout: timeout)
            return true
        } catch is TimeoutError {
            // An expired `withTimeout` around it ends its waits with another error.
            return false
        }
    }

    /// Wakes the tasks that have waited longest, in the order in which they came.
    ///
    /// - Parameter count: How many at the most; zero or less wakes none.
    public func notify(_ count: Int = 1) {
        loop.checkThread("Condition.notify")
        line.wake(atMost: count)
    }

    /// Wakes every task that waits, in the order in which they came.
    public func notifyAll() {
        notify(.max)
    }

    /// `Condition(waiters: 2)`.
    public var description: String { "Condition(waiters: \(line.count))" }
}
