// Binding: contract rows K2-K4 and K7.
extension TCPServer {
    /// Binds the addresses that the server was made with and listens, so that the port is known;
    /// `serve` does it otherwise. In a worker of `Prefork`, a server takes over what the supervisor
    /// listens on for its address.
    ///
    /// - Throws: `StreamError` with `.cannotListen`: an address is taken, is not numeric, or is not
    ///   one of this machine. Nothing is bound then.
    public func bind() throws {
        loop.checkThread("TCPServer.bind")
        guard phase == .idle else { return }
        listeners += try opening { opened in
            for address in addresses { try open(address, besides: opened, into: &opened) }
        }
        phase = .bound
    }

    /// All that `body` opens, or nothing: it leaves no trace if it throws, neither here nor in what
    /// the loops of a crew share.
    private func opening(_ body: (inout [Listener]) throws -> Void) throws -> [Listener] {
        let serversMade = loop.serversMade
        var opened: [Listener] = []
        do {
            try body(&opened)
        } catch {
            // In the order in which inherited ones are to be taken again.
            for listener in opened.reversed() { listener.takeBack() }
            loop.serversMade = serversMade
            throw error
        }
        return opened
    }

    /// Listens on one more address, before serving or while it serves. The server's own addresses
    /// are bound first.
    ///
    /// ```swift
    /// let server = TCPServer(port: 7000)
    /// try server.bind(to: .unix("/run/game.sock"))
    /// ```
    ///
    /// - Returns: Where it listens now, with the port that the system has picked: one address, or
    ///   those of all interfaces, one for each family.
    /// - Throws: What `bind` throws; also if the server listens there already, or was stopped;
    ///   `SystemError` if the loop can't watch it.
    @discardableResult
    public func bind(to address: ListenAddress) throws -> [SocketAddress] {
        try add { try open(address, besides: listeners, into: &$0) }
    }

    /// Accepts connections from a socket that listens, before serving or while it serves (K4). The
    /// server closes it when it stops; see `ListeningSocket` for sockets of several servers.
    ///
    /// - Throws: `StreamError` with `.cannotListen` if the socket is closed, if the server has it
    ///   already, or was stopped, or, while it serves, if another server of the loop accepts from
    ///   the socket; `SystemError` if the loop can't watch it.
    public func addSocket(_ socket: ListeningSocket) throws {
        try addSockets([socket])
    }

    /// Accepts connections from sockets that listen; otherwise as `addSocket`. If it throws, none
    /// is added.
    public func addSockets(_ sockets: [ListeningSocket]) throws {
        try add { added in
            for socket in sockets {
                guard !(listeners + added).contains(where: { $0.socket === socket }) else {
                    throw duplicate("\(socket.localAddress)")
                }
                added.append(try listener(socket))
            }
        }
    }

    @discardableResult
    private func add(_ open: (inout [Listener]) throws -> Void) throws -> [SocketAddress] {
        try bind()
        guard phase != .stopped else {
            throw StreamError(.cannotListen, "The server was stopped.")
        }
        let added = try opening { added in
            try open(&added)
            if accepting.state != .notBegun { try accept(from: added) }
        }
        listeners += added
        return added.map(\.localAddress)
    }

    private func listener(
        _ socket: ListeningSocket, inherited: SocketAddress? = nil, shared: AnyObject? = nil
    ) throws -> Listener {
        try Listener(
            socket, options: options.socket, inherited: inherited, shared: shared, loop: loop)
    }

    private func duplicate(_ address: String) -> StreamError {
        StreamError(.cannotListen, "The server listens on \(address) already.")
    }

    // MARK: One address

