internal import Logging

/// The open connections of a server: one task and one stream each.
final class ConnectionSet {
    private let loop: IOLoop
    private var tasks: LoopGroup
    private var streams: [ObjectIdentifier: IOStream] = [:]
    private var logger = Logger(label: "updraft.general")
    private var isDraining = false

    /// Called when a connection ends.
    var onRoom: () -> Void = {}

    var count: Int { streams.count }

    init(loop: IOLoop) {
        self.loop = loop
        tasks = LoopGroup(loop: loop, scope: nil, endsOnError: false)
    }

    /// Connections from now on end their waits with `scope`.
    func open(scope: TaskScope?, logger: Logger) {
        tasks = LoopGroup(loop: loop, scope: scope, endsOnError: false)
        self.logger = logger
    }

    func start(_ stream: IOStream, _ handler: @escaping StreamHandler) {
        streams[ObjectIdentifier(stream)] = stream
        tasks.spawn { [self] in await serve(stream, handler) }
    }

    private nonisolated(nonsending) func serve(
        _ stream: IOStream, _ handler: StreamHandler
    ) async {
        do {
            try await handler(stream)
        } catch {
            logger.debug("a connection ended with an error: \(error)")
        }
        if Task.isCancelled { stream.abort() } else { stream.close() }
        do {
            try await stream.closed()
        } catch {
            stream.abort()
        }
        streams[ObjectIdentifier(stream)] = nil
        onRoom()
    }

    /// Waits for all to end by themselves.
    nonisolated(nonsending) func join() async {
        await tasks.join()
    }

    /// Cancels all and waits until they have ended.
    nonisolated(nonsending) func cut() async {
        tasks.cancelAll()
        await tasks.join()
    }

    /// Ends what is idle, waits for the rest, cuts what is left at the deadline.
    nonisolated(nonsending) func drain(_ limit: Duration) async -> Int {
        for stream in streams.values { stream.endInputWhenIdle() }
        let tasks = tasks
        do {
            try await withTimeout(limit) { try await tasks.joinOrThrow() }
        } catch {
            let left = streams.count
            await cut()
            return left
        }
        return 0
    }
}
