internal import Logging

/// The open connections of a server: one task and one stream each.
final class ConnectionSet {
    private let loop: IOLoop
    private var tasks: LoopGroup
    fileprivate var logger = Logger(label: LoggerLabel.general)

    /// What a connection has yet to do, for people.
    var describeWork: ((IOStream) -> String?)?

    /// What servers are told of connections; nil if they want to know nothing.
    private(set) var hooks: ConnectionHooks?

    /// What has become of connections.
    var counts = TCPServer.Counts()

    /// Called when a connection ends.
    var onRoom: () -> Void = {}

    var count: Int { tasks.count }

    init(loop: IOLoop) {
        self.loop = loop
        tasks = LoopGroup(loop: loop, below: nil)
    }

    /// Connections from now on end their waits with `scope`.
    func begin(scope: TaskScope?, logger: Logger, hooks: ConnectionHooks?) {
        tasks = LoopGroup(loop: loop, below: scope)
        self.logger = logger
        self.hooks = hooks
    }

    /// - Parameter timer: Cancelled when the connection ends.
    func start(
        _ stream: IOStream, timer: ConnectionTimer?, _ handler: @escaping StreamHandler
    ) {
        let scope = tasks.start(Connection(stream, timer, handler, self))
        timer?.scope = scope
    }

    fileprivate func connectionEnded() {
        tasks.childEnded()
        onRoom()
    }

    /// Waits for all to end by themselves, or cuts them if the calling task is cancelled.
    nonisolated(nonsending) func join() async throws {
        do {
            try await tasks.joinOrThrow()
        } catch {
            await cut()
            throw error
        }
    }

    /// Cancels all and waits a moment for their end. A handler in a wait that is not the loop's
    /// can't be ended: its stream is aborted, the hooks are told, and it is left behind.
    nonisolated(nonsending) func cut() async {
        tasks.cancelAll()
        await tasks.join(grace: ConnectionSet.cutGrace)
        for case let connection as Connection in tasks.subjects {
            connection.stream.cut()
            hooks?.end(connection.stream, CancellationError())
        }
    }

    private static let cutGrace = Duration.milliseconds(200)

    /// Lets connections that wait for something new see the end.
    func endIdleInput() {
        for case let connection as Connection in tasks.subjects {
            connection.stream.endInputWhenIdle()
        }
    }

    /// Waits until all have ended.
    nonisolated(nonsending) func drained() async throws {
        try await tasks.joinOrThrow()
    }

    /// Some connections and what they wait for.
    func describe(linesMax: Int) -> [String] {
        tasks.describe(linesMax: linesMax)
    }

    /// Ends what is idle, waits for the rest, cuts what is left at the deadline.
    nonisolated(nonsending) func drain(_ limit: Duration) async -> Int {
        endIdleInput()
        do {
            try await withTimeout(limit) { try await drained() }
        } catch {
            let left = count
            await cut()
            return left
        }
        return 0
    }
}

/// One connection's task: the handler, then the closing.
private final class Connection: TaskBody, TaskSubject {
    let stream: IOStream
    private let timer: ConnectionTimer?
    private let handler: StreamHandler
    private let set: ConnectionSet
    /// What the handler threw.
    private var failure: (any Error)?

    init(
        _ stream: IOStream, _ timer: ConnectionTimer?, _ handler: @escaping StreamHandler,
        _ set: ConnectionSet
    ) {
        self.stream = stream
        self.timer = timer
        self.handler = handler
        self.set = set
    }

    var taskDescription: String { TaskName.connection(stream.peerAddress).description }

    var taskName: TaskName? { .connection(stream.peerAddress) }

    var taskDetail: String? {
        var parts = set.describeWork?(stream).map { [$0] } ?? []
        if stream.unsentBytes > 0 { parts.append("\(stream.unsentBytes) bytes unsent") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    nonisolated(nonsending) func run() async {
        stream.nameRunningTask()
        do {
            try await handler(stream)
        } catch {
            report(error)
        }
        await end()
        timer?.cancel()
        if let hooks = set.hooks { tell(hooks) }
        stream.loop.executor.taskNames.remove(CurrentTask.identity)
        set.connectionEnded()
    }

    /// After a time-out with the stream's reason: the handler's cancellation is its consequence.
    private func tell(_ hooks: ConnectionHooks) {
        let isConsequence = timer?.hasExpired == true && failure is CancellationError
        hooks.end(stream, isConsequence ? nil : failure)
    }

    /// Closes the stream and waits until it is, so that a drain waits for the last bytes too.
    private nonisolated(nonsending) func end() async {
        if Task.isCancelled {
            stream.abort()
        } else {
            stream.close()
        }
        do {
            try await stream.closed()
        } catch {
            stream.cut()
        }
    }

    /// Apart, because what a message is built with would be part of every connection's frame.
    @inline(never)
    private func report(_ error: any Error) {
        failure = error
        if error is StreamError || error is CancellationError || error is TimeoutError {
            set.logger.debug("a \(taskDescription) ended with an error: \(error)")
        } else {
            stream.loop.onUnhandledError(error, "The handler of a \(taskDescription)")
        }
    }
}

extension IOStream {
    /// For the watchdog: the running task serves the stream's peer.
    @inline(never)
    func nameRunningTask() {
        loop.executor.taskNames.add(.connection(peerAddress), for: CurrentTask.identity)
    }
}
