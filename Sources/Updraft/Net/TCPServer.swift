public import Logging

/// What a server does with one connection: reads, writes, returns.
///
/// It runs as a task of its own on the server's loop. When it returns, what it wrote is sent and
/// the stream is closed; when it throws, the same, and the error goes to the loop's
/// `onUnhandledError` (trouble of the connection itself is logged at `debug`).
public typealias StreamHandler = nonisolated(nonsending) (IOStream) async throws -> Void

/// A server of TCP connections, or of those of Unix sockets, on one loop.
///
/// ```swift
/// try await TCPServer(port: 7000).serve { stream in
///     for try await line in stream.lines { try await stream.write(line + [10]) }
/// }
/// ```
///
/// It may listen on several addresses. Instead of giving a closure you may subclass and override
/// `handleStream`. Contract rows K1-K8; see `docs/servers.md`.
open class TCPServer: Drainable {
    /// The loop that the server lives on.
    public let loop: IOLoop

    /// The server's bounds and switches.
    public let options: Options

    /// Where a handler's errors go, at `debug`, and trouble with accepting, at `warning`.
    public var logger = Logger(label: LoggerLabel.general)

    /// Runs in each connection's task before its handler, as a TLS handshake does. What it throws
    /// ends the connection as what the handler throws does. Set it before serving.
    public var prepareStream: StreamHandler?

    /// Runs when the server is about to accept its first connection. `serve` throws what it
    /// throws. Set it before serving, as the hooks below.
    public var onStart: ServerHook?

    /// Runs once, if `onStart` has run, when the server has stopped and its last connection has
    /// ended; `serve` waits for it. What it throws goes to the loop's `onUnhandledError`. If
    /// `serve` was cancelled, waits in here end at once; `IOLoop.onStop` has hooks that may wait.
    public var onStop: ServerHook?

    /// Called in each connection's task before its handler, after `prepareStream`. What it throws
    /// ends the connection as what the handler throws does.
    public var onConnect: ((IOStream) throws -> Void)?

    /// Called once with each connection that `onConnect` was called with, or would have been, when
    /// it is closed: with what its handler threw, else with the failure that closed the stream,
    /// else with nil. A handler that can't be ended and is left behind counts as closed, with
    /// `CancellationError`.
    public var onClose: ((IOStream, (any Error)?) -> Void)?

    let addresses: [ListenAddress]
    let acceptWaiter: Waiter
    let connections: ConnectionSet
    let streamOptions: SharedStreamOptions
    var listeners: [Listener] = []
    var phase = Phase.idle
    var accepting = Accepting()
    private var stopHook = StopHook.none
    private var stopHookWaiters: [Waiter] = []

    /// For what is built on a server: called when the loop's shutdown begins.
    package var onDrain: () -> Void = {}

    /// For what is built on a server: what a connection has yet to do, in log lines and dumps.
    package var describeWork: ((IOStream) -> String?)? {
        get { connections.describeWork }
        set { connections.describeWork = newValue }
    }

    enum Phase {
        case idle
        case bound
        case serving
        case stopped
    }

    private enum StopHook {
        /// There is none, or `onStart` has not run, or the hook has run.
        case none
        case owed
    }

    /// Makes a server for the calling thread's loop; nothing is bound yet.
    ///
    /// - Parameters:
    ///   - host: A numeric address: this machine alone by default; an empty one for all
    ///     interfaces, IPv4 and IPv6; `0.0.0.0` or `::` for those of one family.
    ///   - port: 0 picks a free one; see `port`.
    public init(host: String = "127.0.0.1", port: Int, options: Options = Options()) {
        loop = IOLoop.current
        addresses = [.tcp(host: host, port: port)]
        self.options = options
        streamOptions = SharedStreamOptions(options.stream)
        acceptWaiter = Waiter(loop: loop)
        connections = ConnectionSet(loop: loop)
    }

    /// Makes a server of several addresses for the calling thread's loop; nothing is bound yet.
    ///
    /// - Parameter addresses: None for a server that is given sockets; see `addSockets`.
    public init(listeningOn addresses: [ListenAddress], options: Options = Options()) {
        loop = IOLoop.current
        self.addresses = addresses
        self.options = options
        streamOptions = SharedStreamOptions(options.stream)
        acceptWaiter = Waiter(loop: loop)
        connections = ConnectionSet(loop: loop)
    }

    /// The first address that the server listens on; nil before `bind`.
    public var localAddress: SocketAddress? { listeners.first?.localAddress }

    /// All addresses that the server listens on, in the order in which they were given; those of
    /// one port on all interfaces stand for themselves. Empty before `bind`.
    public var localAddresses: [SocketAddress] { listeners.map(\.localAddress) }

