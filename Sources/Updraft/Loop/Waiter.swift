/// One place where one task at a time waits for the loop: the bottom of every `await` in Updraft.
/// Not final, for `WaitPlace` to be one object with it; what it does itself is.
///
/// A waiter belongs to its loop's thread. Whoever has what is waited for calls `fire`, at most
/// once per wait; a wake-up that comes between the start of the wait and the suspension is
/// remembered. `wait` also ends, with an error, when the task is cancelled or a `withTimeout`
/// around it expires; the owner of the waiter sees that `isWaiting` is false again.
package class Waiter {
    private enum State {
        case idle
        /// `wait` has begun; the task has not suspended yet.
        case entered
        case suspended(UnsafeContinuation<Void, Never>)
        /// Woken; `wait` has not returned yet.
        case fired
    }

    @exclusivity(unchecked) private final var state = State.idle
    @exclusivity(unchecked) private final var failure: (any Error)?
    private final unowned let loop: IOLoop

    package init(loop: IOLoop) {
        self.loop = loop
    }

    /// Whether a task is between the start of its wait and its wake-up.
    package final var isWaiting: Bool {
        switch state {
        case .idle, .fired: false
        case .entered, .suspended: true
        }
    }

    /// Whether a wait has begun and not yet returned to its task.
    package final var isInUse: Bool {
        if case .idle = state { return false }
        return true
    }

    /// Suspends the calling task until `fire`.
    ///
    /// - Parameter purpose: What `IOLoop.dump` says of the task meanwhile.
    /// - Throws: The error given to `fire`; `CancellationError` if the task is cancelled;
    ///   `TimeoutError` if a `withTimeout` around the wait expires.
    package final nonisolated(nonsending) func wait(for purpose: WaitPurpose = .other) async throws
    {
        guard case .idle = state else { Misuse.stop("Two tasks wait in one place.") }
        let scope = TaskScope.current
        if let error = scope?.verdict { throw error }
        if let scope, scope.owner == CurrentTask.identity {
            if scope.isOwnerCancelled { throw CancellationError() }
            state = .entered
            scope.ownWait = self
            scope.ownPurpose = purpose
            await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
                suspended(with: continuation)
            }
            scope.ownWait = nil
        } else {
            if Task.isCancelled { throw CancellationError() }
            state = .entered
            await waitAsGuest(of: scope)
        }
        state = .idle
        if let failure {
            self.failure = nil
            throw failure
        }
    }

    /// Suspends until `fire`, whatever happens to the task: for waits that clean up.
    package final nonisolated(nonsending) func waitUncancellably() async {
        guard case .idle = state else { Misuse.stop("Two tasks wait in one place.") }
        state = .entered
        await suspend()
        state = .idle
        failure = nil
    }

    /// Ends the wait, if there is one that has not been ended.
    ///
    /// The task may run before this returns: take everything out of `self` first, fire last.
    package final func fire(_ error: (any Error)? = nil) {
        switch state {
        case .idle, .fired:
            return
        case .entered:
            failure = error
            state = .fired
        case .suspended(let continuation):
            failure = error
            state = .fired
            continuation.resume()
        }
    }

    private final nonisolated(nonsending) func suspend() async {
        await withUnsafeContinuation { (continuation: UnsafeContinuation<Void, Never>) in
            suspended(with: continuation)
        }
    }

    /// A task may pass through the loop's queue between the start of its wait and here, so the
    /// wake-up may have come.
    @inline(__always)
    private final func suspended(with continuation: UnsafeContinuation<Void, Never>) {
        if case .fired = state {
            continuation.resume()
        } else {
            state = .suspended(continuation)
        }
    }

    /// The wait of a task that the library did not start (a child of a standard group, an
    /// `async let`, a `Task` of the user's): nothing else tells this waiter of its cancellation.
    private final nonisolated(nonsending) func waitAsGuest(of scope: TaskScope?) async {
        let executor = loop.executor
        let ticket = loop.guests.insert(self)
        scope?.add(guest: ticket)
        await withTaskCancellationHandler {
            await suspend()
        } onCancel: {
            executor.postCallback { loop in loop.guests[ticket]?.fire(CancellationError()) }
        }
        scope?.remove(guest: ticket)
        loop.guests.remove(ticket)
    }
}
