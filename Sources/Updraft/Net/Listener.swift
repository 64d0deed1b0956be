internal import CUpdraft

/// A listening socket on a loop.
final class Listener: ReadinessSink {
    /// One accepted connection, or why there is none.
    enum Accepted {
        case connection(SocketTransport)
        case none
        /// No descriptor or memory is left for one more.
        case exhausted(SystemError)
        case failed(SystemError)
    }

    let localAddress: SocketAddress
    private let socket: Int32
    private let loop: IOLoop
    private var onReady: () -> Void = {}
    private var isOpen = true
    private var isUnserved: Bool

    /// Binds and listens. Nothing is accepted before `watch`.
    convenience init(
        _ address: SocketAddress, backlog: Int, reusePort: Bool, loop: IOLoop
    ) throws {
        let socket = try Listener.open(address, backlog: backlog, reusePort: reusePort)
        try self.init(adopting: socket, isInherited: false, loop: loop)
    }

    /// Takes over a socket that listens, and closes it if it throws.
    ///
    /// - Parameter isInherited: Whether it comes from `InheritedListeners`, which is told when it
    ///   is served.
    init(adopting socket: Int32, isInherited: Bool, loop: IOLoop) throws {
        do {
            localAddress = try Listener.address(of: socket)
        } catch {
            _ = cu_close(socket)
            throw error
        }
        isUnserved = isInherited
        self.socket = socket
        self.loop = loop
    }

    /// A socket that is bound and listens; the caller owns it.
    static func open(_ address: SocketAddress, backlog: Int, reusePort: Bool) throws -> Int32 {
        guard var system = address.system else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        let socket = try SystemError.check(cu_socket_stream(&system), "socket")
        do {
            try SystemError.check(
                cu_bind_and_listen(socket, &system, Int32(clamping: backlog), reusePort),
                "listen on \(address)")
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
        if isOpen { _ = cu_close(socket) }
    }

    /// Calls `onReady` whenever there is a connection to accept.
    func watch(_ onReady: @escaping () -> Void) throws {
        self.onReady = onReady
        try loop.watch(socket, events: .read, mode: .level, sink: self)
        if isUnserved {
            isUnserved = false
            InheritedListeners.isServed()
        }
    }

    func unwatch() {
        if isOpen { loop.unwatch(socket) }
        onReady = {}
    }

    func close() {
        guard isOpen else { return }
        unwatch()
        isOpen = false
        _ = cu_close(socket)
    }

    var report: SinkReport { SinkReport(text: "listens on \(localAddress)") }

    func ready(_ events: IOEvents) {
        onReady()
    }

    func accept() -> Accepted {
        guard isOpen else { return .none }
        while true {
            var peer = cu_address()
            let result = cu_accept(socket, &peer)
            if result >= 0 {
                let address = SocketAddress(peer)
                if address.port != nil { _ = cu_set_no_delay(result, true) }
                return .connection(SocketTransport(descriptor: result, peerAddress: address))
            }
            if result == -cu_eagain { return .none }
            // The peer gave up before it was accepted: the next one may not have.
            if result == -cu_econnaborted { continue }
            let error = SystemError(errno: result, operation: "accept")
            return error.isExhaustion ? .exhausted(error) : .failed(error)
        }
    }
}
