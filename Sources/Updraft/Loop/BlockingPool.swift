// Unsafe: `@unchecked Sendable` for the C semaphore, which is made for use by any thread and freed
// with the pool; all else is behind a mutex. `Unmanaged` hands the pool to each of its threads,
// which releases it when it ends.

internal import CUpdraft
internal import Synchronization

/// A bounded pool of threads for work that blocks: files, name look-ups, C libraries.
///
/// ```swift
/// let files = try BlockingPool(name: "files", size: 2, queueMax: 100, whenFull: .wait)
/// let text = try await loop.runInExecutor(files) { try readWholeFile(path) }
/// ```
///
/// It holds `size` pieces of work that run and `queueMax` that wait for a thread, first come, first
/// served; `whenFull` says what `IOLoop.runInExecutor` does with more. Threads are started when
/// there is work for them and none is free; they stay until the pool is closed, and keep it alive
/// till then. Several loops may share a pool. Contract rows S1, S2; see `docs/blocking-work.md`.
public final class BlockingPool: @unchecked Sendable {
    /// What becomes of a call of `IOLoop.runInExecutor` for which the pool has no room.
    public enum WhenFull: Sendable {
        /// The call throws `LoopError` with `.full` at once: for servers that had better say no
        /// than let their callers wait.
        case fail

        /// The calling task waits for room, in the order of the calls. What bounds the line then
        /// is the number of tasks that call.
        case wait
    }

    private struct State {
        var queue = JobQueue()
        /// Those that wait for room in the queue.
        var line = JobQueue()
        var lastTicket: UInt64 = 0
        var threads = 0
        /// Threads that wait for work.
        var idle = 0
        /// Jobs that run.
        var running = 0
        /// Jobs that have run and whose end is being told.
        var telling = 0
        var isClosed = false
        var drainCallbacks: [@Sendable () -> Void] = []
    }

    /// Threads at the most.
    public let size: Int

    /// Pieces of work that may wait for a thread.
    public let queueMax: Int

    /// What `IOLoop.runInExecutor` does when the pool is full.
    public let whenFull: WhenFull

    private let name: String
    private let state = Mutex(State())
    private let semaphore: UnsafeMutableRawPointer

    /// Makes a pool without threads yet.
    ///
    /// - Parameters:
    ///   - name: The name of its threads (the system shows 15 bytes) and of the pool in errors.
    ///   - size: Threads at the most; 1 or more.
    ///   - queueMax: Pieces of work that may wait for a thread; 1 or more.
    ///   - whenFull: What `IOLoop.runInExecutor` does when no more may wait.
    /// - Throws: `SystemError` if the system is out of memory.
    public init(
        name: String = "blocking", size: Int = 4, queueMax: Int = 1_024, whenFull: WhenFull = .fail
    ) throws {
        if size < 1 || queueMax < 1 {
            Misuse.stop(
                "A BlockingPool was made with \(size) threads and a queue of \(queueMax); it needs "
                    + "1 or more of each.")
        }
        guard let semaphore = cu_semaphore_create() else {
            throw SystemError(errno: cu_enomem, operation: "make a semaphore")
        }
        self.semaphore = semaphore
        self.name = name
        self.size = size
        self.queueMax = queueMax
        self.whenFull = whenFull
    }

    deinit {
        cu_semaphore_destroy(semaphore)
    }

    /// Pieces of work that run now. Any thread.
    public var runningCount: Int { state.withLock { $0.running } }

    /// Pieces of work that wait: for a thread, or for room in the queue. Any thread.
    public var waitingCount: Int { state.withLock { $0.queue.count + $0.line.count } }

    /// Queues work; it runs on some thread of the pool. Any thread. It never waits, whatever
    /// `whenFull` is.
    ///
    /// - Throws: `LoopError` with `.full` if `queueMax` pieces wait already, with `.closed` after
    ///   `close`; `SystemError` if the pool has no thread and none can be started.
    public func submit(_ work: @escaping @Sendable () -> Void) throws {
        let job = BlockingJob(
            run: {
                work()
                return nil
            }, refuse: { _ in })
        _ = try add(job, mayWait: false)
    }

    /// Refuses further work, and ends the threads when what is queued has run. Calls that wait for
    /// room in the queue are answered with `LoopError`, `.closed`. Any thread; it does not wait,
    /// see `shutdown`.
    public func close() {
        let (threads, refused, drained) = state.withLock { state in
            state.isClosed = true
            var refused: [BlockingJob] = []
            while let next = state.line.popFirst() { refused.append(next.job) }
            return (state.threads, refused, takeDrainCallbacks(&state))
        }
        for _ in 0..<threads { cu_semaphore_post(semaphore) }
        for job in refused { job.refuse(closedError) }
        for callback in drained { callback() }
    }

