/// A `Semaphore` that refuses to have more permits than at first: a release too many, which always
/// is a mistake where permits stand for things, is an error.
///
/// ```swift
/// let connections = BoundedSemaphore(4)
/// try await connections.withPermit(timeout: .seconds(2)) { try await query() }
/// ```
///
/// Contract row 3.7.
public final class BoundedSemaphore: CustomStringConvertible {
    private let semaphore: Semaphore

    /// How many permits there are in all.
    public let permits: Int

    /// - Parameters:
    ///   - permits: How many there are, zero or more.
    ///   - loop: The loop whose tasks share them; the calling thread's by default.
    public init(_ permits: Int = 1, loop: IOLoop = .current) {
        self.permits = permits
        semaphore = Semaphore(permits, loop: loop)
    }

    /// Permits that can be had without waiting.
    public var available: Int { semaphore.available }

    /// Waits for a permit and holds it until `release`. Better is `withPermit`.
    ///
    /// - Parameter timeout: As for `Semaphore`.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`: no permit is held then.
    public nonisolated(nonsending) func acquire(timeout: Duration? = nil) async throws {
        try await semaphore.acquire(timeout: timeout)
    }

    /// Takes a permit if there is one.
    ///
    /// - Returns: Whether the caller holds a permit now.
    public func tryAcquire() -> Bool {
        semaphore.tryAcquire()
    }

    /// Hands a permit to the first task that waits for one, or makes it available.
    ///
    /// - Throws: `SyncError` with `.releasedTooOften` if every permit is there already.
    public func release() throws {
        semaphore.checkThread("BoundedSemaphore.release")
        guard available < permits else {
            throw SyncError(
                .releasedTooOften,
                "A BoundedSemaphore was released while all its \(permits) permits were available.")
        }
        semaphore.release()
    }

    /// Runs `body` while holding a permit, and releases it however the body ends.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the permit at the most; nil means no limit.
    ///   - body: What needs the permit.
    /// - Returns: What the body returns.
    /// - Throws: As `acquire`, without running the body; what the body throws; as `release`, if
    ///   the body gave back a permit that was not its own.
    public nonisolated(nonsending) func withPermit<R>(
        timeout: Duration? = nil, _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        try await acquire(timeout: timeout)
        let result: R
        do {
            result = try await body()
        } catch {
            try? release()
            throw error
        }
        try release()
        return result
    }

    /// `BoundedSemaphore(available: 3)`, or `BoundedSemaphore(available: 0, waiters: 2)`.
    public var description: String { "BoundedSemaphore(\(semaphore.state))" }
}
