#if ServiceLifecycle
    public import ServiceLifecycle
    public import Updraft

    /// Event loops as a service of swift-service-lifecycle: each runs on a thread of its own, and
    /// the group's graceful shutdown is theirs.
    ///
    /// ```swift
    /// let rpc = LoopService(name: "rpc") { loop in
    ///     let server = RPCServer(port: 5700)
    ///     server.register("sum") { (x: Int, y: Int) in x + y }
    ///     try await server.serve()
    /// }
    /// try await ServiceGroup(
    ///     services: [rpc], gracefulShutdownSignals: [.sigterm], logger: logger
    /// ).run()
    /// ```
    ///
    /// It needs the package's trait `ServiceLifecycle`.
    ///
    /// - On graceful shutdown every server on the loops stops accepting, and what is in flight has
    ///   until the deadline; see `IOLoop.shutDown`. The body returns when its servers have drained.
    /// - On cancellation the tasks of the loops are cancelled.
    /// - Leave the signals to the group: in the body, `serve()` or `serve(until: .requested)`.
    public struct LoopService: Service {
        private let name: String
        private let loops: Int
        private let poller: PollerChoice
        private let drain: Duration
        private let body: nonisolated(nonsending) @Sendable (IOLoop) async throws -> Void

        /// Makes a service; nothing starts before `run`.
        ///
        /// - Parameters:
        ///   - name: Of the loops, with a number behind it, in log lines.
        ///   - loops: How many; 0 makes one for each processor that the process may use.
        ///   - poller: Where readiness comes from.
        ///   - drain: The time from the graceful shutdown to the end, stop hooks
        ///     (`IOLoop.onStop`) included.
        ///   - body: Gets a loop; called once on each.
        public init(
            name: String = "loop", loops: Int = 1, poller: PollerChoice = .best,
            drain: Duration = .seconds(5),
            _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
        ) {
            self.name = name
            self.loops = loops
            self.poller = poller
            self.drain = drain
            self.body = body
        }

        /// Runs the loops until their bodies have ended. Called by the service group.
        ///
        /// - Throws: What a body throws; `ShutdownError` if connections were cut at the deadline or
        ///   a stop hook failed; `CancellationError`; `SystemError` without a thread to spare.
        public func run() async throws {
            let crew = LoopCrew(count: loops, name: name)
            let drain = drain
            try await withTaskCancellationHandler {
                try await withGracefulShutdownHandler {
                    try await runOnThread(crew)
                } onGracefulShutdown: {
                    crew.shutDown(within: drain)
                }
            } onCancel: {
                crew.cancel()
            }
        }

        private func runOnThread(_ crew: LoopCrew) async throws {
            let (poller, body) = (poller, body)
            let thread = try BlockingPool(name: name, size: 1, queueMax: 1)
            defer { thread.close() }
            try await withCheckedThrowingContinuation {
                (ended: CheckedContinuation<Void, any Error>) in
                do {
                    try thread.submit {
                        ended.resume(with: Result { try IOLoop.run(crew, poller: poller, body) })
                    }
                } catch {
                    ended.resume(throwing: error)
                }
            }
        }
    }
#endif