    /// Closes the pool and waits until everything that ran or was queued has ended. For a task on a
    /// loop; the loop goes on meanwhile.
    ///
    /// - Throws: `CancellationError` or `TimeoutError` if the wait is ended; the pool is closed all
    ///   the same.
    public nonisolated(nonsending) func shutdown() async throws {
        let loop = IOLoop.current
        close()
        let delivery = try Delivery<Void>(to: loop)
        whenDrained { delivery.send(.success(())) }
        try await delivery.received(for: .blockingWork)
    }

    // MARK: Jobs

    /// Queues a job.
    ///
    /// - Parameter mayWait: Whether to queue for room if there is none.
    /// - Returns: A handle for `withdraw`.
    func add(_ job: BlockingJob, mayWait: Bool) throws -> UInt64 {
        let (ticket, isQueued) = try state.withLock { state in
            if state.isClosed { throw closedError }
            state.lastTicket += 1
            let ticket = state.lastTicket
            guard hasRoom(state) else {
                guard mayWait else {
                    throw LoopError(
                        .full, "\(queueMax) pieces of work wait for the pool '\(name)' already.")
                }
                state.line.append(job, ticket)
                return (ticket, false)
            }
            state.queue.append(job, ticket)
            do {
                try startThreadIfNeeded(&state)
            } catch {
                _ = state.queue.remove(ticket)
                throw error
            }
            return (ticket, true)
        }
        if isQueued { cu_semaphore_post(semaphore) }
        return ticket
    }

    /// Takes a job back that has not begun; afterwards it never runs. One that has begun goes on.
    func withdraw(_ ticket: UInt64) {
        let (job, admitted, drained) = state.withLock { state in
            let job = state.queue.remove(ticket) ?? state.line.remove(ticket)
            return (job, admit(&state), takeDrainCallbacks(&state))
        }
        for _ in 0..<admitted { cu_semaphore_post(semaphore) }
        for callback in drained { callback() }
        // What the job holds is freed here, outside the lock.
        withExtendedLifetime(job) {}
    }

    private var closedError: LoopError { LoopError(.closed, "The pool '\(name)' is closed.") }

    /// What runs has left the queue, and what could run at once needs no place in it.
    private func hasRoom(_ state: State) -> Bool {
        state.queue.count + state.running < size + queueMax
    }

    /// Moves those that wait for room to where there is some now.
    ///
    /// - Returns: How many.
    private func admit(_ state: inout State) -> Int {
        var count = 0
        while hasRoom(state), let next = state.line.popFirst() {
            state.queue.append(next.job, next.ticket)
            count += 1
        }
        return count
    }

    /// Calls `callback` once nothing runs or waits any more; at once if that is so already.
    private func whenDrained(_ callback: @escaping @Sendable () -> Void) {
        let drained = state.withLock { state in
            state.drainCallbacks.append(callback)
            return takeDrainCallbacks(&state)
        }
        for callback in drained { callback() }
    }

    private func takeDrainCallbacks(_ state: inout State) -> [@Sendable () -> Void] {
        let isEmpty = state.queue.count + state.running + state.telling == 0
        guard state.isClosed, isEmpty else { return [] }
        let callbacks = state.drainCallbacks
        state.drainCallbacks = []
        return callbacks
    }

    // MARK: Threads

    private func startThreadIfNeeded(_ state: inout State) throws {
        if state.idle >= state.queue.count || state.threads == size { return }
        do {
            try startThread()
            state.threads += 1
        } catch {
            // With other threads there the work only waits longer; without, nobody would do it.
            if state.threads == 0 { throw error }
        }
    }

    private func startThread() throws {
        let context = Unmanaged.passRetained(self).toOpaque()
        var handle: UInt64 = 0
        let result = cu_thread_start(
            { context in
                guard let context else { return }
                Unmanaged<BlockingPool>.fromOpaque(context).takeRetainedValue().work()
            }, context, name, &handle)
        if result < 0 {
            Unmanaged<BlockingPool>.fromOpaque(context).release()
            throw SystemError(errno: result, operation: "start a thread of the pool '\(name)'")
        }
        cu_thread_detach(handle)
    }

    private enum Next {
        case job(BlockingJob)
        /// The job that the thread was woken for was taken back.
        case nothing
        case end
    }

    private func work() {
        while true {
            state.withLock { $0.idle += 1 }
            cu_semaphore_wait(semaphore)
            switch takeNext() {
            case .job(let job): run(job)
            case .nothing: continue
            case .end: return
            }
        }
    }

    private func takeNext() -> Next {
        state.withLock { state in
            state.idle -= 1
            if let next = state.queue.popFirst() {
                state.running += 1
                return .job(next.job)
            }
            guard state.isClosed else { return .nothing }
            state.threads -= 1
            return .end
        }
    }

    private func run(_ job: BlockingJob) {
        let tellEnd = job.run()
        let admitted = state.withLock { state in
            state.running -= 1
            state.telling += 1
            return admit(&state)
        }
        for _ in 0..<admitted { cu_semaphore_post(semaphore) }
        tellEnd?()
        let drained = state.withLock { state in
            state.telling -= 1
            return takeDrainCallbacks(&state)
        }
        for callback in drained { callback() }
    }
}
