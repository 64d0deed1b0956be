public import Logging

/// What a server does with one connection: reads, writes, returns.
///
/// It runs as a task of its own on the server's loop. When it returns, what it wrote is sent and
/// the stream is closed; when it throws, the same, and the error goes to the loop's
/// `onUnhandledError` (trouble of the connection itself is logged at `debug`).
public typealias StreamHandler = nonisolated(nonsending) (IOStream) async throws -> Void

/// A server of TCP connections on one loop.
///
/// ```swift
/// try await TCPServer(port: 7000).serve { stream in
///     for try await line in stream.lines { try await stream.write("you said ") }
/// }
/// ```
///
/// Instead of giving a closure you may subclass and override `handleStream`. Contract rows K1-K8.
open class TCPServer: Drainable {
    /// Bounds and switches of a server.
    public struct Options: Sendable {
        /// Connections that the kernel holds ready to be accepted.
        public var backlog = 4_096
        /// Lets several listeners (of several loops or processes) share the port.
        public var reusePort = false
        /// Open connections at the most; further ones wait in the backlog until one ends.
        public var connectionsMax = 100_000
        /// How long to stop accepting when the system has no descriptor left.
        public var exhaustionPause = Duration.milliseconds(100)
        /// Whom to believe what they say about their clients' addresses; nobody by default.
        public var proxyProtocol: ProxyProtocol?
        /// Bounds of every connection's stream.
        public var stream = StreamOptions()

        /// The defaults.
        public init() {}
    }

    /// The loop that the server lives on.
    public let loop: IOLoop

    /// The server's bounds and switches.
    public let options: Options

    /// Where a handler's errors go, at `debug`, and trouble with accepting, at `warning`.
    public var logger = Logger(label: LoggerLabel.general)

    /// Runs in each connection's task before its handler, as a TLS handshake does. What it throws
    /// ends the connection as what the handler throws does. Set it before serving.
    public var prepareStream: StreamHandler?

    private let host: String
    private let requestedPort: Int
    private var listeners: [Listener] = []
    private let acceptWaiter: Waiter
    private let connections: ConnectionSet
    private let streamOptions: SharedStreamOptions
    private var phase = Phase.idle

    /// For what is built on a server: called when the loop's shutdown begins.
    package var onDrain: () -> Void = {}

    /// For what is built on a server: what a connection has yet to do, in log lines and dumps.
    package var describeWork: ((IOStream) -> String?)? {
        get { connections.describeWork }
        set { connections.describeWork = newValue }
    }

    private enum Phase {
        case idle
        case bound
        case serving
        case stopped
    }

    /// Makes a server for the calling thread's loop; nothing is bound yet.
    ///
    /// - Parameters:
    ///   - host: A numeric address: this machine alone by default; `0.0.0.0` or `::` for all
    ///     interfaces.
    ///   - port: 0 picks a free one; see `port`.
    public init(host: String = "127.0.0.1", port: Int, options: Options = Options()) {
        loop = IOLoop.current
        self.host = host
        requestedPort = port
        self.options = options
        streamOptions = SharedStreamOptions(options.stream)
        acceptWaiter = Waiter(loop: loop)
        connections = ConnectionSet(loop: loop)
    }

    /// Where the server listens; nil before `bind`.
    public var localAddress: SocketAddress? { listeners.first?.localAddress }

    /// The port it listens on; the requested one before `bind`.
    public var port: Int { localAddress?.port ?? requestedPort }

    /// Open connections.
    public var connectionCount: Int { connections.count }

    /// Binds and listens, so that the port is known; `serve` does it otherwise. In a worker of
    /// `Prefork`, a server takes over what the supervisor listens on for its address.
    ///
    /// - Throws: `StreamError` with `.cannotListen`: the port is taken, or the address is not
    ///   numeric or not one of this machine.
    public func bind() throws {
        loop.checkThread("TCPServer.bind")
        guard phase == .idle else { return }
        do {
            try bindListeners()
        } catch let error as SystemError {
            throw Listener.failure(host: host, port: requestedPort, error)
        }
        phase = .bound
    }

    /// A worker process has the sockets that its supervisor listens on. In a crew of several loops
    /// the server of each listens on the same port.
    private func bindListeners() throws {
        switch InheritedListeners.take(try SocketAddress(host: host, port: requestedPort)) {
        case .socket(let socket):
            listeners = [try Listener(adopting: socket, isInherited: true, loop: loop)]
            return
        case .allTaken:
            throw StreamError(
                .cannotListen,
                "port \(requestedPort) on \(host), which this worker was given, has been taken by "
                    + "a server of it already.")
        case .notListed:
            break
        }
        guard let crew = loop.crew, crew.count > 1 else {
            listeners = [try listener(port: requestedPort, reusePort: options.reusePort)]
            return
        }
        // Ports that the system picks are told apart by the order in which a loop's servers bind.
        let place = "\(host):\(requestedPort)"
        let number = loop.serversMade[place, default: 0]
        loop.serversMade[place] = number + 1
        try crew.bindShared("\(place) \(number)", port: requestedPort) { port, isFirst in
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            if isFirst { try self.listener(port: port, reusePort: false).close() }
            let listener = try listener(port: port, reusePort: true)
            listeners = [listener]
            return listener.localAddress.port ?? port
        }
    }

    private func listener(port: Int, reusePort: Bool) throws -> Listener {
        let address = try SocketAddress(host: host, port: port)
        return try Listener(address, backlog: options.backlog, reusePort: reusePort, loop: loop)
    }

