internal import CUpdraft

/// What the kernel is told about a TCP connection, for servers and clients alike. Unix sockets have
/// none of it.
///
/// ```swift
/// var options = TCPServer.Options()
/// options.socket.keepAlive = SocketOptions.KeepAlive(idle: .seconds(60))
/// options.socket.userTimeout = .seconds(30)
/// ```
public struct SocketOptions: Hashable, Sendable {
    /// Probes of a connection on which nothing happens, so that a peer that has vanished is noticed
    /// although nothing is sent to it.
    public struct KeepAlive: Hashable, Sendable {
        /// How long nothing may come before the first probe. From 1 second to 9 hours, in whole
        /// seconds (rounded up), as the rest is.
        public var idle: Duration

        /// The time between probes that are not answered, from 1 second on.
        public var interval: Duration

        /// After so many probes without an answer the connection has failed. 1 to 127.
        public var count: Int

        /// Probes after a minute, every ten seconds, six times: a dead peer is noticed after two
        /// minutes.
        public init(
            idle: Duration = .seconds(60), interval: Duration = .seconds(10), count: Int = 6
        ) {
            self.idle = idle
            self.interval = interval
            self.count = count
        }
    }

    /// Sends small pieces at once instead of waiting for the answer to earlier ones (TCP_NODELAY).
    /// On by default: a stream gathers what is written in one turn by itself.
    public var noDelay = true

    /// Probes idle connections; none by default.
    public var keepAlive: KeepAlive?

    /// How long sent bytes may stay unacknowledged before the connection has failed
    /// (TCP_USER_TIMEOUT; Linux alone); in milliseconds, rounded up. By default the system's rule
    /// holds, which gives up after some 15 minutes.
    public var userTimeout: Duration?

    /// The defaults.
    public init() {}

    /// Sets what differs from the system's defaults. An option that can't be set (on a connection
    /// that has failed already, or on a system without it) is no reason to do without the
    /// connection.
    func apply(to socket: Int32) {
        if noDelay { _ = cu_set_no_delay(socket, true) }
        if let keepAlive {
            _ = cu_set_keep_alive(
                socket, SocketOptions.seconds(keepAlive.idle, most: 32_400),
                SocketOptions.seconds(keepAlive.interval, most: 32_400),
                Int32(min(max(keepAlive.count, 1), 127)))
        }
        if let userTimeout {
            // Zero would mean the default.
            let milliseconds = SocketOptions.whole(userTimeout, per: 1_000_000)
            _ = cu_set_user_timeout(socket, Int32(clamping: max(milliseconds, 1)))
        }
    }

    private static func seconds(_ duration: Duration, most: Int64) -> Int32 {
        Int32(clamping: min(max(whole(duration, per: 1_000_000_000), 1), most))
    }

    private static func whole(_ duration: Duration, per unit: Int64) -> Int64 {
        let nanoseconds = max(duration.wholeNanoseconds, 0)
        return nanoseconds / unit + (nanoseconds % unit == 0 ? 0 : 1)
    }
}
