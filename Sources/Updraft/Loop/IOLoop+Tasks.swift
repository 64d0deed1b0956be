// Unsafe: `nonisolated(unsafe)` copies carry loop-local values into the closure of a task that this
// loop's executor runs, on the thread they come from.

internal import CUpdraft
internal import Logging

/// What a task of the library does. A class and no closure: every closure on the way from a task
/// to a connection's read would be one more frame in the memory of an idle connection.
protocol TaskBody: AnyObject, SendableMetatype {
    nonisolated(nonsending) func run() async
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
    /// - Parameter name: Shown by debuggers, in log lines, by the watchdog and by `dump`.
    /// - Returns: The task, to cancel it (from any thread) or to wait for its end.
    @discardableResult
    public func spawn(
        name: String? = nil,
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) -> Task<Void, Never> {
        checkThread("IOLoop.spawn")
        let scope = TaskScope(executor, about: TaskLabel.of(name))
        let executor = executor
        nonisolated(unsafe) let loop = self
        nonisolated(unsafe) let body = body
        began(scope, below: rootScope)
        return scope.bound {
            Task(name: name, executorPreference: executor) {
                scope.begin()
                if let name { executor.taskNames.add(.given(name), for: scope.owner) }
                await loop.runCancellable(name, scope, body)
                if name != nil { executor.taskNames.remove(scope.owner) }
                loop.ended(scope)
                withExtendedLifetime(executor) {}
            }
        }
    }

    /// The holder of a plain `Task` can cancel it without our knowing; the handler tells the scope.
    private nonisolated(nonsending) func runCancellable(
        _ name: String?, _ scope: TaskScope,
        _ body: nonisolated(nonsending) () async throws -> Void
    ) async {
        let executor = executor
        do {
            try await withTaskCancellationHandler {
                try await body()
            } onCancel: {
                executor.postCallback { _ in scope.end(CancellationError()) }
            }
        } catch is CancellationError {
            // Ended on request.
        } catch {
            reportFailure(error, of: name)
        }
    }

    /// Apart, because what the text is built with would be part of every task's frame.
    @inline(never)
    private func reportFailure(_ error: any Error, of name: String?) {
        onUnhandledError(error, name.map { "Task '\($0)'" } ?? "A task")
    }

    /// Starts a task that nobody outside holds: only its scope ends it.
    ///
    /// The scope is bound before the task is made instead of around its body, and the task is one
    /// that may throw (it never does), because each of these would cost two frames more.
    @inline(__always)
    func start(_ body: some TaskBody, below parent: TaskScope) -> TaskScope {
        let scope = TaskScope(executor, about: body)
        let executor = executor
        nonisolated(unsafe) let loop = self
        nonisolated(unsafe) let body = body
        began(scope, below: parent)
        scope.bound {
            _ = Task<Void, any Error>(executorPreference: executor) {
                scope.begin()
                await body.run()
                loop.ended(scope)
                // A task's executor preference does not keep the executor alive.
                withExtendedLifetime(executor) {}
            }
        }
        return scope
    }

    /// The same for a closure.
    @discardableResult
    func start(
        named name: String? = nil, below parent: TaskScope,
        _ body: nonisolated(nonsending) @escaping () async -> Void
    ) -> TaskScope {
        start(ClosureBody(name, executor, body), below: parent)
    }

    private func began(_ scope: TaskScope, below parent: TaskScope) {
        scope.attach(to: parent)
        taskCount += 1
        tasksStarted &+= 1
    }

    private func ended(_ scope: TaskScope) {
        scope.finish()
        taskCount -= 1
    }

    /// Cancels what runs and gives it a moment to end. A task that is still in a wait that is not
    /// the loop's then (a continuation of the user's) is left behind.
    func endTasks() {
        guard taskCount > 0, !isInTurns else { return }
        rootScope.cancel()
        let deadline = cu_monotonic_nanoseconds() + IOLoop.endGraceNanoseconds
        do {
            while taskCount > 0, cu_monotonic_nanoseconds() < deadline {
                if try runIdleTurn() == false { cu_sleep_milliseconds(1) }
            }
        } catch {
            libraryLogger.error("While ending tasks: \(error)")
        }
    }
}

extension IOLoop {
    private static let endGraceNanoseconds: Int64 = 100_000_000
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
    /// When the body ends, stop hooks run (`onStop`) and callbacks that are queued; then tasks that
    /// it spawned are cancelled, and unsent output is sent as far as the kernel takes it. As the
    /// whole of a program, `main` is the better form: it turns an error into a line and an exit
    /// code.
    ///
    /// - Parameters:
    ///   - poller: Which of the system's pollers the loop uses.
    ///   - body: Gets the loop.
    /// - Throws: What the body throws; `ShutdownError` if it throws nothing but connections were
    ///   cut by a shutdown, or a stop hook failed; `LoopError` if a loop runs on this thread
    ///   already, or with `.pollerUnavailable` if the system does not have the poller.
    public static func run<R>(
        poller: PollerChoice = .best,
        _ body: nonisolated(nonsending) sending @escaping (IOLoop) async throws -> R
    ) throws -> R {
        if let running = currentIfAny, running.isInTurns {
            throw LoopError(.alreadyRunning, "IOLoop.run was called on a thread whose loop runs.")
        }
        let loop = try IOLoop(poller: poller)
        defer { loop.close() }
        return try loop.runSync { try await loop.finishing { try await body(loop) } }
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
        let scope = start(named: "runSync", below: rootScope) { [unowned self] in
            await outcome.run(body)
            // One that timed out may end in a later run of the loop, which is not its to stop.
            if outcome.isAwaited { stop() }
        }
        defer { outcome.isAwaited = false }
        var expiry: Timeout?
        if let timeout {
            expiry = runLater(timeout) { [unowned self] in
                scope.cancel()
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

private final class ClosureBody: TaskBody, TaskSubject {
    private let name: String?
    private let executor: LoopExecutor
    private let body: nonisolated(nonsending) () async -> Void

    var taskDescription: String { TaskLabel.describe(name) }
    var taskName: TaskName? { name.map(TaskName.given) }

    init(
        _ name: String?, _ executor: LoopExecutor,
        _ body: nonisolated(nonsending) @escaping () async -> Void
    ) {
        self.name = name
        self.executor = executor
        self.body = body
    }

    nonisolated(nonsending) func run() async {
        if let name { executor.taskNames.add(.given(name), for: CurrentTask.identity) }
        await body()
        if name != nil { executor.taskNames.remove(CurrentTask.identity) }
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
