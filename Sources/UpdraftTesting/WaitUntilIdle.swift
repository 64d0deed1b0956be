public import Updraft

extension IOLoop {
    /// Waits until the loop has nothing to do: no callback, no task that is ready, no timeout that
    /// is due, no output to send and no descriptor with an event is left, nor came any in the last
    /// turn.
    ///
    /// In a test, for "let everything happen that can happen by itself", before it is checked what
    /// has happened, or that nothing has:
    ///
    /// ```swift
    /// room.join(player)
    /// try await loop.waitUntilIdle()
    /// #expect(player.messages == ["welcome"])
    /// ```
    ///
    /// Timeouts whose time has not come are not waited for; neither is what other threads,
    /// processes and machines are about to send. Several tasks may wait at once. A loop that is
    /// never idle (a handler whose descriptor stays ready, a task that calls `nextTurn` for ever)
    /// lets this wait until it is cancelled or times out.
    ///
    /// - Throws: `CancellationError`; `TimeoutError` if a `withTimeout` around it expires.
    public nonisolated(nonsending) func waitUntilIdle() async throws {
        let waits = IdleWaits.of(self)
        waits.count += 1
        defer { waits.count -= 1 }
        var quietTurns = 0
        var timeoutsRun = metrics.timeouts
        // One quiet turn may have begun with a callback that made a descriptor ready.
        while quietTurns < 2 {
            try await nextTurn()
            let metrics = metrics
            // Everybody else who waits here has one callback in the queue.
            let isQuiet =
                readyWork < waits.count && !hasDueTimeout && metrics.readyDescriptorsLast == 0
                && metrics.timeouts == timeoutsRun
            quietTurns = isQuiet ? quietTurns + 1 : 0
            timeoutsRun = metrics.timeouts
        }
    }
}

/// How many tasks of a loop are in `waitUntilIdle`.
private final class IdleWaits {
    var count = 0

    static func of(_ loop: IOLoop) -> IdleWaits {
        let key = ObjectIdentifier(IdleWaits.self)
        if let known = loop.attachments[key] as? IdleWaits { return known }
        let new = IdleWaits()
        loop.attachments[key] = new
        return new
    }
}
