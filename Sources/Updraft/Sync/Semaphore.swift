/// A number of permits for tasks of one loop: who finds none waits, first come, first served.
///
/// ```swift
/// let slots = Semaphore(10)                      // ten downloads at a time
/// try await slots.withPermit { try await download(page) }
/// ```
///
/// A release hands the permit to the first waiter at once, so nobody overtakes it. Permits may be
/// added by releases without an acquire; where that is a mistake, use `BoundedSemaphore`. Belongs
/// to the thread of its loop and takes no lock of the system's. Contract row 3.7.
public final class Semaphore: CustomStringConvertible {
    private let loop: IOLoop
    private let line: WaitLine<Void>

    /// Permits that can be had without waiting.
    public private(set) var available: Int

    /// - Parameters:
    ///   - permits: How many there are at first, zero or more.
    ///   - loop: The loop whose tasks share them; the calling thread's by default.
    public init(_ permits: Int = 1, loop: IOLoop = .current) {
        if permits < 0 { Misuse.stop("A Semaphore was made with \(permits) permits, below zero.") }
        available = permits
        self.loop = loop
        line = WaitLine(loop)
    }

    /// Waits for a permit and holds it until `release`. Better is `withPermit`.
    ///
    /// Taking a permit that is there never waits, and then ends in success even in a cancelled
    /// task.
    ///
    /// - Parameter timeout: How long to wait at the most; nil means no limit. Zero or less gives
    ///   up when the loop next looks at its timeouts.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`: no permit is held then.
    public nonisolated(nonsending) func acquire(timeout: Duration? = nil) async throws {
        if !tryAcquire() { _ = try await line.wait(timeout: timeout) }
    }

    /// Takes a permit if there is one.
    ///
    /// - Returns: Whether the caller holds a permit now.
    public func tryAcquire() -> Bool {
        loop.checkThread("Semaphore.acquire")
        if available == 0 { return false }
        available -= 1
        return true
    }

    /// Hands a permit to the first task that waits for one, or makes it available.
    public func release() {
        loop.checkThread("Semaphore.release")
        if let next = line.takeFirst() { line.wake(next) } else { available += 1 }
    }

    /// Runs `body` while holding a permit, and releases it however the body ends.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the permit at the most; the body may take as long as it
    ///     likes. Nil means no limit.
    ///   - body: What needs the permit.
    /// - Returns: What the body returns.
    /// - Throws: As `acquire`, without running the body; what the body throws.
    public nonisolated(nonsending) func withPermit<R>(
        timeout: Duration? = nil, _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        try await acquire(timeout: timeout)
        defer { release() }
        return try await body()
    }

    /// `Semaphore(available: 3)`, or `Semaphore(available: 0, waiters: 2)`.
    public var description: String { "Semaphore(\(state))" }

    func checkThread(_ what: @autoclosure () -> String) { loop.checkThread(what()) }

    var state: String {
        available > 0 ? "available: \(available)" : "available: 0, waiters: \(line.count)"
    }
}
