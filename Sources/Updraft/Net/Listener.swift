internal import CUpdraft

/// A listening socket on a loop, for one server.
final class Listener: ReadinessSink {
    /// One accepted connection, or why there is none.
    enum Accepted {
        case connection(SocketTransport)
        case none
        /// No descriptor or memory is left for one more.
        case exhausted(SystemError)
        case failed(SystemError)
    }

    let socket: ListeningSocket
    /// Whether connections may wait: false once all have been accepted.
    private(set) var mayHaveMore = true

    private let loop: IOLoop
    private let options: SocketOptions
    private let isTCP: Bool
    private var onReady: () -> Void = {}
    private var isOpen = true
    private var isUnserved: Bool

    /// Nothing is accepted before `watch`.
    ///
    /// - Parameters:
    ///   - options: For the connections.
    ///   - isInherited: Whether the socket comes from `InheritedListeners`, which is told when it
    ///     is served.
    /// - Throws: `StreamError` if the socket is closed.
    init(
        _ socket: ListeningSocket, options: SocketOptions, isInherited: Bool, loop: IOLoop
    ) throws {
        self.socket = socket
        self.options = options
        self.loop = loop
        isUnserved = isInherited
        isTCP = socket.localAddress.port != nil
        try socket.acquire()
    }

    var localAddress: SocketAddress { socket.localAddress }

    /// A socket that is bound and listens; the caller owns it.
    static func open(_ address: SocketAddress, backlog: Int, reusePort: Bool) throws -> Int32 {
        guard var system = address.system else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        let socket = try SystemError.check(cu_socket_stream(&system), "socket")
        do {
            try SystemError.check(
                cu_bind_listener(socket, &system, reusePort), "listen on \(address)")
            try SystemError.check(
                cu_listen(socket, Int32(clamping: backlog)), "listen on \(address)")
        } catch {
            _ = cu_close(socket)
            throw error
        }
        return socket
    }

    /// What the user is told of a failure to listen.
    static func failure(host: String, port: Int, _ error: SystemError) -> StreamError {
        guard (try? SocketAddress(host: host, port: 0)) != nil else {
            return StreamError(
                .cannotListen,
                "can't listen on '\(host)': give a numeric address, such as 127.0.0.1 or ::1.")
        }
        var reason = "can't listen on \(host):\(port)"
        if error.isAddressInUse {
            reason = "port \(port) on \(host) is taken by another program"
            if InheritedListeners.isInWorker {
                reason += ", or by another worker: what all serve is given to Prefork.run(listen:)"
            }
        }
        return StreamError(.cannotListen, "\(reason).", cause: error)
    }

    static func address(of socket: Int32) throws -> SocketAddress {
        var local = cu_address()
        try SystemError.check(cu_local_address(socket, &local), "getsockname")
        return SocketAddress(local)
    }

    deinit {
        if isOpen { socket.release() }
    }

    /// Calls `onReady` whenever there is a connection to accept.
    func watch(_ onReady: @escaping () -> Void) throws {
        self.onReady = onReady
        mayHaveMore = true
        try loop.watch(socket.descriptor, events: .read, mode: .level, sink: self)
        if isUnserved {
            isUnserved = false
            InheritedListeners.isServed()
        }
    }

    func unwatch() {
        if isOpen { loop.unwatch(socket.descriptor) }
        onReady = {}
    }

    func close() {
        guard isOpen else { return }
        unwatch()
        isOpen = false
        socket.release()
    }

    var report: SinkReport { SinkReport(text: "listens on \(localAddress)") }

    func ready(_ events: IOEvents) {
        mayHaveMore = true
        onReady()
    }

    func accept() -> Accepted {
        guard isOpen else { return none() }
        while true {
            var peer = cu_address()
            let result = cu_accept(socket.descriptor, &peer)
            if result >= 0 {
                if isTCP { options.apply(to: result) }
                return .connection(
                    SocketTransport(descriptor: result, peerAddress: SocketAddress(peer)))
            }
            if result == -cu_eagain { return none() }
            // The peer gave up before it was accepted: the next one may not have.
            if result == -cu_econnaborted { continue }
            let error = SystemError(errno: result, operation: "accept")
            return error.isExhaustion ? .exhausted(error) : .failed(error)
        }
    }

    private func none() -> Accepted {
        mayHaveMore = false
        return .none
    }
}
