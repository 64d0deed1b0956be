/// Makes TCP connections.
public enum TCPClient {
    /// How to look for a connection.
    public struct Options: Sendable {
        /// For each address of the host; the next one is tried then.
        public var attemptTimeout = Duration.seconds(10)

        /// How long the host's first family (IPv6, mostly) is tried alone before the other one
        /// joins in.
        public var familyPause = Duration.milliseconds(300)

        /// Which addresses of the host to take.
        public var family = AddressFamily.any

        /// The own end's address, if it matters. With port 0 the system picks one. Addresses of
        /// another family than the host's fail.
        public var source: SocketAddress?

        /// What the kernel is told about the connection.
        public var socket = SocketOptions()

        /// Bounds of the stream.
        public var stream = StreamOptions()

        /// The defaults.
        public init() {}
    }

    /// Connects to a host and returns the stream.
    ///
    /// A name is resolved off the loop. Its addresses are tried one after another, those of the
    /// other family beside them after a pause or a failure, and the first connection wins ("happy
    /// eyeballs", RFC 8305).
    ///
    /// ```swift
    /// let stream = try await TCPClient.connect(host: "127.0.0.1", port: 7000)
    /// defer { stream.close() }
    /// ```
    ///
    /// - Parameters:
    ///   - host: A numeric address or a name.
    ///   - timeout: For the whole attempt, the name look-up included.
    ///   - resolver: `SystemResolver.shared` by default.
    /// - Throws: `StreamError` with `.cannotResolve`, whose `cause` tells a name that does not
    ///   exist from a name server that does not answer (`ResolverError`), or with
    ///   `.cannotConnect`, whose cause is the last error of an address; `TimeoutError`;
    ///   `CancellationError`.
    public static nonisolated(nonsending) func connect(
        host: String, port: Int, timeout: Duration = .seconds(20),
        options: Options = Options(), resolver: (any Resolver)? = nil
    ) async throws -> IOStream {
        let loop = IOLoop.current
        let resolver = try resolver ?? SystemResolver.shared(on: loop)
        return try await withTimeout(timeout) {
            let addresses = try await resolver.resolve(host, port: port, family: options.family)
            return try await connect(addresses, "\(host):\(port)", loop, options)
        }
    }

    /// Connects to one address: an IP address or a Unix socket (contract row J13).
    ///
    /// ```swift
    /// let address = SocketAddress(unixPath: "/run/game.sock")
    /// let stream = try await TCPClient.connect(to: address)
    /// ```
    ///
    /// - Throws: `StreamError` with `.cannotConnect`; `TimeoutError`; `CancellationError`.
    public static nonisolated(nonsending) func connect(
        to address: SocketAddress, timeout: Duration = .seconds(20), options: Options = Options()
    ) async throws -> IOStream {
        let loop = IOLoop.current
        return try await withTimeout(timeout) {
            try await connect([address], "\(address)", loop, options)
        }
    }

    private static nonisolated(nonsending) func connect(
        _ addresses: [SocketAddress], _ place: String, _ loop: IOLoop, _ options: Options
    ) async throws -> IOStream {
        let dialer = SocketDialer(
            loop: loop, source: options.source, options: options.socket)
        let limits = Connector<SocketTransport>.Limits(
            familyPause: options.familyPause, attempt: options.attemptTimeout)
        let connector = Connector(
            loop, addresses, limits: limits, dial: dialer.dial, discard: { $0.close() })
        guard let transport = try await connector.connect() else {
            throw failure(place, connector.lastError)
        }
        do {
            return try IOStream(transport, loop: loop, options: options.stream)
        } catch {
            transport.close()
            throw failure(place, error)
        }
    }

    private static func failure(_ place: String, _ cause: (any Error)?) -> StreamError {
        StreamError(.cannotConnect, "No connection to \(place) could be made.", cause: cause)
    }
}
