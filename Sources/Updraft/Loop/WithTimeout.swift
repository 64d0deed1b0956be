/// A `withTimeout`, or the limit of a `runSync`, has run out.
public struct TimeoutError: Error, Sendable, CustomStringConvertible {
    /// The limit that was given.
    public let limit: Duration

    /// An error for a limit that has run out.
    public init(after limit: Duration) {
        self.limit = limit
    }

    /// A sentence with the limit.
    public var description: String { "Timed out after \(limit)." }
}

/// What the waits inside an expired scope throw, until it reaches the `withTimeout` it belongs to.
private struct ScopeExpired: Error {
    /// Its identity alone, because a scope keeps what it was ended with.
    let scope: ObjectIdentifier
}

/// Runs `body`, and ends its waits with `TimeoutError` if it takes longer than `limit`.
///
/// It costs one entry in the loop's timer heap and no task, so the body may use streams and
/// loop-local objects. Timeouts nest; the nearest one wins. It ends every wait of this library, in
/// the calling task and in children of groups inside; waits that are not the loop's (`Task.sleep`,
/// continuations of your own) it can't end. A body that never waits is not interrupted.
///
/// ```swift
/// let line = try await withTimeout(.seconds(5)) {
///     try await stream.read(until: "\n", maxBytes: 256)
/// }
/// ```
///
/// - Throws: `TimeoutError` when the limit has run out; otherwise what the body throws.
public nonisolated(nonsending) func withTimeout<R>(
    _ limit: Duration, _ body: nonisolated(nonsending) () async throws -> R
) async throws -> R {
    let loop = IOLoop.requireCurrent()
    let scope = TaskScope(loop.executor)
    let expiry = loop.timers.add(deadline: loop.now.advanced(by: limit).nanoseconds) {
        loop.resumingInline { scope.end(ScopeExpired(scope: ObjectIdentifier(scope))) }
    }
    defer { loop.timers.remove(expiry) }
    do {
        return try await scope.run(below: TaskScope.current, body)
    } catch let expired as ScopeExpired where expired.scope == ObjectIdentifier(scope) {
        throw TimeoutError(after: limit)
    }
}
