internal import CUpdraft

/// This program, to be started as its own worker.
struct WorkerProgram {
    private let path: String
    private let workers: Int
    private let loops: Int
    private let listens: [WorkerEnvironment.Listen]

    /// Looks up the path now: when the file is replaced, workers are of the new version.
    init(workers: Int, loops: Int, listen: [Prefork.ListenAddress]) throws {
        path = try WorkerProgram.currentPath()
        self.workers = workers
        self.loops = loops
        listens = listen.map { listen in
            switch listen.place {
            case .tcp(let host, let port): .tcp(host: host, port: port)
            case .unix(let path, _): .unix(path: path)
            }
        }
    }

    /// What to start for a worker.
    ///
    /// - Parameters:
    ///   - line: The worker's end of the line to the supervisor.
    ///   - listeners: In the order of the addresses.
    func request(_ id: Int, line: Int32, listeners: [Int32]) -> SpawnRequest {
        let environment = WorkerEnvironment(
            taskID: id, workers: workers, loops: loops, supervisor: cu_own_pid(), listens: listens)
        let entry = "\(WorkerEnvironment.variable)=\(environment.text)"
        var request = SpawnRequest(
            path: path, arguments: CommandLine.arguments,
            environment: SpawnRequest.currentEnvironment + [entry])
        request.descriptors =
            [
                .init(1, as: 1), .init(2, as: 2),
                .init(line, as: WorkerEnvironment.controlDescriptor),
            ]
            + listeners.enumerated().map {
                .init($0.element, as: WorkerEnvironment.firstListener + Int32($0.offset))
            }
        // Ctrl-C in a terminal goes to the whole group of the supervisor: the workers would get it
        // twice, and a second signal ends them at once.
        request.group = .own
        let signal = cu_supervisor_death_signal()
        request.deathSignal = signal == 0 ? nil : Signal(signal)
        return request
    }

    private static func currentPath() throws -> String {
        try withUnsafeTemporaryAllocation(of: CChar.self, capacity: 4_096) { buffer in
            let length = cu_program_path(buffer.baseAddress, buffer.count)
            guard length > 0, length < buffer.count else {
                throw SystemError(
                    errno: Int32(clamping: length), operation: "find the program's own file")
            }
            return String(
                decoding: UnsafeRawBufferPointer(
                    rebasing: UnsafeRawBufferPointer(buffer)[..<length]),
                as: UTF8.self)
        }
    }
}

/// The supervisor's end of the line between it and a worker: the worker sends a byte when it is
/// ready, and notices by its end that the supervisor has died.
final class WorkerLine: ReadinessSink {
    private let descriptor: Int32
    private let loop: IOLoop
    private let onReady: () -> Void
    private var isOpen = true

    private init(_ descriptor: Int32, _ loop: IOLoop, _ onReady: @escaping () -> Void) {
        self.descriptor = descriptor
        self.loop = loop
        self.onReady = onReady
    }

    deinit {
        close()
    }

    /// - Returns: The line, and the worker's end, which the caller closes when the worker has it.
    static func open(
        on loop: IOLoop, onReady: @escaping () -> Void
    ) throws -> (line: WorkerLine, far: Int32) {
        var ends: [Int32] = [-1, -1]
        try SystemError.check(cu_socket_pair(&ends), "make a line to a worker")
        let line = WorkerLine(ends[0], loop, onReady)
        do {
            try loop.watch(ends[0], events: .read, mode: .level, sink: line)
        } catch {
            _ = cu_close(ends[1])
            throw error
        }
        return (line, ends[1])
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        loop.unwatch(descriptor)
        _ = cu_close(descriptor)
    }

    var report: SinkReport { SinkReport(text: "a line to a worker") }

    func ready(_ events: IOEvents) {
        var byte: UInt8 = 0
        let count = cu_recv(descriptor, &byte, 1)
        if count > 0 { return onReady() }
        // Its end is no news: that of the process is watched.
        if count != Int(-cu_eagain) { loop.unwatch(descriptor) }
    }

    func loopIsClosing() {
        close()
    }
}
