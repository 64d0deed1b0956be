internal import CUpdraft

/// The task-locals of the code that added a callback, timeout or handler, for it to run with.
///
/// Contract rows C1, D1, I3. Made only where there are some: see `TaskLocals`. It is freed like the
/// closure it belongs to: when the loop lets go of it, whether it was used or not.
final class CallbackContext {
    private enum State {
        case fresh(UnownedJob)
        case parked(UnsafeContinuation<Void, Never>)
        /// In use, or used up.
        case empty
    }

    private let executor: ContextExecutor
    @exclusivity(unchecked) private var state: State

    /// Takes the context of the running code, for one use or for any number.
    init(_ executor: ContextExecutor, isRepeated: Bool) {
        self.executor = executor
        state = executor.makeTask(isRepeated: isRepeated).map(State.fresh) ?? .empty
    }

    deinit {
        switch state {
        case .fresh(let job): executor.drop(.job(job))
        case .parked(let continuation): executor.drop(.parked(continuation))
        case .empty: break
        }
    }

    /// Runs `body` in the context. On top of the loop, outside tasks.
    @inline(__always)
    func run(_ body: () -> Void) {
        let state = state
        self.state = .empty
        let waiting: UnsafeContinuation<Void, Never>?
        switch state {
        case .fresh(let job): waiting = executor.run(job, doing: body)
        case .parked(let continuation): waiting = executor.run(continuation, doing: body)
        case .empty: return
        }
        if let waiting { self.state = .parked(waiting) }
    }
}

extension IOLoop {
    /// The context of the running code, for a callback that is to run with it; nil if there is
    /// none: where no task-locals are bound, outside tasks, in `withoutContext`.
    @inline(__always)
    func captureContext(isRepeated: Bool = false) -> CallbackContext? {
        guard let task = CurrentTask.identity, !TaskLocals.areMissing(in: task),
            !contextFreeTasks.contains(task)
        else { return nil }
        return CallbackContext(contexts, isRepeated: isRepeated)
    }

    /// Adds handlers, callbacks and timeouts that do not run with the caller's task-locals.
    ///
    /// For what runs often and needs no context. A handler that has none costs less, and what it
    /// adds has none either:
    ///
    /// ```swift
    /// try loop.withoutContext {
    ///     try loop.addHandler(listener, events: .read) { _, _ in try acceptAll() }
    /// }
    /// ```
    ///
    /// - Throws: What `body` throws.
    public func withoutContext<R, E: Error>(_ body: () throws(E) -> R) throws(E) -> R {
        checkThread("IOLoop.withoutContext")
        let outer = contextFreeTasks.inBody
        contextFreeTasks.inBody = CurrentTask.identity
        defer { contextFreeTasks.inBody = outer }
        return try body()
    }
}

/// Tasks whose context is not taken along.
struct ContextFreeTasks {
    /// The one in which callbacks without a context run.
    var ofTurns: CurrentTask.Identity?

    /// The one that is in `withoutContext`.
    var inBody: CurrentTask.Identity?

    @inline(__always)
    func contains(_ task: CurrentTask.Identity) -> Bool {
        // A callback may bind something itself. Where that can't be told, making a task for each
        // thing that callbacks add would be too dear.
        task == inBody || (task == ofTurns && !TaskLocals.isTrusted)
    }
}
