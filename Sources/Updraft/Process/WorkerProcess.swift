internal import CUpdraft
internal import Logging

/// This process as a worker of a supervisor.
struct WorkerProcess: Sendable {
    /// This process's; nil if it is none. Found out once, when it is first asked for, which also
    /// hides it from the programs that this process starts.
    static let current: Result<WorkerProcess?, PreforkError> = Result { () throws(PreforkError) in
        try claim()
    }

    let environment: WorkerEnvironment

    private static func claim() throws(PreforkError) -> WorkerProcess? {
        let name = WorkerEnvironment.variable
        let prefix = name + "="
        let entry = SpawnRequest.currentEnvironment.first { $0.hasPrefix(prefix) }
        guard let entry else { return nil }
        cu_unset_variable(name)
        let text = String(entry.dropFirst(prefix.count))
        guard let environment = WorkerEnvironment(text) else {
            throw PreforkError(
                .notAWorker,
                "The variable \(name) is not as a supervisor writes it: '\(text)'. Unset it.")
        }
        guard cu_parent_pid() == environment.supervisor else {
            throw PreforkError(
                .notAWorker,
                "The variable \(name) names the supervisor \(environment.supervisor), which is not "
                    + "the parent of this process, or no longer.")
        }
        try check(WorkerEnvironment.controlDescriptor, listens: false)
        for index in environment.listens.indices {
            for descriptor in environment.descriptors(of: index) {
                try check(descriptor, listens: true)
            }
        }
        return WorkerProcess(environment: environment)
    }

    private static func check(_ descriptor: Int32, listens: Bool) throws(PreforkError) {
        guard cu_check_inherited(descriptor, listens) == 0, cu_set_close_on_exec(descriptor) == 0
        else {
            throw PreforkError(
                .notAWorker,
                "Descriptor \(descriptor) is not what \(WorkerEnvironment.variable) says: the "
                    + "program has closed or used it before Prefork.run.")
        }
    }

    /// Runs the body on the worker's loops and ends the process: with 0, or with 1 after a line on
    /// standard error.
    func run(
        poller: PollerChoice, options: Prefork.Options,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> Void
    ) -> Never {
        do {
            try SystemError.check(
                cu_guard_worker(options.stopTimeout.wholeNanoseconds), "guard a worker")
            InheritedListeners.fill(try listeners()) { WorkerProcess.reportReady() }
            try IOLoop.run(loops: environment.loops, poller: poller) { loop in
                if loop.name == "loop-0" {
                    try SupervisorLine.watch(on: loop)
                    if environment.listens.isEmpty { WorkerProcess.reportReady() }
                }
                try await body(loop)
            }
        } catch {
            StandardOutput.complain("worker \(environment.taskID): \(error)")
            cu_exit(1)
        }
        cu_exit(0)
    }

    private func listeners() throws -> [SocketAddress: [Int32]] {
        var found: [SocketAddress: [Int32]] = [:]
        for (index, listen) in environment.listens.enumerated() {
            let address =
                switch listen {
                case .tcp(let host, let port): try SocketAddress(host: host, port: port)
                case .unix(let path): SocketAddress(unixPath: path)
                }
            found[address] = environment.descriptors(of: index)
        }
        return found
    }

    /// Tells the supervisor. Any thread; that it is gone is noticed elsewhere.
    static func reportReady() {
        var byte: UInt8 = 1
        _ = cu_send(WorkerEnvironment.controlDescriptor, &byte, 1)
    }
}

/// The worker's end of the line between it and its supervisor: closed when that dies, however it
/// does.
private final class SupervisorLine: ReadinessSink {
    private unowned let loop: IOLoop
    private let descriptor = WorkerEnvironment.controlDescriptor

    private init(_ loop: IOLoop) {
        self.loop = loop
    }

    static func watch(on loop: IOLoop) throws {
        let line = SupervisorLine(loop)
        try loop.watch(line.descriptor, events: .read, mode: .level, sink: line)
    }

    var report: SinkReport { SinkReport(text: "the supervisor of this worker") }

    func ready(_ events: IOEvents) {
        var byte: UInt8 = 0
        let count = cu_recv(descriptor, &byte, 1)
        if count > 0 || count == Int(-cu_eagain) { return }
        loop.unwatch(descriptor)
        loop.libraryLogger.warning("the supervisor of this worker has died: stopping")
        cu_supervisor_died()
    }
}
