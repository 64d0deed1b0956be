// Unsafe: `@unchecked Sendable`, twice. `ready`, `isBusy` and `loop` are touched only by the thread
// whose current-loop word is this executor's address; `inbox` and `isSleeping` are the locked and
// the atomic part that every thread may touch. `loop` is unowned and unsafe for speed: the loop
// sets it when it is made and clears it before it goes away.

internal import CUpdraft
internal import Synchronization

/// Runs a loop's tasks on the loop's thread: the executor that every task of the library carries
/// as its task-executor preference.
///
/// It is Sendable, and with `IOLoop.Remote` the only part of a loop that is. Give it to
/// `Task(executorPreference:)` to start a task on the loop from another thread, or to an actor
/// (see `LoopBound`) to keep the actor there.
public final class LoopExecutor: SerialExecutor, TaskExecutor, @unchecked Sendable {
    /// Something to run in a turn: a task's next piece, or a callback.
    ///
    /// Unchecked, because the queue of the loop's own thread holds closures of that thread only;
    /// what comes through `post` from elsewhere is made of Sendable closures.
    enum Work: @unchecked Sendable {
        case job(UnownedJob)
        case callback(() -> Void)
        /// From any thread; may throw.
        case remoteCallback(@Sendable () throws -> Void)
        /// From any thread, for whoever needs the loop.
        case remote(@Sendable (IOLoop) -> Void)
    }

    /// What other threads have handed over since the last turn.
    private struct Inbox {
        var work = RingBuffer<Work>()
        var isClosed = false
    }

    let waker: Waker
    let taskNames = TaskNames()

    /// Loop's thread: the loop, as long as it is open.
    unowned(unsafe) var loop: IOLoop?

    private let inbox = Mutex(Inbox())
    private let isSleeping = Atomic<Bool>(false)

    /// Loop's thread: what step 1 of the next turn runs, first in, first out.
    @exclusivity(unchecked) var ready = RingBuffer<Work>()

    /// Loop's thread: whether some job or user callback is on the stack, so that a task made ready
    /// now has to wait for its turn. Only while the loop itself resumes a task (a stream's reader,
    /// a sleeper) is it false; then the task runs at once, without passing through `ready`.
    @exclusivity(unchecked) var isBusy = true

    init() throws(SystemError) {
        waker = try Waker()
    }

    deinit {
        waker.close()
    }

    /// The executor of the calling thread's loop.
    ///
    /// - Precondition: The calling thread has a current loop.
    public static var ofThisThread: LoopExecutor {
        IOLoop.requireCurrent().executor
    }

    /// Whether the calling thread is this loop's.
    @inline(__always)
    var isOnThread: Bool {
        cu_current_loop() == Unmanaged.passUnretained(self).toOpaque()
    }

    /// Called by the language when a task of this executor is ready, on any thread.
    public func enqueue(_ job: UnownedJob) {
        if isOnThread {
            if isBusy { ready.append(.job(job)) } else { run(job) }
        } else {
            post(.job(job))
        }
    }

    /// The same, in the form that the language's protocols ask for.
    public func enqueue(_ job: consuming ExecutorJob) {
        enqueue(UnownedJob(job))
    }

    /// For actors on the loop.
    public func asUnownedSerialExecutor() -> UnownedSerialExecutor {
        UnownedSerialExecutor(ordinary: self)
    }

    /// For tasks on the loop.
    public func asUnownedTaskExecutor() -> UnownedTaskExecutor {
        UnownedTaskExecutor(ordinary: self)
    }

    /// Stops the program with a sentence if the caller is not on the loop's thread.
    public func checkIsolated() {
        if !isOnThread { Misuse.wrongThread("Code of an actor on a loop") }
    }

    /// Whether the caller is on the loop's thread.
    public func isIsolatingCurrentContext() -> Bool? {
        isOnThread
    }

    /// Runs one piece of a task, on the loop's thread.
    ///
    /// In the form for task executors: for tasks without an actor, which handlers are, the form
    /// for serial executors sends every later resumption through `ready`.
    @inline(__always)
    func run(_ job: UnownedJob) {
        isBusy = true
        job.runSynchronously(on: asUnownedTaskExecutor())
        isBusy = false
    }

    // MARK: From any thread

    /// Hands work to the loop and wakes it if it sleeps. Dropped once the loop is closed (D4).
    func post(_ work: Work) {
        inbox.withLock { inbox in
            if !inbox.isClosed { inbox.work.append(work) }
        }
        wake()
    }

    /// Wakes the loop if it sleeps. One wake-up serves all that was posted since it went to sleep.
    func wake() {
        if isSleeping.exchange(false, ordering: .sequentiallyConsistent) { waker.wake() }
    }

    // MARK: On the loop's thread

    /// Moves what other threads handed over to the end of `ready`.
    func collectInbox() {
        inbox.withLock { inbox in
            if inbox.work.isEmpty { return }
            // Most often nothing else is ready: then nothing is moved, and the queues change roles.
            if ready.isEmpty { return swap(&inbox.work, &ready) }
            while let item = inbox.work.popFirst() { ready.append(item) }
        }
    }

    /// Announces that the loop is about to block in its poll.
    ///
    /// - Returns: False if something came in meanwhile; then the poll must not block. The flag is
    ///   set before the inbox is looked at, so one side always sees the other.
    func prepareToSleep() -> Bool {
        isSleeping.store(true, ordering: .sequentiallyConsistent)
        let isEmpty = inbox.withLock { $0.work.isEmpty }
        if !isEmpty { isSleeping.store(false, ordering: .sequentiallyConsistent) }
        return isEmpty
    }

    func didWakeUp() {
        isSleeping.store(false, ordering: .sequentiallyConsistent)
    }

    /// From here on posted work is dropped.
    func close() {
        // Freed outside the lock: what the callbacks hold may have something to post.
        let dropped = inbox.withLock { inbox in
            let work = inbox.work
            inbox.isClosed = true
            inbox.work = RingBuffer()
            return work
        }
        withExtendedLifetime(dropped) {}
    }
}
