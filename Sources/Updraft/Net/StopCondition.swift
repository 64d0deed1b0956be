internal import Logging

/// When a server that runs `serve(until:)` begins to stop.
public struct StopCondition: Sendable {
    let signals: Set<Signal>

    /// On the first of these signals. A second one ends the process at once: from the first on the
    /// signals have their default action again.
    public static func signals(_ signals: Set<Signal>) -> StopCondition {
        StopCondition(signals: signals)
    }

    /// On SIGTERM or SIGINT.
    public static let terminationSignals = StopCondition(signals: [.sigterm, .sigint])
}

/// How a server ended that ran `serve(until:)`.
public struct StopReport: Sendable {
    /// The signal that stopped it; nil if `stop` did.
    public let signal: Signal?

    /// Connections that were in the middle of something at the deadline and were cut.
    public let cutConnections: Int
}

/// Waits for a stop condition beside a server and drains the server when it comes.
package final class StopWatch {
    private let loop: IOLoop
    private var signal: Signal?
    private var work: LoopFuture<Int>?

    package init(_ loop: IOLoop) {
        self.loop = loop
    }

    /// Starts to wait; on a signal, runs `drain`, which returns the connections that it cut.
    ///
    /// From the return on, a signal is not lost: whoever is told then that the server is ready may
    /// send one at once.
    package func begin(
        _ condition: StopCondition,
        _ drain: nonisolated(nonsending) @escaping (Signal) async -> Int
    ) throws {
        let wait = try SignalWait(loop, condition.signals)
        work = loop.async { [self] in
            let signal = try await wait.value
            self.signal = signal
            return await drain(signal)
        }
    }

    /// The server has ended: what came of it.
    package nonisolated(nonsending) func end() async throws -> StopReport {
        guard let work, let signal else {
            work?.cancel()
            return StopReport(signal: nil, cutConnections: 0)
        }
        return StopReport(signal: signal, cutConnections: try await work.value)
    }

    /// The server has failed.
    package func cancel() {
        work?.cancel()
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
    /// - Parameter ready: Called when the server listens and watches for the signals: the place to
    ///   announce it.
    /// - Throws: As `serve`; `SystemError` for signals that can't be caught.
    @discardableResult
    public nonisolated(nonsending) func serve(
        until condition: StopCondition, drain limit: Duration = .seconds(5),
        ready: () -> Void = {}, _ handler: @escaping StreamHandler
    ) async throws -> StopReport {
        try bind()
        let watch = StopWatch(loop)
        try watch.begin(condition) { [self] signal in
            logger.info("stopping on \(signal): \(connectionCount) connections to drain")
            return await drain(limit)
        }
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
