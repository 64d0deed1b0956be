// Unsafe: `nonisolated(unsafe)` copies carry loop-local values into the closure of a task that this
// loop's executor runs, on the thread they come from.

internal import Logging

/// Tasks that a loop has started and that have not ended.
struct TaskRegistry {
    private(set) var running: [UInt64: Task<Void, Never>] = [:]
    private var last: UInt64 = 0

    mutating func newKey() -> UInt64 {
        last += 1
        return last
    }

    mutating func add(_ task: Task<Void, Never>, _ key: UInt64) { running[key] = task }
    mutating func remove(_ key: UInt64) { running[key] = nil }
}

extension IOLoop {
    /// Starts a task on this loop: in place of `Task { }`, which would leave the loop's thread.
    ///
    /// The closure may use whatever is on the loop: streams, your own classes. It begins in this
    /// turn or the next, never before `spawn` returns. A throwing body's error goes to
    /// `onUnhandledError`, but for cancellation.
    ///
    /// ```swift
    /// loop.spawn { try await room.announce("welcome") }
    /// ```
    ///
    /// - Parameter name: Shown by debuggers and in log lines.
    /// - Returns: The task, to cancel it or to wait for its end.
    @discardableResult
    public func spawn(
        name: String? = nil,
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) -> Task<Void, Never> {
        checkThread("IOLoop.spawn")
        return start(name: name, parent: nil) { [unowned self] in
            do {
                try await body()
            } catch is CancellationError {
                // Ended on request.
            } catch {
                onUnhandledError(error, name.map { "Task '\($0)'" } ?? "A task")
            }
        }
    }

    /// Starts a task whose scope (what ends its waits) hangs below `parent`.
    func start(
        name: String?, parent: TaskScope?,
        _ body: nonisolated(nonsending) @escaping () async -> Void
    ) -> Task<Void, Never> {
        let key = tasks.newKey()
        let executor = executor
        nonisolated(unsafe) let loop = self
        nonisolated(unsafe) let body = body
        let task = Task(name: name, executorPreference: executor) {
            await loop.runScoped(parent: parent, body)
            loop.tasks.remove(key)
            // A task's executor preference does not keep the executor alive.
            withExtendedLifetime(executor) {}
        }
        tasks.add(task, key)
        return task
    }

    private nonisolated(nonsending) func runScoped(
        parent: TaskScope?, _ body: nonisolated(nonsending) () async -> Void
    ) async {
        let scope = TaskScope(loop: self, parent: parent)
        let executor = executor
        await withTaskCancellationHandler {
            await scope.run(body)
        } onCancel: {
            executor.postCallback { _ in scope.end(CancellationError()) }
        }
    }

    /// Cancels what runs and gives it the turns it needs to end. A task that waits for something
    /// that is not the loop's is left alone once nothing else moves.
    func endTasks() {
        guard !tasks.running.isEmpty, !isInTurns else { return }
        for task in tasks.running.values { task.cancel() }
        do {
            while !tasks.running.isEmpty, try runIdleTurn() {}
        } catch {
            logger.error("While ending tasks: \(error)")
        }
    }
}

// MARK: Entry points

extension IOLoop {
    /// Makes a loop on the calling thread, runs `body` as its first task, and returns what the
    /// body returns or throws. The entry point of a program:
    ///
    /// ```swift
    /// @main struct Program {
    ///     static func main() throws {
    ///         try IOLoop.run { loop in try await loop.sleep(for: .seconds(1)) }
    ///     }
    /// }
    /// ```
    ///
    /// When the body ends, tasks that it spawned are cancelled, and unsent output is sent as far
    /// as the kernel takes it.
    ///
    /// - Throws: What the body throws; `LoopError` if a loop runs on this thread already.
    public static func run<R>(
        _ body: nonisolated(nonsending) sending @escaping (IOLoop) async throws -> R
    ) throws -> R {
        if let running = currentIfAny, running.isInTurns {
            throw LoopError(.alreadyRunning, "IOLoop.run was called on a thread whose loop runs.")
        }
        let loop = try IOLoop()
        defer { loop.close() }
        return try loop.runSync { try await body(loop) }
    }

    /// Starts the loop, runs `body` in it, stops the loop and returns the body's result
    /// (contract row A11).
    ///
    /// - Parameter timeout: After so long the body is cancelled and `TimeoutError` is thrown;
    ///   nil means no limit.
    /// - Throws: What the body throws; `TimeoutError`; `LoopError` with `.stopped` if someone
    ///   stops the loop first.
    public func runSync<R>(
        timeout: Duration? = nil,
        _ body: nonisolated(nonsending) @escaping () async throws -> R
    ) throws -> R {
        checkThread("IOLoop.runSync")
        let outcome = Outcome<R>()
        let task = start(name: "runSync", parent: nil) { [unowned self] in
            await outcome.run(body)
            // One that timed out may end in a later run of the loop, which is not its to stop.
            if outcome.isAwaited { stop() }
        }
        defer { outcome.isAwaited = false }
        var expiry: Timeout?
        if let timeout {
            expiry = callLater(timeout) { [unowned self] in
                task.cancel()
                stop()
            }
        }
        defer { if let expiry { removeTimeout(expiry) } }
        try start()
        if let result = outcome.result { return try result.get() }
        if let timeout, isExpired(expiry) { throw TimeoutError(after: timeout) }
        throw LoopError(.stopped, "The loop was stopped before what it was to run had ended.")
    }

    private func isExpired(_ timeout: Timeout?) -> Bool {
        timeout.map { !timers.isPending($0) } ?? false
    }
}

/// Where a task leaves its result.
final class Outcome<R> {
    /// Whether whoever started the task still waits for its end.
    var isAwaited = true
    private(set) var result: Result<R, any Error>?

    nonisolated(nonsending) func run(
        _ body: nonisolated(nonsending) () async throws -> R
    ) async {
        do {
            result = .success(try await body())
        } catch {
            result = .failure(error)
        }
    }
}
