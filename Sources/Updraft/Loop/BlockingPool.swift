// Unsafe: `@unchecked Sendable` for the C semaphore, which is made for use by any thread and freed
// with the pool; the queue is behind a mutex.

internal import CUpdraft
internal import Synchronization

/// A bounded pool of threads for work that blocks: files, name look-ups, C libraries.
///
/// Threads are started when there is work for them and none is free, up to the size; they then
/// stay. Contract rows S1, S2.
public final class BlockingPool: @unchecked Sendable {
    private struct State {
        var queue = RingBuffer<@Sendable () -> Void>()
        var threads = 0
        var idle = 0
        var isClosed = false
    }

    /// Threads at the most.
    public let size: Int

    /// Pieces of work that may wait for a thread.
    public let queueMax: Int

    private let name: String
    private let state = Mutex(State())
    private let semaphore: UnsafeMutableRawPointer

    /// Makes a pool without threads yet.
    ///
    /// - Throws: `SystemError` if the system is out of memory.
    public init(name: String = "blocking", size: Int = 4, queueMax: Int = 1_024) throws {
        precondition(size > 0 && queueMax > 0, "a pool needs threads and a queue")
        guard let semaphore = cu_semaphore_create() else {
            throw SystemError(errno: cu_enomem, operation: "make a semaphore")
        }
        self.semaphore = semaphore
        self.name = name
        self.size = size
        self.queueMax = queueMax
    }

    deinit {
        cu_semaphore_destroy(semaphore)
    }

    /// Queues work; it runs on some thread of the pool.
    ///
    /// - Throws: `LoopError` with `.full` if `queueMax` pieces wait already, with `.closed` after
    ///   `close`.
    public func submit(_ work: @escaping @Sendable () -> Void) throws {
        let needsThread = try state.withLock { state in
            if state.isClosed { throw LoopError(.closed, "The pool '\(name)' is closed.") }
            if state.queue.count >= queueMax {
                throw LoopError(
                    .full, "\(queueMax) pieces of work wait for the pool '\(name)' already.")
            }
            state.queue.append(work)
            if state.idle >= state.queue.count || state.threads == size { return false }
            state.threads += 1
            return true
        }
        if needsThread {
            do {
                try startThread()
            } catch {
                // With other threads there the work only waits longer; without, nobody would do it.
                let isLost = state.withLock { state in
                    guard state.threads == 0 else { return false }
                    return state.queue.popFirst() != nil
                }
                if isLost { throw error }
            }
        }
        cu_semaphore_post(semaphore)
    }

    /// Lets what is queued run, then ends the threads. Further work is refused.
    public func close() {
        let threads = state.withLock { state in
            state.isClosed = true
            return state.threads
        }
        for _ in 0..<threads { cu_semaphore_post(semaphore) }
    }

    private func startThread() throws {
        // Every thread keeps its pool alive until it ends.
        let context = Unmanaged.passRetained(self).toOpaque()
        var handle: UInt64 = 0
        let result = cu_thread_start(
            { context in
                guard let context else { return }
                Unmanaged<BlockingPool>.fromOpaque(context).takeRetainedValue().work()
            }, context, name, &handle)
        if result < 0 {
            Unmanaged<BlockingPool>.fromOpaque(context).release()
            state.withLock { $0.threads -= 1 }
            throw SystemError(errno: result, operation: "start a thread of the pool '\(name)'")
        }
        cu_thread_detach(handle)
    }

    private func work() {
        while true {
            state.withLock { $0.idle += 1 }
            cu_semaphore_wait(semaphore)
            let (work, isClosed) = state.withLock { state in
                state.idle -= 1
                return (state.queue.popFirst(), state.isClosed)
            }
            if let work {
                work()
            } else if isClosed {
                return
            }
        }
    }
}

extension IOLoop {
    /// Runs blocking work on a pool of threads and comes back to the loop with its result (S2).
    ///
    /// ```swift
    /// let text = try await loop.runInExecutor { try readWholeFile(path) }
    /// ```
    ///
    /// If the calling task is cancelled, the call ends at once; work that has not begun is then
    /// left out, work that has goes on and its result is dropped.
    ///
    /// - Parameters:
    ///   - pool: `blockingPool` by default.
    ///   - work: What blocks. It must not touch anything that belongs to a loop.
    /// - Throws: What the work throws; `LoopError` with `.full`; `CancellationError`;
    ///   `TimeoutError`.
    public nonisolated(nonsending) func runInExecutor<R: Sendable>(
        _ pool: BlockingPool? = nil, _ work: @escaping @Sendable () throws -> R
    ) async throws -> R {
        checkThread("IOLoop.runInExecutor")
        let pool = try pool ?? defaultPool()
        return try await run(work, on: pool, SharedResult<R>())
    }

    private nonisolated(nonsending) func run<R: Sendable>(
        _ work: @escaping @Sendable () throws -> R, on pool: BlockingPool, _ shared: SharedResult<R>
    ) async throws -> R {
        let waiter = Waiter(loop: self)
        let ticket = guests.insert(waiter)
        defer { guests.remove(ticket) }
        let executor = executor
        try pool.submit {
            guard shared.begin() else { return }
            shared.set(Result { try work() })
            executor.postCallback { loop in loop.guests[ticket]?.fire() }
        }
        do {
            try await waiter.wait(for: .blockingWork)
        } catch {
            shared.abandon()
            throw error
        }
        guard let result = shared.take() else { throw CancellationError() }
        return try result.get()
    }

    private func defaultPool() throws -> BlockingPool {
        if let blockingPool { return blockingPool }
        let pool = try BlockingPool()
        blockingPool = pool
        ownsBlockingPool = true
        return pool
    }
}

/// Carries a result from a pool's thread to a loop.
private final class SharedResult<R: Sendable>: Sendable {
    private enum State {
        case waiting
        case abandoned
        case running
        case done(Result<R, any Error>)
    }

    private let state = Mutex(State.waiting)

    /// Whether the work is still wanted.
    func begin() -> Bool {
        state.withLock { state in
            guard case .waiting = state else { return false }
            state = .running
            return true
        }
    }

    func set(_ result: Result<R, any Error>) {
        state.withLock { $0 = .done(result) }
    }

    func abandon() {
        state.withLock { state in
            if case .waiting = state { state = .abandoned }
        }
    }

    func take() -> Result<R, any Error>? {
        state.withLock { state in
            guard case .done(let result) = state else { return nil }
            return result
        }
    }
}