    /// The first port it listens on; the requested one before `bind`. 0 if it has Unix sockets
    /// alone.
    public var port: Int {
        for listener in listeners {
            if let port = listener.localAddress.port { return port }
        }
        return addresses.lazy.compactMap(\.port).first ?? 0
    }

    /// Open connections.
    public var connectionCount: Int { connections.count }

    /// What has become of those who connected so far.
    public var counts: Counts { connections.counts }

    /// Serves connections with `handler` until `stop` is called, then waits for those that are
    /// open; or until a shutdown of the loop has drained them. If the calling task is cancelled,
    /// they are cancelled too.
    ///
    /// - Throws: What `bind` throws; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func serve(_ handler: @escaping StreamHandler) async throws {
        try bind()
        try claim()
        try await run(handler)
    }

    /// One task serves, once.
    private func claim() throws {
        switch phase {
        case .idle, .bound: break
        case .serving: throw StreamError(.cannotListen, "The server is serving already.")
        case .stopped: throw StreamError(.cannotListen, "The server was stopped.")
        }
        guard !listeners.isEmpty else {
            throw StreamError(.cannotListen, "The server has no address to listen on.")
        }
        phase = .serving
    }

    private nonisolated(nonsending) func run(_ handler: @escaping StreamHandler) async throws {
        connections.begin(scope: TaskScope.current, logger: logger, hooks: connectionHooks)
        loop.shutdown.join(self)
        defer { loop.shutdown.leave(self) }
        do {
            try await start()
            try await acceptConnections(prepared(handler))
            try await connections.join()
        } catch {
            stop()
            await connections.cut()
            await runStopHook()
            throw error
        }
        await runStopHook()
    }

    private nonisolated(nonsending) func start() async throws {
        // The loop's shutdown may have begun before.
        guard phase == .serving else { return }
        try await onStart?()
        if onStop != nil { stopHook = .owed }
    }

    private nonisolated(nonsending) func runStopHook() async {
        guard case .owed = stopHook else { return }
        do {
            try await onStop?()
        } catch {
            loop.onUnhandledError(error, "The stop hook of a server")
        }
        stopHook = .none
        for waiter in stopHookWaiters { waiter.fire() }
    }

    private var connectionHooks: ConnectionHooks? {
        if onConnect == nil, onClose == nil { return nil }
        return ConnectionHooks(onConnect: onConnect, onClose: onClose)
    }

    /// Serves connections with `handleStream`, which a subclass overrides.
    public nonisolated(nonsending) func serve() async throws {
        try await serve { [self] stream in try await handleStream(stream) }
    }

    /// Begins to serve and returns at once; trouble goes to the loop's `onUnhandledError`.
    ///
    /// - Throws: What `bind` throws; `StreamError` with `.cannotListen` also if the server serves
    ///   already, was stopped, or has no address.
    public func listen(_ handler: @escaping StreamHandler) throws {
        try bind()
        try claim()
        loop.spawn(name: "TCPServer") { [self] in
            // It may have been stopped before this task began.
            if phase == .serving { try await run(handler) }
        }
    }

    /// Begins to serve with `handleStream`, which a subclass overrides, and returns at once.
    ///
    /// - Throws: What `listen` with a closure throws.
    public func listen() throws {
        try listen { [self] stream in try await handleStream(stream) }
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
        _ = accepting.spare.release()
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
        let (proxy, hooks) = (options.proxyProtocol, connections.hooks)
        guard proxy != nil || prepareStream != nil || hooks != nil else { return handler }
        return { [prepareStream] stream in
            if let proxy { try await stream.takeProxyHeader(proxy) }
            try await prepareStream?(stream)
            try hooks?.begin(stream)
            try await handler(stream)
        }
    }

    // MARK: Draining

    package func beginDrain() {
        stop()
        onDrain()
        connections.endIdleInput()
    }

    /// Connections, and after the last of them the stop hook.
    package var inFlightCount: Int {
        if connections.count == 0, case .owed = stopHook, phase == .stopped { return 1 }
        return connections.count
    }

    package func describeInFlight(linesMax: Int) -> [String] {
        if connections.count == 0, inFlightCount > 0 { return ["the stop hook of a server"] }
        return connections.describe(linesMax: linesMax)
    }

    package nonisolated(nonsending) func drained() async throws {
        try await connections.drained()
        while case .owed = stopHook {
            let waiter = Waiter(loop: loop)
            stopHookWaiters.append(waiter)
            defer { stopHookWaiters.removeAll { $0 === waiter } }
            try await waiter.wait(for: .tasks)
        }
    }

    package nonisolated(nonsending) func cut() async {
        await connections.cut()
    }
}
