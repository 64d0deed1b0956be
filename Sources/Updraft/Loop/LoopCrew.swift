// Unsafe: `Unmanaged` hands a crew member to its thread, which releases it when it ends.

internal import CUpdraft
internal import Synchronization

/// The loops of one `IOLoop.run(loops:)`: what they share, and how they end together.
package final class LoopCrew: Sendable {
    private struct State {
        var remotes: [IOLoop.Remote] = []
        var firstError: (any Error)?
        /// What the loops lost when they stopped.
        var report = StopReport()
        var shutdown: (signal: Signal?, limit: Duration)?
        /// What the first loop to ask has made, for the others to have as well.
        var shared: [String: Shared] = [:]
    }

    private struct Shared {
        weak var thing: (any AnyObject & Sendable)?
    }

    let count: Int
    let name: String
    private let state = Mutex(State())

    /// - Parameter count: 0 makes one loop for each processor that the process may use.
    package init(count: Int, name: String = "loop") {
        precondition(count >= 0, "the number of loops can't be negative")
        self.count = count == 0 ? max(Int(cu_processors()), 1) : count
        self.name = name
    }

    /// A loop of the crew is there. If another one has failed already, it ends at once.
    func join(_ loop: IOLoop) {
        let remote = loop.remote
        let (failed, shutdown) = state.withLock { state in
            state.remotes.append(remote)
            return (state.firstError != nil, state.shutdown)
        }
        if failed { remote.cancelTasks() }
        if let shutdown { remote.follow(shutdown.signal, within: shutdown.limit) }
    }

    /// Begins the shutdown of all loops, also of those that are yet to come; once.
    package func shutDown(_ signal: Signal? = nil, within limit: Duration) {
        let remotes = state.withLock { state in
            guard state.shutdown == nil else { return [IOLoop.Remote]() }
            state.shutdown = (signal, limit)
            return state.remotes
        }
        for remote in remotes { remote.follow(signal, within: limit) }
    }

    /// Cancels the tasks of all loops; `IOLoop.run` throws `CancellationError` then.
    package func cancel() { fail(CancellationError()) }

    /// A loop has stopped and lost something, which is no reason to end the others.
    fileprivate func note(_ report: StopReport) {
        state.withLock { $0.report.merge(report) }
    }

    /// The first error ends the bodies of all loops; later ones are their consequence, mostly.
    func fail(_ error: any Error) {
        let others = state.withLock { state in
            guard state.firstError == nil else { return [IOLoop.Remote]() }
            state.firstError = error
            return state.remotes
        }
        for remote in others { remote.cancelTasks() }
    }

    func rethrow() throws {
        let (error, report) = state.withLock { ($0.firstError, $0.report) }
        if let error { throw error }
        if let error = ShutdownError(report) { throw error }
    }
}

extension LoopCrew {
    /// Gives every loop that asks the same thing, as long as one of them holds it.
    ///
    /// - Parameters:
    ///   - key: Tells the things of one loop apart.
    ///   - make: Gets what was made before, and returns it or something new.
    func share<T: AnyObject & Sendable>(_ key: String, _ make: (T?) throws -> T) throws -> T {
        try state.withLock { state in
            let thing = try make(state.shared[key]?.thing as? T)
            state.shared = state.shared.filter { $0.value.thing != nil }
            state.shared[key] = Shared(thing: thing)
            return thing
        }
    }
}

extension IOLoop.Remote {
    /// Cancels the tasks of the loop.
    func cancelTasks() {
        executor.postCallback { loop in loop.rootScope.cancel() }
    }
}

extension IOLoop {
    /// Runs `body` once on each of several loops, each on a thread of its own (the first on the
    /// calling one), and returns when all have ended.
    ///
    /// The loops share nothing but what is Sendable; servers with one host and port listen on it
    /// together (SO_REUSEPORT), and the kernel spreads the connections. Of those with port 0, the
    /// first of each loop share one port that the system picks, the second ones another, as long as
    /// one of them listens on it.
    ///
    /// ```swift
    /// try IOLoop.run(loops: 0) { loop in
    ///     try await TCPServer(port: 7000).serve(until: .terminationSignals) { stream in
    ///         for try await chunk in stream.chunks { try await stream.write(chunk) }
    ///     }
    /// }
    /// ```
    ///
    /// - Parameters:
    ///   - count: 0 makes one loop for each processor that the process may use.
    ///   - poller: Where readiness comes from.
    /// - Throws: The first error that a body throws, after the others have been cancelled and have
    ///   ended; `ShutdownError` if none throws, but connections were cut by a shutdown, or stop
    ///   hooks failed; `LoopError` if a loop runs on this thread already.
    public static func run(
        loops count: Int, poller: PollerChoice = .best,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) throws {
        try run(LoopCrew(count: count), poller: poller, body)
    }

    /// Runs `body` once on each loop of a crew, which can be stopped from outside.
    package static func run(
        _ crew: LoopCrew, poller: PollerChoice,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) throws {
        if let running = currentIfAny, running.isInTurns {
            throw LoopError(.alreadyRunning, "IOLoop.run was called on a thread whose loop runs.")
        }
        var threads: [UInt64] = []
        for index in 1..<crew.count {
            do {
                threads.append(try CrewMember(crew, index, poller, body).startThread())
            } catch {
                crew.fail(error)
            }
        }
        CrewMember(crew, 0, poller, body).run()
        for thread in threads { _ = cu_thread_join(thread) }
        try crew.rethrow()
    }
}

/// One loop of a crew.
private final class CrewMember: Sendable {
    private let crew: LoopCrew
    private let index: Int
    private let poller: PollerChoice
    private let body: nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void

    init(
        _ crew: LoopCrew, _ index: Int, _ poller: PollerChoice,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) {
        self.crew = crew
        self.index = index
        self.poller = poller
        self.body = body
    }

    func startThread() throws -> UInt64 {
        let context = Unmanaged.passRetained(self).toOpaque()
        var handle: UInt64 = 0
        let result = cu_thread_start(
            { context in
                guard let context else { return }
                Unmanaged<CrewMember>.fromOpaque(context).takeRetainedValue().run()
            }, context, "\(crew.name)-\(index)", &handle)
        if result < 0 {
            Unmanaged<CrewMember>.fromOpaque(context).release()
            throw SystemError(errno: result, operation: "start a thread for a loop")
        }
        return handle
    }

    func run() {
        do {
            let loop = try IOLoop(name: "\(crew.name)-\(index)", poller: poller)
            loop.crew = crew
            defer { loop.close() }
            crew.join(loop)
            try loop.runSync { [body] in
                try await loop.finishing { try await body(loop) }
            }
        } catch let error as ShutdownError {
            crew.note(error.report)
        } catch {
            crew.fail(error)
        }
    }
}
