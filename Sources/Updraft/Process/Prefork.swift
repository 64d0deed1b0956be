internal import CUpdraft

/// Several processes that run one program: a supervisor and its workers. Contract rows K3, K9.
///
/// ```swift
/// @main struct Echo {
///     static func main() throws {
///         try Prefork.run(processes: 0, listen: [.tcp(port: 7000)]) { loop in
///             try await TCPServer(port: 7000).serve(until: .terminationSignals) { stream in
///                 for try await chunk in stream.chunks { try await stream.write(chunk) }
///             }
///         }
///     }
/// }
/// ```
///
/// The supervisor starts the *program* again for each worker, with the same arguments and with the
/// listening sockets, because Swift's tasks do not run in a process that was merely forked. So what
/// stands before `Prefork.run` runs in every process, and what stands after it in the supervisor
/// only. See `docs/processes.md`.
public enum Prefork {
    static let processesMax = 1_024

    /// What 0 stands for as a number of processes or loops: the processors that this process may
    /// use, at least 1. Any thread.
    package static var processorCount: Int { max(Int(cu_processors()), 1) }

    /// The number of this worker, from 0; nil in the supervisor and in other programs.
    ///
    /// Any thread.
    public static var taskID: Int? { worker?.environment.taskID }

    /// How many workers there are, of which this is one; nil outside workers. Any thread.
    public static var workerCount: Int? { worker?.environment.workers }

    private static var worker: WorkerProcess? {
        guard case .success(let worker) = WorkerProcess.current else { return nil }
        return worker
    }

    /// Runs `body` in several processes, and keeps them running, until all have ended with 0.
    ///
    /// - In the supervisor it returns when all workers have ended. A worker that ends abnormally
    ///   (a code other than 0, a signal) is replaced by one with its task id; one that ends with 0
    ///   is not. SIGTERM and SIGINT go to the workers, which have `options.stopTimeout` to end; a
    ///   second one ends them at once. SIGHUP restarts them one after the other, from the program's
    ///   file as it is then. If the supervisor dies, they are stopped as by SIGTERM.
    /// - In a worker it does not return: the process ends with 0 when the body returns, and with 1,
    ///   after a line on standard error, when it throws. Standard input is the null device.
    ///
    /// - Parameters:
    ///   - processes: Workers; 0 is one for each processor that the process may use.
    ///   - loops: Loops in each worker, as in `IOLoop.run(loops:)`; 0 is one for each processor.
    ///   - poller: Which of the system's pollers the workers use.
    ///   - listen: What the workers' servers listen on. Each worker has a socket of its own on the
    ///     address (SO_REUSEPORT), which outlives it, so that a connection which waits for the next
    ///     worker is not lost; the kernel spreads the connections. A `TCPServer` for that host and
    ///     port finds it. A Unix socket is one for all. Any other address is the worker's own
    ///     affair.
    ///   - options: Limits and times.
    ///   - configure: Gets the supervisor, in its process and before the first worker is started.
    ///   - body: Runs once on each loop of each worker.
    /// - Throws: `PreforkError`: the program can't be started again, too many restarts, workers
    ///   that did not end cleanly. `StreamError` with `.cannotListen`. `LoopError` if a loop runs
    ///   on this thread.
    public static func run(
        processes: Int, loops: Int = 1, poller: PollerChoice = .best,
        listen: [ListenAddress] = [], options: Options = Options(),
        supervisor configure: (Supervisor) throws -> Void = { _ in },
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) throws {
        if let worker = try WorkerProcess.current.get() {
            worker.run(poller: poller, options: options, body)
        }
        let loop = try supervisorLoop()
        // Also where there is no supervisor; closing twice does no harm.
        defer { loop.close() }
        let supervisor = try Supervisor(
            on: loop, workers: try count(processes, "processes"), loops: try count(loops, "loops"),
            listen: listen, options: options)
        // What it has left with the loop, also for the loop's last turn, does not keep it alive.
        try withExtendedLifetime(supervisor) {
            defer { loop.close() }
            try configure(supervisor)
            try loop.runSync { try await supervisor.run() }
        }
    }

    /// Tells the supervisor that this worker is ready, for rolling restarts.
    ///
    /// Only needed where a worker is given no listeners and is not ready at once: otherwise it is
    /// when each of its listeners has a server that accepts, or, without listeners, when its body
    /// begins. Does nothing outside workers. Any thread.
    public static func reportReady() {
        if worker != nil { WorkerProcess.reportReady() }
    }

    private static func supervisorLoop() throws -> IOLoop {
        if let running = IOLoop.currentIfAny, running.isInTurns {
            throw LoopError(
                .alreadyRunning, "Prefork.run was called on a thread whose loop runs.")
        }
        return try IOLoop(name: "supervisor")
    }

    private static func count(_ number: Int, _ what: String) throws -> Int {
        guard (0...processesMax).contains(number) else {
            throw PreforkError(
                .invalidArgument,
                "the number of \(what) must be between 0 and \(processesMax), not \(number).")
        }
        return number == 0 ? processorCount : number
    }
}
