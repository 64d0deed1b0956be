// Unsafe: `nonisolated(unsafe)` carries a loop from its thread to the task that starts the body;
// that task touches it on the loop's thread only.

internal import Synchronization
public import Updraft

#if THREAD_SANITIZER
    private typealias Mutex = SanitizedMutex
#endif

/// Runs `body` as `IOLoop.run` does, on a thread of its own, and returns what it returns: the
/// frame of a test of code that lives on a loop.
///
/// ```swift
/// @Test func echoesALine() async throws {
///     try await withLoop { loop in
///         let (near, far) = try MemoryStream.pair(on: loop)
///         loop.spawn { try await far.write(far.read(until: "\n")) }
///         try await near.write("hello\n")
///         #expect(try await near.read(until: "\n") == Array("hello\n".utf8))
///     }
/// }
/// ```
///
/// Tests in parallel have a loop and a thread each.
///
/// - Parameters:
///   - timeLimit: Real time, also where the loop's is not. A body that takes longer is stopped;
///     the call does not wait for it, even if it blocks its thread for ever.
///   - body: Gets the loop. What it uses from outside must be Sendable.
/// - Returns: What the body returns.
/// - Throws: What the body throws; `TimeoutError` after `timeLimit`; `CancellationError` if the
///   calling task is cancelled.
public func withLoop<R: Sendable>(
    timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    try await withLoop(making: { try IOLoop() }, timeLimit: timeLimit, body)
}

/// Runs `body` as `withLoop` does, on a loop that you make: with a poller or a clock of your own.
///
/// - Parameter making: Called on the loop's thread.
/// - Returns: What the body returns.
/// - Throws: What `making` or the body throws; otherwise as `withLoop(timeLimit:_:)`.
public func withLoop<R: Sendable>(
    making: @escaping @Sendable () throws -> IOLoop, timeLimit: Duration = .seconds(30),
    _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
) async throws -> R {
    let run = LoopRun<R>()
    return try await withThrowingTaskGroup(of: Void.self) { group in
        defer { group.cancelAll() }
        group.addTask {
            try await Task.sleep(for: timeLimit)
            run.end(.failure(TimeoutError(after: timeLimit)))
        }
        return try await run.result(making, body)
    }
}

/// Carries a loop from its thread to the task that starts the body on it.
private struct LoopBox: Sendable {
    nonisolated(unsafe) let loop: IOLoop
    let executor: LoopExecutor
    let remote: IOLoop.Remote
}

/// A loop on a thread of its own, and the one result that is handed back from it.
private final class LoopRun<R: Sendable>: Sendable {
    private struct State {
        var continuation: CheckedContinuation<R, any Error>?
        /// What the body has left, to be handed back once the loop is closed.
        var outcome: Result<R, any Error>?
        /// What is handed back: the first end that there was.
        var result: Result<R, any Error>?
    }

    private let state = Mutex(State())

    func result(
        _ making: @escaping @Sendable () throws -> IOLoop,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
    ) async throws -> R {
        let box = try await startThread(making)
        showHandover()
        await withTaskExecutorPreference(box.executor) { launch(body, on: box) }
        return try await withTaskCancellationHandler {
            defer { box.remote.stop() }
            return try await withCheckedThrowingContinuation { continuation in
                let result = state.withLock { state in
                    if state.result == nil { state.continuation = continuation }
                    return state.result
                }
                if let result { continuation.resume(with: result) }
            }
        } onCancel: {
            end(.failure(CancellationError()))
        }
    }

    /// Hands the result back, unless there was one before.
    func end(_ result: Result<R, any Error>) {
        let continuation = state.withLock { state in
            guard state.result == nil else { return nil as CheckedContinuation<R, any Error>? }
            state.result = result
            return state.continuation.take()
        }
        continuation?.resume(with: result)
    }

    /// Starts the thread, whose loop runs until it is stopped and is closed then.
    private func startThread(
        _ making: @escaping @Sendable () throws -> IOLoop
    ) async throws -> LoopBox {
        let pool = try BlockingPool(name: "withLoop", size: 1, queueMax: 1)
        defer { pool.close() }
        return try await withCheckedThrowingContinuation { continuation in
            do {
                try pool.submit { self.run(making, continuation) }
            } catch {
                continuation.resume(throwing: error)
            }
        }
    }

    /// Lets ThreadSanitizer see that the loop was made before the caller got it: of what a
    /// continuation hands over that is resumed before anybody waits for it, it sees nothing.
    private func showHandover() {
        #if THREAD_SANITIZER
            state.withLock { _ in }
        #endif
    }

    private func run(
        _ making: () throws -> IOLoop, _ started: CheckedContinuation<LoopBox, any Error>
    ) {
        let loop: IOLoop
        do {
            loop = try making()
        } catch {
            return started.resume(throwing: error)
        }
        showHandover()
        started.resume(
            returning: LoopBox(loop: loop, executor: loop.executor, remote: loop.remote))
        do {
            try loop.start()
            loop.close()
            end(state.withLock { $0.outcome } ?? .failure(CancellationError()))
        } catch {
            loop.close()
            end(.failure(error))
        }
    }

    /// On the loop's thread, but in the calling task: the body inherits its task-locals, by which
    /// the testing library knows the test that an expectation belongs to.
    private func launch(
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R,
        on box: LoopBox
    ) {
        let loop = box.loop
        loop.spawn(name: "withLoop") { [self] in
            let outcome: Result<R, any Error>
            do {
                outcome = .success(try await body(loop))
            } catch {
                outcome = .failure(error)
            }
            state.withLock { $0.outcome = outcome }
            loop.stop()
        }
    }
}
