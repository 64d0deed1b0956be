internal import CUpdraft

/// Opens sockets and connects them, for `Connector`.
struct SocketDialer {
    let loop: IOLoop
    /// The own end's address, if it matters.
    let source: SocketAddress?
    let options: SocketOptions

    /// Begins an attempt; see `Connector.Dial`.
    func dial(
        _ address: SocketAddress,
        _ done: @escaping (Result<SocketTransport, any Error>) -> Void
    ) -> () -> Void {
        let attempt: Attempt
        do {
            attempt = try Attempt(address, source, options)
        } catch {
            done(.failure(error))
            return {}
        }
        if attempt.isPending { return watch(attempt, done) }
        done(attempt.result())
        return {}
    }

    private func watch(
        _ attempt: Attempt, _ done: @escaping (Result<SocketTransport, any Error>) -> Void
    ) -> () -> Void {
        do {
            try loop.withoutContext {
                try loop.addHandler(attempt.socket, events: .write) { [unowned loop] socket, _ in
                    loop.removeHandler(socket)
                    done(attempt.result())
                }
            }
        } catch {
            attempt.abandon()
            done(.failure(error))
            return {}
        }
        return { [unowned loop] in
            loop.removeHandler(attempt.socket)
            attempt.abandon()
        }
    }
}

/// A socket on its way to be connected.
private struct Attempt {
    let address: SocketAddress
    let socket: Int32
    let isPending: Bool
    private let options: SocketOptions

    init(
        _ address: SocketAddress, _ source: SocketAddress?, _ options: SocketOptions
    ) throws {
        guard var system = address.system else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        self.address = address
        self.options = options
        socket = try SystemError.check(cu_socket_stream(&system), "socket")
        if let source { try Attempt.bind(socket, source, for: address) }
        let result = cu_connect(socket, &system)
        isPending = result == -cu_einprogress
        if result < 0, !isPending {
            _ = cu_close(socket)
            throw SystemError(errno: result, operation: "connect to \(address)")
        }
    }

    private static func bind(
        _ socket: Int32, _ source: SocketAddress, for address: SocketAddress
    ) throws {
        var result = -cu_einval
        if var system = source.system, source.isIPv6 == address.isIPv6 {
            result = cu_bind_source(socket, &system)
        }
        if result < 0 {
            _ = cu_close(socket)
            throw SystemError(errno: result, operation: "connect from \(source) to \(address)")
        }
    }

    /// Connected, or not: the socket tells.
    func result() -> Result<SocketTransport, any Error> {
        let error = cu_socket_error(socket)
        if error != 0 {
            abandon()
            return .failure(SystemError(errno: error, operation: "connect to \(address)"))
        }
        if address.port != nil { options.apply(to: socket) }
        return .success(SocketTransport(descriptor: socket, peerAddress: address))
    }

    func abandon() {
        _ = cu_close(socket)
    }
}