    /// A worker process has the sockets that its supervisor listens on. In a crew of several loops
    /// the server of each listens on the same port.
    private func open(
        _ address: ListenAddress, besides others: [Listener], into opened: inout [Listener]
    ) throws {
        let wanted = try address.socketAddresses(.any)
        for own in others.map(\.localAddress) {
            // With `reusePort` the system would see nothing wrong in it.
            if wanted.contains(own) { throw duplicate("\(own)") }
            guard !options.reusePort, let new = wanted.first(where: own.overlaps) else { continue }
            throw StreamError(
                .cannotListen, "The server listens on \(own) already, which overlaps \(new).")
        }
        if InheritedListeners.isInWorker {
            let before = opened.count
            try openInherited(wanted, into: &opened)
            if opened.count > before { return }
        }
        let bound = try bindSockets(address)
        for socket in bound.sockets {
            opened.append(try listener(socket, shared: bound.shared))
        }
    }

    private func openInherited(
        _ wanted: [SocketAddress], into opened: inout [Listener]
    ) throws {
        var given: SocketAddress?
        var missing: [SocketAddress] = []
        for address in wanted {
            switch InheritedListeners.take(address) {
            case .socket(let descriptor):
                let socket = try ListeningSocket(inheriting: descriptor)
                opened.append(try listener(socket, inherited: address))
                given = address
            case .allTaken:
                let place =
                    address.port.map { "Port \($0) on \(address.host)" } ?? "The path \(address)"
                throw StreamError(
                    .cannotListen,
                    "\(place), which this worker was given, has been taken by a server of it "
                        + "already.")
            case .notListed:
                missing.append(address)
            }
        }
        // The workers would get into each other's way if each bound the rest by itself.
        guard let given, let other = missing.first(where: Listener.isPossible) else { return }
        throw StreamError(
            .cannotListen,
            "This worker was given \(given) and not \(other): for both, give Prefork.run(listen:) "
                + "an empty host.")
    }

    /// What the loops of a crew have in common: they are told apart by the order in which a loop's
    /// servers bind.
    private func bindSockets(
        _ address: ListenAddress
    ) throws -> (sockets: [ListeningSocket], shared: AnyObject?) {
        guard let crew = loop.crew, crew.count > 1 else {
            return (try sockets(address, reusePort: options.reusePort), nil)
        }
        let number = loop.serversMade["\(address)", default: 0]
        let key = "\(address) \(number)"
        defer { loop.serversMade["\(address)"] = number + 1 }
        guard let port = address.port else {
            // There is no sharing a path: all loops have the one socket.
            let shared = try crew.share(key) { (known: CrewSockets?) in
                if let known, known.sockets.allSatisfy(\.isOpen) { return known }
                return CrewSockets(try sockets(address, reusePort: false))
            }
            return (shared.sockets, shared)
        }
        var bound: [ListeningSocket] = []
        let shared = try crew.share(key) { (known: CrewPort?) in
            let address = address.with(port: known?.port ?? port)
            if known == nil, port != 0, !options.reusePort { try checkFree(address) }
            bound = try sockets(address, reusePort: true)
            return known ?? CrewPort(bound.first?.localAddress.port ?? port)
        }
        return (bound, shared)
    }

    /// With SO_REUSEPORT the port would be shared silently with another program of the same user
    /// that uses it too.
    private func checkFree(_ address: ListenAddress) throws {
        let options = ListenOptions(backlog: 0, reusePort: false, listens: false)
        for socket in try ListeningSocket.bind(to: address, options) { socket.close() }
    }

    private func sockets(
        _ address: ListenAddress, reusePort: Bool
    ) throws -> [ListeningSocket] {
        try ListeningSocket.bind(to: address, backlog: options.backlog, reusePort: reusePort)
    }
}

/// The port of a server that each loop of a crew has.
private final class CrewPort: Sendable {
    let port: Int

    init(_ port: Int) {
        self.port = port
    }
}

/// The sockets of a server that each loop of a crew has.
private final class CrewSockets: Sendable {
    let sockets: [ListeningSocket]

    init(_ sockets: [ListeningSocket]) {
        self.sockets = sockets
    }
}
