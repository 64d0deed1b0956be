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

    /// Binds and listens. Nothing is accepted before `watch`.
    init(
        _ address: SocketAddress, backlog: Int, reusePort: Bool, loop: IOLoop
    ) throws {
        guard var system = address.system else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        let socket = try SystemError.check(cu_socket_stream(&system), "socket")
        do {
            try SystemError.check(
                cu_bind_and_listen(socket, &system, Int32(clamping: backlog), reusePort),
                "listen on \(address)")
            var local = cu_address()
            try SystemError.check(cu_local_address(socket, &local), "getsockname")
            localAddress = SocketAddress(local)
        } catch {
            _ = cu_close(socket)
            throw error
        }
        self.socket = socket
        self.loop = loop
    }

    deinit {
        if isOpen { _ = cu_close(socket) }
    }

    /// Calls `onReady` whenever there is a connection to accept.
    func watch(_ onReady: @escaping () -> Void) throws {
        self.onReady = onReady
        try loop.watch(socket, events: .read, mode: .level, sink: self)
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
