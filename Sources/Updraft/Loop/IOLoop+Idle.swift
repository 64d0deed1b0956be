extension IOLoop {
    /// Callbacks and tasks that are ready to run, and streams with output of this turn: for
    /// `waitUntilIdle` of the testing library. What other threads hand over is among them one turn
    /// later.
    package var readyWork: Int { executor.ready.count + flushQueue.count }

    /// Whether a timeout is due that has not run.
    package var hasDueTimeout: Bool {
        finishRemovals()
        return timers.nextDeadline.map { $0 <= clock.now().nanoseconds } ?? false
    }
}
