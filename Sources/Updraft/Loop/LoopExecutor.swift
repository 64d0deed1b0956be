// Unsafe: `@unchecked Sendable`, twice. `ready`, `isBusy` and `loop` are touched only by the thread
// whose current-loop word is this executor's address; `inbox` is the part that every thread may
// touch. `loop` is unowned and unsafe for speed: the loop
// sets it when it is made and clears it before it goes away.

internal import CUpdraft

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

    let waker: Waker
    let taskNames = TaskNames()

    /// Loop's thread: the loop, as long as it is open.
    unowned(unsafe) var loop: IOLoop?

    /// What other threads have handed over since the last turn.
    private let inbox = Inbox<Work>()

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

    /// Hands work to the loop and wakes it if it sleeps: one wake-up serves all that is posted
    /// until it has woken. Dropped once the loop is closed (D4).
    func post(_ work: Work) {
        if inbox.put(work) { waker.wake() }
    }

    // MARK: On the loop's thread

    /// Moves what other threads handed over to the end of `ready`.
    func collectInbox() {
        var taken = inbox.takeAll()
        while let work = taken.popFirst() { ready.append(work) }
    }

    /// Whether callbacks wait for their turn, tasks that are ready left aside.
    var hasQueuedCallbacks: Bool {
        collectInbox()
        return ready.contains { work in
            if case .job = work { return false }
            return true
        }
    }

    /// Takes what other threads handed over. It comes after what stands in `ready` at the time.
    @inline(__always)
    func takeInbox() -> Inbox<Work>.Taken { inbox.takeAll() }

    /// Announces that the loop is about to block in its poll.
    ///
    /// - Returns: False if something came in meanwhile; then the poll must not block.
    func prepareToSleep() -> Bool { inbox.fallAsleep() }

    func didWakeUp() { inbox.wakeUp() }

    /// From here on posted work is dropped.
    func close() { inbox.close() }
}
