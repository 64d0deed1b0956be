extension TCPServer {
    /// What to do with those who connect when all connections that there may be are open.
    public enum FullPolicy: Sendable {
        /// They wait in the backlog until a connection ends.
        case wait
        /// Their connections are accepted and closed at once.
        case refuse
    }

    /// Bounds and switches of a server.
    public struct Options: Sendable {
        /// Connections that the kernel holds ready to be accepted, for each address.
        public var backlog = 4_096
        /// Lets several listeners (of several loops or processes) share the port.
        public var reusePort = false
        /// Open connections at the most.
        public var connectionsMax = 100_000
        /// What becomes of further ones.
        public var whenFull = FullPolicy.wait
        /// How long to stop accepting when the system has no descriptor left, or no memory. In
        /// the first case those who have connected by then are refused before the pause. At least
        /// a millisecond, at most a day.
        public var exhaustionPause = Duration.milliseconds(100)
        /// How long nothing may come or go on a connection; nil for ever. Then it is closed, and
        /// what waits for it throws `StreamError` with `.closed`, whose cause is a `TimeoutError`,
        /// and the handler's task is cancelled: its other waits throw `CancellationError`.
        /// Bytes that the kernel has taken have gone: a peer that reads nothing is idle once its
        /// buffers are full.
        public var idleTimeout: Duration?
        /// How long a connection may last, whatever happens on it; nil for ever. Otherwise as
        /// `idleTimeout`, but it ends also a handler that has closed the stream or detached it.
        public var totalTimeout: Duration?
        /// Whom to believe what they say about their clients' addresses; nobody by default.
        public var proxyProtocol: ProxyProtocol?
        /// What the kernel is told about each TCP connection.
        public var socket = SocketOptions()
        /// Bounds of every connection's stream.
        public var stream = StreamOptions()

        /// The defaults.
        public init() {}
    }

    /// What has become of those who connected to a server, counted since it was made.
    public struct Counts: Sendable, Hashable {
        /// Connections that were taken on, also those whose PROXY header or TLS handshake failed
        /// before they came to the handler.
        public internal(set) var accepted: UInt64 = 0
        /// Closed at once because `connectionsMax` were open, with `FullPolicy.refuse`.
        public internal(set) var refused: UInt64 = 0
        /// Closed at once because the system had no descriptor left, or could not watch one more.
        public internal(set) var shed: UInt64 = 0
        /// Accepted, and closed by a time-out.
        public internal(set) var timedOut: UInt64 = 0
    }
}
