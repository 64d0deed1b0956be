internal import CUpdraft

/// A listening socket on a loop, for one server.
final class Listener: ReadinessSink {
    /// One accepted connection, or why there is none.
    enum Accepted {
        case connection(SocketTransport)
        case none
        /// One has failed before it was accepted; the next one may not have.
        case skipped(SystemError)
        /// No descriptor is left for one more.
        case exhausted(SystemError)
        /// For the moment this socket gives none.
        case failed(SystemError)
        /// The descriptor is no listening socket any more.
        case lost(SystemError)
    }

    private enum Watching {
        /// Another server of the loop may accept from the socket.
        case off
        /// The socket is this server's on the loop, and nothing is accepted.
        case paused
        case on
        /// As `paused`, until then.
        case resting(Timeout)
    }

    let socket: ListeningSocket
    /// Whether connections may wait: false once all have been accepted.
    private(set) var mayHaveMore = true
    /// For tests: a negated errno in place of the system's answer to an accept.
    var fault: (() -> Int32?)?

    private let loop: IOLoop
    private let options: SocketOptions
    private let isTCP: Bool
    private var onReady: () -> Void = {}
    private var watching = Watching.off
    private var isOpen = true
    /// The address for which it was taken from `InheritedListeners`, until it is served.
    private var unserved: SocketAddress?
    /// What the loops of a crew have in common as long as one of them listens.
    private var shared: AnyObject?

    /// Nothing is accepted before `claim` and `resume`.
    ///
    /// - Parameters:
    ///   - options: For the connections.
    ///   - inherited: What was asked for, if the socket comes from `InheritedListeners`, which is
    ///     told when it is served.
    ///   - shared: Held until it is closed.
    /// - Throws: `StreamError` if the socket is closed.
    init(
        _ socket: ListeningSocket, options: SocketOptions, inherited: SocketAddress? = nil,
        shared: AnyObject? = nil, loop: IOLoop
    ) throws {
        self.socket = socket
        self.options = options
        self.loop = loop
        self.shared = shared
        unserved = inherited
        isTCP = socket.localAddress.port != nil
        try socket.acquire()
    }

    var localAddress: SocketAddress { socket.localAddress }

    /// A socket that is bound and listens; the caller owns it.
    ///
    /// - Parameter backlog: Nil for one that is bound alone.
    static func open(_ address: SocketAddress, backlog: Int?, reusePort: Bool) throws -> Int32 {
        guard var system = address.system else {
            throw SystemError(errno: cu_einval, operation: "the address \(address)")
        }
        let socket = try SystemError.check(cu_socket_stream(&system), "socket")
        do {
            try SystemError.check(
                cu_bind_listener(socket, &system, reusePort), "listen on \(address)")
            if let backlog {
                try SystemError.check(
                    cu_listen(socket, Int32(clamping: backlog)), "listen on \(address)")
            }
        } catch {
            _ = cu_close(socket)
            throw error
        }
        return socket
    }

    /// What the user is told of a failure to listen.
    static func failure(host: String, port: Int, _ error: SystemError) -> StreamError {
        guard SocketAddress.isIPAddress(host) else {
            return StreamError(
                .cannotListen,
                "Can't listen on '\(host)': give a numeric address, such as 127.0.0.1 or ::1.")
        }
        var reason = "Can't listen on \(ListenAddress.tcp(host: host, port: port))"
        if error.isAddressInUse {
            reason = "Port \(port) on \(host) is taken already"
            if InheritedListeners.isInWorker {
                reason +=
                    ", maybe by another worker: what all serve is given to "
                    + "Prefork.run(listen:)"
            }
        }
        return StreamError(.cannotListen, "\(reason).", cause: error)
    }

    /// Whether the machine has the address, whatever the port.
    static func isPossible(_ address: SocketAddress) -> Bool {
        do {
            _ = cu_close(try open(address.with(port: 0), backlog: nil, reusePort: false))
            return true
        } catch {
            return (error as? SystemError)?.isMissingFamily != true
        }
    }

