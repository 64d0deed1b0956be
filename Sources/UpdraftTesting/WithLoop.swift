internal import Synchronization
public import Updraft

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

/// A loop on a thread of its own, and the one result that is handed back from it.
private final class LoopRun<R: Sendable>: Sendable {
    private enum State {
        case idle
        case waiting(CheckedContinuation<R, any Error>)
        case running(CheckedContinuation<R, any Error>, IOLoop.Remote)
        case ended
    }

    private let state = Mutex(State.idle)

    func result(
        _ making: @escaping @Sendable () throws -> IOLoop,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
    ) async throws -> R {
        let pool = try BlockingPool(name: "withLoop", size: 1, queueMax: 1)
        defer { pool.close() }
        return try await withTaskCancellationHandler {
            try await withCheckedThrowingContinuation { continuation in
                state.withLock { $0 = .waiting(continuation) }
                if Task.isCancelled { end(.failure(CancellationError())) }
                do {
                    try pool.submit { self.run(making, body) }
                } catch {
                    end(.failure(error))
                }
            }
        } onCancel: {
            end(.failure(CancellationError()))
        }
    }

    /// Hands the result back unless there was one before, and stops the loop if it runs.
    func end(_ result: Result<R, any Error>) {
        let last = state.withLock { state in
            let last = state
            if case .idle = last { return last }
            state = .ended
            return last
        }
        switch last {
        case .idle, .ended:
            break
        case .waiting(let continuation):
            continuation.resume(with: result)
        case .running(let continuation, let remote):
            remote.stop()
            continuation.resume(with: result)
        }
    }

    /// On the loop's thread.
    private func run(
        _ making: () throws -> IOLoop,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
    ) {
        end(
            Result {
                let loop = try making()
                defer { loop.close() }
                guard begin(loop.remote) else { throw CancellationError() }
                return try loop.runSync { try await body(loop) }
            })
    }

    private func begin(_ remote: IOLoop.Remote) -> Bool {
        state.withLock { state in
            guard case .waiting(let continuation) = state else { return false }
            state = .running(continuation, remote)
            return true
        }
    }
}
