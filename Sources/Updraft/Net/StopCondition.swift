/// When a server that runs `serve(until:)` begins to stop.
public struct StopCondition: Sendable {
    let signals: Set<Signal>

    /// On the first of these signals, or on `IOLoop.shutDown`. A second signal ends the process at
    /// once, whatever its loops do: from the first on the signals have their default action again,
    /// unless there are handlers for them of your own (`IOLoop.addSignalHandler`).
    public static func signals(_ signals: Set<Signal>) -> StopCondition {
        StopCondition(signals: signals)
    }

    /// On SIGTERM or SIGINT, or on `IOLoop.shutDown`.
    public static let terminationSignals = StopCondition(signals: [.sigterm, .sigint])

    /// On `IOLoop.shutDown` alone: where somebody else takes the signals.
    public static let requested = StopCondition(signals: [])
}

/// Begins the shutdown of a loop on a stop condition, beside what serves there.
package final class StopWatch {
    private let loop: IOLoop
    private var work: LoopFuture<Void>?

    package init(_ loop: IOLoop) {
        self.loop = loop
    }

    /// Starts to wait.
    ///
    /// From the return on, a signal is not lost: whoever is told then that the server is ready may
    /// send one at once.
    package func begin(_ condition: StopCondition, drain limit: Duration) throws {
        guard !condition.signals.isEmpty else { return }
        let wait = try SignalWait(loop, condition.signals, once: true)
        work = loop.async { [loop] in
            let signal = try await wait.value
            loop.shutdown.begin(signal, within: limit)
        }
    }

    /// The server has ended: waits for the others that drain with it, and tells what came of it.
    package nonisolated(nonsending) func end() async throws -> StopReport {
        work?.cancel()
        try await loop.shutdown.drained()
        return loop.shutdown.report
    }

    /// The server has failed.
    package func cancel() {
        work?.cancel()
    }
}

extension IOLoop {
    /// Waits for the stop condition, then lets every server on the loop stop accepting and finish
    /// what is in flight, for at most `limit`; cuts the rest, and returns.
    ///
    /// ```swift
    /// try echo.listen { stream in … }
    /// try rpc.listen()
    /// try await loop.serve(until: .terminationSignals, drain: .seconds(5))
    /// ```
    ///
    /// One shutdown ends all servers of the loop under one deadline, also those that run a
    /// `serve(until:)` of their own; see `shutDown(within:)`.
    ///
    /// - Parameters:
    ///   - limit: The time from the signal on, stop hooks included (`onStop`).
    ///   - ready: Called when the signals are watched.
    /// - Returns: How it went. If connections were cut, `IOLoop.run` throws a `ShutdownError` when
    ///   its body has ended.
    /// - Throws: `SystemError` for signals that can't be caught; `CancellationError`;
    ///   `TimeoutError`.
    @discardableResult
    public nonisolated(nonsending) func serve(
        until condition: StopCondition, drain limit: Duration = .seconds(5),
        ready: () -> Void = {}
    ) async throws -> StopReport {
        checkThread("IOLoop.serve")
        let watch = StopWatch(self)
        try watch.begin(condition, drain: limit)
        ready()
        do {
            try await shutdown.begun()
        } catch {
            watch.cancel()
            throw error
        }
        return try await watch.end()
    }
}

extension TCPServer {
    /// Serves connections until a signal asks to stop; then stops accepting, lets what is in
    /// flight finish for at most `limit`, cuts the rest, and returns.
    ///
    /// ```swift
    /// try await server.serve(until: .terminationSignals, drain: .seconds(5)) { stream in … }
    /// ```
    ///
    /// The signal ends all servers of the loop, under one deadline; see `IOLoop.shutDown`.
    ///
    /// - Parameters:
    ///   - limit: The time from the signal on, stop hooks included (`IOLoop.onStop`).
    ///   - ready: Called when the server listens and watches for the signals: the place to
    ///     announce it.
    /// - Returns: How it went. If connections were cut, `IOLoop.run` throws a `ShutdownError` when
    ///   its body has ended.
    /// - Throws: As `serve`; `SystemError` for signals that can't be caught.
    @discardableResult
    public nonisolated(nonsending) func serve(
        until condition: StopCondition, drain limit: Duration = .seconds(5),
        ready: () -> Void = {}, _ handler: @escaping StreamHandler
    ) async throws -> StopReport {
        try bind()
        let watch = StopWatch(loop)
        try watch.begin(condition, drain: limit)
        ready()
        do {
            try await serve(handler)
        } catch {
            watch.cancel()
            throw error
        }
        return try await watch.end()
    }
}
