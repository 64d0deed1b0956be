public import Updraft

/// A MessagePack-RPC server on one loop.
///
/// ```swift
/// try IOLoop.run { loop in
///     let rpc = RPCServer(port: 5700)
///     rpc.register("sum") { (x: Int, y: Int) in x + y }
///     try await rpc.serve(until: .terminationSignals, drain: .seconds(5))
/// }
/// ```
///
/// Both sides of a connection may call each other: a method that takes the calling `RPCPeer` as
/// its first parameter can call back or keep it in `users`. See `docs/rpc.md`.
public final class RPCServer: RPCMethodRegistry {
    /// The loop that the server lives on.
    public let loop: IOLoop

    /// What clients may call; `register` adds to it. Several servers may share one table.
    public let methods: RPCMethods

    /// The limits of every connection.
    public let options: RPCOptions

    /// Peers by the names that the application has given them; see `RPCUsers`.
    public var users = RPCUsers()

    /// Called with each new connection, before anything is read from it.
    public var onConnect: ((RPCPeer) -> Void)?

    /// Called once with each connection that is closed, whoever closed it, when it has left `peers`
    /// and `users`.
    public var onDisconnect: ((RPCPeer) -> Void)?

    /// Runs in each connection's task before it speaks RPC; see `TCPServer.prepareStream`.
    public var prepareStream: StreamHandler? {
        get { server.prepareStream }
        set { server.prepareStream = newValue }
    }

    private let server: TCPServer
    private let context: RPCContext
    private var connected: [UInt64: RPCPeer] = [:]
    private var isStopping = false

    /// Makes a server for the calling thread's loop; nothing is bound yet.
    ///
    /// - Parameters:
    ///   - host: A numeric address: this machine alone by default; `0.0.0.0` or `::` for all
    ///     interfaces.
    ///   - port: 0 picks a free one; see `port`.
    ///   - options: The limits of every connection.
    ///   - methods: A table to share.
    ///   - listener: How connections are accepted.
    public init(
        host: String = "127.0.0.1", port: Int, options: RPCOptions = RPCOptions(),
        methods: RPCMethods = RPCMethods(), listener: TCPServer.Options = TCPServer.Options()
    ) {
        server = TCPServer(host: host, port: port, options: listener)
        loop = server.loop
        self.options = options
        self.methods = methods
        context = RPCContext(methods: methods, options: options)
        server.onDrain = { [weak self] in self?.stop() }
        server.describeWork = { [weak self] in self?.describeWork(on: $0) }
    }

    /// The port it listens on; the requested one before `bind`.
    public var port: Int { server.port }

    /// Where the server listens; nil before `bind`.
    public var localAddress: SocketAddress? { server.localAddress }

    /// All connections, in the order in which they came.
    public var peers: [RPCPeer] { connected.values.sorted { $0.id < $1.id } }

    /// Open connections.
    public var peerCount: Int { connected.count }

    /// Binds and listens, so that the port is known; `serve` does it otherwise.
    ///
    /// - Throws: What `RPCMethods.validate` throws; `StreamError` with `.cannotListen`.
    public func bind() throws {
        try methods.validate()
        try server.bind()
    }

    /// Serves until `stop` is called and the connections are closed.
    ///
    /// If the calling task is cancelled, the connections are cut.
    ///
    /// - Throws: What `bind` throws; `CancellationError`; `TimeoutError`.
    public nonisolated(nonsending) func serve() async throws {
        try bind()
        try await server.serve { [self] stream in try await serve(stream) }
    }

    /// Begins to serve and returns at once; trouble goes to the loop's `onUnhandledError`.
    ///
    /// - Throws: What `bind` throws.
    public func listen() throws {
        try methods.validate()
        try server.listen { [self] stream in try await serve(stream) }
    }

    /// Serves until a signal asks to stop; then stops accepting, takes no further requests, answers
    /// those in progress for at most `limit`, cuts what is left, and returns.
    ///
    /// Each connection is closed when its requests are answered and all is sent. The signal ends
    /// all servers of the loop, under one deadline; see `IOLoop.shutDown`.
    ///
    /// - Parameters:
    ///   - limit: The time from the signal on, stop hooks included (`IOLoop.onStop`).
    ///   - ready: Called when the server listens and watches for the signals: the place to
    ///     announce it.
    /// - Returns: How it went. If connections were cut, `IOLoop.run` throws a `ShutdownError` when
    ///   its body has ended.
    /// - Throws: As `serve`; `SystemError` for signals that can't be caught.
    @discardableResult
    public nonisolated(nonsending) func serve(
        until condition: StopCondition, drain limit: Duration = .seconds(5),
        ready: () -> Void = {}
    ) async throws -> StopReport {
        try bind()
        let watch = StopWatch(loop)
        try watch.begin(condition, drain: limit)
        ready()
        do {
            try await serve()
        } catch {
            watch.cancel()
            throw error
        }
        return try await watch.end()
    }

    /// Stops accepting and takes no further requests; each connection is closed when its requests
    /// in progress are answered. Calling it again does nothing.
    public func stop() {
        loop.checkThread("RPCServer.stop")
        guard !isStopping else { return }
        isStopping = true
        server.stop()
        for peer in peers { peer.drain() }
    }

    /// Stops as `stop` does, waits for the connections to end, and cuts those that have not at the
    /// deadline.
    ///
    /// - Parameter limit: How long to wait.
    /// - Returns: Connections that were cut.
    @discardableResult
    public nonisolated(nonsending) func drain(_ limit: Duration) async -> Int {
        stop()
        return await server.drain(limit)
    }

    private nonisolated(nonsending) func serve(_ stream: IOStream) async throws {
        let peer = RPCPeer(stream, context: context)
        connected[peer.id] = peer
        peer.onClose { [self] peer in disconnected(peer) }
        onConnect?(peer)
        peer.start()
        if isStopping { peer.drain() }
        try await peer.run()
    }

    private func describeWork(on stream: IOStream) -> String? {
        connected.values.first { $0.stream === stream }?.work
    }

    private func disconnected(_ peer: RPCPeer) {
        connected[peer.id] = nil
        users.remove(peer)
        onDisconnect?(peer)
    }
}
