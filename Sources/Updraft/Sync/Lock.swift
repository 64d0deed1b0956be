/// A lock for tasks of one loop: one holds it, the others wait in the order in which they came.
///
/// Code on a loop needs no lock between two `await`s, since nothing else runs there. This one is
/// for what must not be mixed across an `await`:
///
/// ```swift
/// let lock = Lock()
/// try await lock.withLock {
///     try await stream.write(question)
///     return try await stream.read(exactly: 4)
/// }
/// ```
///
/// A release hands the lock to the first waiter at once, so nobody overtakes it. The lock belongs
/// to the thread of its loop and takes no lock of the system's. Contract row 3.7.
public final class Lock: CustomStringConvertible {
    private let loop: IOLoop
    /// Tasks in `withLock` offer their identity.
    private let line: WaitLine<CurrentTask.Identity>
    /// The task inside `withLock`. It runs as long as it stands here, so nobody else has its name.
    private var scopedHolder: CurrentTask.Identity?

    /// Whether some task holds the lock.
    public private(set) var isLocked = false

    /// A lock that nobody holds.
    ///
    /// - Parameter loop: The loop whose tasks share the lock; the calling thread's by default.
    public init(loop: IOLoop = .current) {
        self.loop = loop
        line = WaitLine(loop)
    }

    /// Waits for the lock and holds it until `release`. Better is `withLock`, which cannot forget.
    ///
    /// Taking a free lock never waits, and then ends in success even in a cancelled task.
    ///
    /// - Parameter timeout: How long to wait at the most; nil means no limit. Zero or less gives
    ///   up when the loop next looks at its timeouts.
    /// - Throws: `TimeoutError` after `timeout`, `CancellationError`: the lock is not held then.
    ///   `SyncError` with `.wouldDeadlock` inside `withLock` of the same lock.
    public nonisolated(nonsending) func acquire(timeout: Duration? = nil) async throws {
        loop.checkThread("Lock.acquire")
        try await acquire(scopedBy: nil, timeout)
    }

    /// Takes the lock if it is free.
    ///
    /// - Returns: Whether the caller holds it now.
    public func tryAcquire() -> Bool {
        loop.checkThread("Lock.tryAcquire")
        if isLocked { return false }
        isLocked = true
        return true
    }

    /// Hands the lock to the first task that waits for it, or unlocks it. Any task of the loop may
    /// do it, and any callback.
    ///
    /// - Throws: `SyncError` with `.notLocked` if nobody holds the lock, `.heldByScope` if a
    ///   `withLock` holds it.
    public func release() throws {
        loop.checkThread("Lock.release")
        guard isLocked else {
            throw SyncError(.notLocked, "Lock.release was called on a lock that is not locked.")
        }
        guard scopedHolder == nil else {
            throw SyncError(
                .heldByScope, "Lock.release was called on a lock that withLock holds and releases.")
        }
        handOver()
    }

    /// Runs `body` while holding the lock, and releases it however the body ends.
    ///
    /// - Parameters:
    ///   - timeout: How long to wait for the lock at the most; the body may take as long as it
    ///     likes. Nil means no limit.
    ///   - body: Must not ask for the same lock.
    /// - Returns: What the body returns.
    /// - Throws: As `acquire`, without running the body; what the body throws.
    public nonisolated(nonsending) func withLock<R>(
        timeout: Duration? = nil, _ body: nonisolated(nonsending) () async throws -> R
    ) async throws -> R {
        loop.checkThread("Lock.withLock")
        try await acquire(scopedBy: CurrentTask.identity, timeout)
        defer { handOver() }
        return try await body()
    }

    /// `Lock(unlocked)`, or `Lock(locked, waiters: 2)`.
    public var description: String {
        isLocked ? "Lock(locked, waiters: \(line.count))" : "Lock(unlocked)"
    }

    private nonisolated(nonsending) func acquire(
        scopedBy task: CurrentTask.Identity?, _ timeout: Duration?
    ) async throws {
        if let scopedHolder, scopedHolder == CurrentTask.identity {
            throw SyncError(
                .wouldDeadlock,
                "A task asked for a lock inside its own withLock: it would wait for itself.")
        }
        if isLocked {
            // Whoever wakes this task has made it the holder.
            _ = try await line.wait(offering: task, timeout: timeout)
        } else {
            isLocked = true
            scopedHolder = task
        }
    }

    private func handOver() {
        let next = line.takeFirst()
        isLocked = next != nil
        scopedHolder = next?.takeValue()
        if let next { line.wake(next) }
    }
}
