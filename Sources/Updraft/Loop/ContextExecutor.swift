// Unsafe: `@unchecked Sendable`. One belongs to a loop and is touched by that loop's thread only;
// or it is made for one callback, by the thread that adds the callback, and goes with the callback
// to the loop's thread. `Leftover` is unchecked for the same reason.

/// Keeps the small tasks that carry a caller's task-locals until the loop runs them.
///
/// There is no way to read a task's locals, but a new task is made with copies of them. So a
/// callback's context is a task that is not run yet: its executor preference is one of these, which
/// keeps the job that the language hands over. When the callback is due, the job is run, there and
/// then, on top of the loop, and calls the callback. See `docs/context.md`.
final class ContextExecutor: TaskExecutor, @unchecked Sendable {
    /// A context whose callback will not run (again).
    ///
    /// A task can't be destroyed from outside. It has to run to its end to be freed.
    enum Leftover: @unchecked Sendable {
        case job(UnownedJob)
        case parked(UnsafeContinuation<Void, Never>)
    }

    /// What the language has just made ready.
    @exclusivity(unchecked) private var job: UnownedJob?

    /// What the task that runs next is to do; without it the task ends.
    @exclusivity(unchecked) private var work: (() -> Void)?

    /// Where the task that has just done its work waits for more.
    @exclusivity(unchecked) private var parked: UnsafeContinuation<Void, Never>?

    @exclusivity(unchecked) private var leftovers: [Leftover] = []
    private var isOpen: Bool

    /// - Parameter endsDropped: Whether someone calls `endDropped`. If not, a context that is
    ///   dropped ends at once, on top of whatever drops it.
    init(endsDropped: Bool) {
        isOpen = endsDropped
    }

    func enqueue(_ job: UnownedJob) {
        self.job = job
    }

    func enqueue(_ job: consuming ExecutorJob) {
        enqueue(UnownedJob(job))
    }

    /// Makes a task that has the caller's task-locals, and does not run it.
    func makeTask(isRepeated: Bool) -> UnownedJob? {
        // Without the scope: what ends the caller's waits must not end what its callbacks start.
        TaskScope.unbound {
            if isRepeated {
                _ = Task<Void, any Error>(executorPreference: self) {
                    while self.doWork() {
                        await withUnsafeContinuation { self.parked = $0 }
                    }
                    withExtendedLifetime(self) {}
                }
            } else {
                _ = Task<Void, any Error>(executorPreference: self) {
                    _ = self.doWork()
                    withExtendedLifetime(self) {}
                }
            }
        }
        return job.take()
    }

    /// Does `work` here and now, in a task that is made for it and has no task-locals.
    func runInBareTask(_ work: () -> Void) {
        _ = Task<Void, any Error>.detached(executorPreference: self, priority: Task.currentPriority)
        {
            _ = self.doWork()
            withExtendedLifetime(self) {}
        }
        guard let job = job.take() else { return work() }
        _ = run(job, doing: work)
    }

    /// Does `work` in the task that `job` belongs to.
    ///
    /// - Returns: Where the task waits for more, if it is one of the repeated kind.
    @inline(__always)
    func run(_ job: UnownedJob, doing work: () -> Void) -> UnsafeContinuation<Void, Never>? {
        withoutActuallyEscaping(work) { work in
            self.work = work
            run(job)
        }
        return parked.take()
    }

    /// The same for a task that has done work before and waits.
    @inline(__always)
    func run(
        _ waiting: UnsafeContinuation<Void, Never>, doing work: () -> Void
    ) -> UnsafeContinuation<Void, Never>? {
        waiting.resume()
        guard let job = job.take() else { return nil }
        return run(job, doing: work)
    }

    /// Lets a context end whose callback will not run (again).
    func drop(_ leftover: Leftover) {
        if isOpen { leftovers.append(leftover) } else { end(leftover) }
    }

    /// Ends what was dropped. On top of the loop, outside tasks.
    @inline(__always)
    func endDropped() {
        if !leftovers.isEmpty { endLeftovers() }
    }

    /// From here on contexts end when they are dropped.
    func close() {
        isOpen = false
        endDropped()
    }

    private func endLeftovers() {
        // What is freed may drop more.
        while !leftovers.isEmpty {
            var ending: [Leftover] = []
            swap(&ending, &leftovers)
            for leftover in ending { end(leftover) }
        }
    }

    private func end(_ leftover: Leftover) {
        switch leftover {
        case .job(let job):
            run(job)
        case .parked(let continuation):
            continuation.resume()
            if let job = job.take() { run(job) }
        }
    }

    /// As on this executor and no other, or the task would begin by asking to be moved here.
    @inline(__always)
    private func run(_ job: UnownedJob) {
        job.runSynchronously(on: asUnownedTaskExecutor())
    }

    /// Called by the tasks.
    @inline(__always)
    private func doWork() -> Bool {
        guard let work = work.take() else { return false }
        work()
        return true
    }
}
