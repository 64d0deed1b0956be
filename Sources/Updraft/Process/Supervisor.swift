internal import CUpdraft
public import Logging

extension Prefork {
    /// The process that starts workers and looks after them. `Prefork.run` makes it; all of it
    /// belongs to its loop's thread.
    ///
    /// ```swift
    /// try Prefork.run(
    ///     processes: 4, listen: [.tcp(port: 7000)],
    ///     supervisor: { supervisor in
    ///         supervisor.onStart = { worker in print("worker \(worker.taskID) is \(worker.pid)") }
    ///     }
    /// ) { loop in … }
    /// ```
    public final class Supervisor {
        /// The supervisor's own loop: for timers and servers of yours beside the workers.
        public let loop: IOLoop

        /// Where what happens to workers is logged: starts and clean ends at `debug`, abnormal ends
        /// at `warning`. `updraft.general` by default.
        public var logger = Logger(label: "updraft.general")

        /// Called after a worker was started, and after each restart.
        public var onStart: (Worker) -> Void = { _ in }

        /// Called when a worker has ended, before it is replaced.
        public var onExit: (Worker, ExitStatus) -> Void = { _, _ in }

        /// Called once, when all workers have become ready: the place to announce that the program
        /// serves.
        public var onReady: () -> Void = {}

        private let program: WorkerProgram
        private let listeners: PreforkListeners
        private let passedOn: Set<Signal>
        private var machine: SupervisorMachine
        private var children: [Int: Child] = [:]
        private var events: [SupervisorMachine.Event] = []
        private var isHandling = false
        private var timer: Timeout?
        private let finished: Waiter
        private var outcome: Outcome?

        private struct Child {
            let process: ChildProcess
            let line: WorkerLine
        }

        private struct Outcome {
            let error: PreforkError?
        }

        init(
            on loop: IOLoop, workers: Int, loops: Int, listen: [ListenAddress], options: Options
        ) throws {
            self.loop = loop
            passedOn = options.passedOn
            listeners = try PreforkListeners(listen, workers: workers, loops: loops)
            program = try WorkerProgram(workers: workers, loops: loops, listen: listeners.asked)
            machine = SupervisorMachine(workers: workers, options: options)
            finished = Waiter(loop: loop)
        }

        /// The workers that run now, by task id.
        public var workers: [Worker] {
            children.keys.sorted().compactMap(worker)
        }

        /// Where the workers listen, in the order of `listen`, with the ports that the system has
        /// picked. An empty host has an address for each family.
        public var addresses: [SocketAddress] { listeners.addresses }

        /// Sends a signal to one worker.
        ///
        /// - Returns: Whether there is such a worker and it was sent: never to a process that has
        ///   got the pid of one that has ended.
        @discardableResult
        public func send(_ signal: Signal, to taskID: Int) -> Bool {
            loop.checkThread("Supervisor.send")
            return children[taskID]?.process.send(signal) ?? false
        }

        /// Restarts the workers one after the other, as SIGHUP does: each is asked to end, and the
        /// next one's turn comes when its replacement is ready.
        public func restartWorkers() {
            loop.checkThread("Supervisor.restartWorkers")
            handle(.restartAll)
        }

        /// Asks all workers to end, as SIGTERM does. The second time ends them at once.
        public func stop() {
            loop.checkThread("Supervisor.stop")
            handle(.stop(.sigterm))
        }

        // MARK: Running

        nonisolated(nonsending) func run() async throws {
            try watchSignals()
            handle(.begin)
            while outcome == nil { try await finished.wait(for: .child) }
            if let error = outcome?.error { throw error }
        }

        private func watchSignals() throws {
            for signal in [Signal.sigterm, .sigint] {
                try loop.addSignalHandler(signal) { [unowned self] in handle(.stop(signal)) }
            }
            for signal in passedOn.subtracting([.sigterm, .sigint]) {
                try loop.addSignalHandler(signal) { [unowned self] in handle(.pass(signal)) }
            }
            // A program that nohup has started is not to notice that the terminal is closed.
            guard !passedOn.contains(.sighup), !cu_signal_is_ignored(Signal.sighup.number) else {
                return
            }
            try loop.addSignalHandler(.sighup) { [unowned self] in handle(.restartAll) }
        }

        /// What an action brings about at once is handled after all actions of this event.
        private func handle(_ event: SupervisorMachine.Event) {
            events.append(event)
            guard !isHandling else { return }
            isHandling = true
            while !events.isEmpty {
                let event = events.removeFirst()
                for action in machine.handle(event, at: loop.now) { perform(action) }
            }
            isHandling = false
            setTimer()
        }

        private func setTimer() {
            if let timer = timer.take() { loop.removeTimeout(timer) }
            timer = machine.deadline.map { deadline in
                loop.runLater(max(.zero, loop.now.duration(to: deadline))) { [unowned self] in
                    timer = nil
                    handle(.timeout)
                }
            }
        }

        private func perform(_ action: SupervisorMachine.Action) {
            switch action {
            case .start(let id): start(id)
            case .send(let signal, let id): children[id]?.process.send(signal)
            case .closeListeners(let id): listeners.close(id)
            case .log(let level, let text): logger.log(level: level, "\(text)")
            case .allReady: onReady()
            case .finish(let error):
                outcome = Outcome(error: error)
                finished.fire()
            }
        }

        // MARK: Workers

        private func start(_ id: Int) {
            do {
                let (line, far) = try WorkerLine.open(on: loop) { [unowned self] in
                    handle(.ready(id))
                }
                defer { _ = cu_close(far) }
                let process = try ChildProcess(
                    program.request(id, line: far, listeners: listeners.sockets(of: id)), on: loop)
                children[id] = Child(process: process, line: line)
                process.onExit { [unowned self] status in ended(id, status) }
                handle(.started(id, pid: process.pid))
                onStart(Worker(taskID: id, pid: process.pid))
            } catch {
                handle(.startFailed(id, reason: "\(error)"))
            }
        }

        private func ended(_ id: Int, _ status: ExitStatus) {
            guard let child = children.removeValue(forKey: id) else { return }
            child.line.close()
            onExit(Worker(taskID: id, pid: child.process.pid), status)
            handle(.ended(id, status))
        }

        private func worker(_ id: Int) -> Worker? {
            children[id].map { Worker(taskID: id, pid: $0.process.pid) }
        }
    }
}