    /// Serves connections with `handler` until `stop` is called, then waits for those that are
    /// open; or until a shutdown of the loop has drained them. If the calling task is cancelled,
    /// they are cancelled too.
    ///
    /// - Throws: What `bind` throws; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func serve(_ handler: @escaping StreamHandler) async throws {
        try bind()
        guard phase == .bound else {
            throw StreamError(.cannotListen, "The server is serving already, or was stopped.")
        }
        phase = .serving
        connections.begin(scope: TaskScope.current, logger: logger)
        loop.shutdown.join(self)
        defer { loop.shutdown.leave(self) }
        do {
            try await acceptConnections(prepared(handler))
        } catch {
            stop()
            await connections.cut()
            throw error
        }
        try await connections.join()
    }

    /// Serves connections with `handleStream`, which a subclass overrides.
    public nonisolated(nonsending) func serve() async throws {
        try await serve { [self] stream in try await handleStream(stream) }
    }

    /// Begins to serve and returns at once; trouble goes to the loop's `onUnhandledError`.
    ///
    /// - Throws: What `bind` throws.
    public func listen(_ handler: @escaping StreamHandler) throws {
        try bind()
        loop.spawn(name: "TCPServer") { [self] in
            if phase != .stopped { try await serve(handler) }
        }
    }

    /// Serves one connection; for subclasses (contract row K5).
    ///
    /// - Parameter stream: Closed by the server when this returns or throws.
    open nonisolated(nonsending) func handleStream(_ stream: IOStream) async throws {
        Misuse.stop(
            "handleStream must be overridden by \(type(of: self)), or give serve a closure.")
    }

    /// Stops accepting and frees the port. Open connections go on. Calling it again does nothing
    /// (K6).
    public func stop() {
        loop.checkThread("TCPServer.stop")
        guard phase != .stopped else { return }
        phase = .stopped
        for listener in listeners { listener.close() }
        acceptWaiter.fire()
    }

    /// Stops accepting, lets connections that wait for a new request see the end of their stream,
    /// and gives those that are in the middle of something until `deadline`; then cuts them.
    ///
    /// - Returns: Connections that were cut.
    public nonisolated(nonsending) func drain(_ deadline: Duration) async -> Int {
        stop()
        return await connections.drain(deadline)
    }

    private func prepared(_ handler: @escaping StreamHandler) -> StreamHandler {
        let (proxy, prepareStream) = (options.proxyProtocol, prepareStream)
        guard proxy != nil || prepareStream != nil else { return handler }
        return { stream in
            if let proxy { try await stream.takeProxyHeader(proxy) }
            try await prepareStream?(stream)
            try await handler(stream)
        }
    }

    // MARK: Draining

    package func beginDrain() {
        stop()
        onDrain()
        connections.endIdleInput()
    }

    package var inFlightCount: Int { connections.count }

    package func describeInFlight(linesMax: Int) -> [String] {
        connections.describe(linesMax: linesMax)
    }

    package nonisolated(nonsending) func drained() async throws {
        try await connections.drained()
    }

    package nonisolated(nonsending) func cut() async {
        await connections.cut()
    }

    // MARK: Accepting

    private nonisolated(nonsending) func acceptConnections(
        _ handler: @escaping StreamHandler
    ) async throws {
        // The loop's shutdown may have begun before.
        guard phase == .serving else { return }
        try watchListeners()
        while phase == .serving {
            switch acceptBatch(handler) {
            case .drained:
                try await acceptWaiter.wait(for: .connections)
            case .busy:
                try await loop.nextTurn()
            case .full:
                try await pauseAccepting(until: waitForRoom)
            case .exhausted:
                try await pauseAccepting { try await loop.sleep(for: options.exhaustionPause) }
            }
        }
    }

    /// The listeners are watched level-triggered: unwatched, what waits in them does not make the
    /// loop spin.
    private nonisolated(nonsending) func pauseAccepting(
        until end: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        for listener in listeners { listener.unwatch() }
        try await end()
        if phase == .serving { try watchListeners() }
    }

    private nonisolated(nonsending) func waitForRoom() async throws {
        connections.onRoom = { [acceptWaiter] in acceptWaiter.fire() }
        defer { connections.onRoom = {} }
        try await acceptWaiter.wait(for: .connections)
    }

    private enum Batch { case drained, full, busy, exhausted }

    /// Accepts until there is none left, within the turn's bound.
    private func acceptBatch(_ handler: @escaping StreamHandler) -> Batch {
        for _ in 0..<loop.limits.acceptsMax {
            if connections.count >= options.connectionsMax { return .full }
            guard let listener = listeners.first else { return .drained }
            switch listener.accept() {
            case .connection(let transport):
                begin(transport, handler)
            case .none:
                return .drained
            case .exhausted(let error):
                logger.warning("no connection can be accepted for now: \(error)")
                return .exhausted
            case .failed(let error):
                // It may well persist, so it is not tried again at once.
                logger.warning("a connection could not be accepted: \(error)")
                return .exhausted
            }
        }
        return .busy
    }

    private func begin(_ transport: SocketTransport, _ handler: @escaping StreamHandler) {
        do {
            let stream = try IOStream(transport, loop: loop, sharing: streamOptions)
            connections.start(stream, handler)
        } catch {
            transport.close()
            logger.warning("a connection could not be watched: \(error)")
        }
    }

    private func watchListeners() throws {
        for listener in listeners {
            try listener.watch { [unowned self] in
                loop.resumingInline { acceptWaiter.fire() }
            }
        }
    }
}