    static func address(of socket: Int32) throws -> SocketAddress {
        var local = cu_address()
        try SystemError.check(cu_local_address(socket, &local), "getsockname")
        return SocketAddress(local)
    }

    deinit {
        if isOpen { socket.release() }
    }

    /// Makes the socket this server's on the loop; it may pause from then on without losing it.
    ///
    /// - Parameter onReady: Called whenever there is a connection to accept, after `resume`.
    /// - Throws: `StreamError` with `.cannotListen` if the socket is another server's.
    func claim(_ onReady: @escaping () -> Void) throws {
        guard isOpen, case .off = watching else { return }
        do {
            try loop.claim(socket.descriptor, for: self)
        } catch let error as LoopError where error.code == .duplicateHandler {
            throw StreamError(
                .cannotListen,
                "Another server of this loop accepts connections from \(localAddress).")
        }
        watching = .paused
        self.onReady = onReady
    }

    /// Begins to look for connections, or goes on after `pause` and `rest`.
    ///
    /// - Throws: `SystemError` if the system can't watch it now; it stays this server's.
    func resume() throws {
        pause()
        guard case .paused = watching else { return }
        try loop.startPolling(socket.descriptor, events: .read, mode: .level)
        watching = .on
        mayHaveMore = true
        if unserved != nil {
            unserved = nil
            InheritedListeners.isServed()
        }
    }

    /// Looks for no connections until `resume`.
    func pause() {
        switch watching {
        case .off, .paused: return
        case .on: loop.stopPolling(socket.descriptor)
        case .resting(let timer): loop.timers.remove(timer)
        }
        watching = .paused
    }

    /// Accepts nothing for a while, then calls `onEnd`, unless it is resumed, paused or closed
    /// before.
    func rest(for pause: Duration, onEnd: @escaping () -> Void) {
        self.pause()
        mayHaveMore = false
        guard case .paused = watching else { return }
        let end = loop.now.advanced(by: pause).nanoseconds
        watching = .resting(
            loop.timers.add(deadline: end) { [weak self] in
                self?.watching = .paused
                onEnd()
            })
    }

    func close() {
        guard isOpen else { return }
        isOpen = false
        pause()
        if case .paused = watching { loop.unwatch(socket.descriptor, isPolled: false) }
        watching = .off
        onReady = {}
        shared = nil
        socket.release()
    }

    /// Closes the listener without closing its descriptor, which is not its socket any more.
    func lose() {
        socket.forget()
        close()
    }

    /// Undoes the binding: a socket that was inherited, and not served yet, may be taken again.
    func takeBack() {
        if let unserved, isOpen, socket.forget() {
            InheritedListeners.giveBack(socket.descriptor, for: unserved)
        }
        close()
    }

    var report: SinkReport {
        guard case .on = watching else {
            return SinkReport(text: "listens on \(localAddress), and accepts nothing for now")
        }
        return SinkReport(text: "listens on \(localAddress)")
    }

    func ready(_ events: IOEvents) {
        // It may have been fetched before a pause.
        guard case .on = watching else { return }
        mayHaveMore = true
        onReady()
    }

    func accept() -> Accepted {
        guard isOpen else { return none() }
        var peer = cu_address()
        let result = fault?() ?? cu_accept(socket.descriptor, &peer)
        if result >= 0 {
            if isTCP { options.apply(to: result) }
            return .connection(
                SocketTransport(descriptor: result, peerAddress: SocketAddress(peer)))
        }
        return result == -cu_eagain ? none() : failure(result)
    }

    @inline(never)
    private func failure(_ result: Int32) -> Accepted {
        let error = SystemError(errno: result, operation: "accept on \(localAddress)")
        switch Int(cu_accept_verdict(result)) {
        case Int(CU_ACCEPT_SKIPPED): return .skipped(error)
        case Int(CU_ACCEPT_EXHAUSTED): return .exhausted(error)
        case Int(CU_ACCEPT_LOST): return .lost(error)
        default: return .failed(error)
        }
    }

    private func none() -> Accepted {
        mayHaveMore = false
        return .none
    }
}
