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
        var opened: [Listener] = []
        do {
            for address in addresses { opened += try open(address, besides: opened) }
        } catch {
            for listener in opened { listener.close() }
            throw error
        }
        listeners += opened
        phase = .bound
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
    /// - Throws: What `bind` throws; also if the server listens there already, or was stopped.
    @discardableResult
    public func bind(to address: ListenAddress) throws -> [SocketAddress] {
        try prepareToAdd()
        return try add(try open(address, besides: listeners))
    }

    /// Accepts connections from a socket that listens, before serving or while it serves (K4). The
    /// server closes it when it stops; see `ListeningSocket` for sockets of several servers.
    ///
    /// - Throws: `StreamError` with `.cannotListen` if the socket is closed, if the server has it
    ///   already, or was stopped.
    public func addSocket(_ socket: ListeningSocket) throws {
        try addSockets([socket])
    }

    /// Accepts connections from sockets that listen; otherwise as `addSocket`. If it throws, none
    /// is added.
    public func addSockets(_ sockets: [ListeningSocket]) throws {
        try prepareToAdd()
        var added: [Listener] = []
        do {
            for socket in sockets {
                guard !(listeners + added).contains(where: { $0.socket === socket }) else {
                    throw duplicate("\(socket.localAddress)")
                }
                added.append(try listener(socket))
            }
        } catch {
            for listener in added { listener.close() }
            throw error
        }
        try add(added)
    }

    private func prepareToAdd() throws {
        try bind()
        guard phase != .stopped else {
            throw StreamError(.cannotListen, "The server was stopped.")
        }
    }

    @discardableResult
    private func add(_ added: [Listener]) throws -> [SocketAddress] {
        do {
            if accepting.isWatching { try watch(added) }
        } catch {
            for listener in added { listener.close() }
            throw error
        }
        listeners += added
        return added.map(\.localAddress)
    }

    private func listener(
        _ socket: ListeningSocket, isInherited: Bool = false
    ) throws -> Listener {
        try Listener(socket, options: options.socket, isInherited: isInherited, loop: loop)
    }

    private func duplicate(_ address: String) -> StreamError {
        StreamError(.cannotListen, "The server listens on \(address) already.")
    }

    // MARK: One address

    /// A worker process has the sockets that its supervisor listens on. In a crew of several loops
    /// the server of each listens on the same port.
    private func open(
        _ address: ListenAddress, besides others: [Listener]
    ) throws -> [Listener] {
        let wanted = try address.socketAddresses(.any)
        // With `reusePort` the system would see nothing wrong in it.
        let own = Set(others.map(\.localAddress))
        if let twice = wanted.first(where: own.contains) { throw duplicate("\(twice)") }
        let inherited = try inherited(wanted + address.unixAddresses)
        if !inherited.isEmpty { return inherited }
        return try bindSockets(address).map { try listener($0) }
    }

    private func inherited(_ wanted: [SocketAddress]) throws -> [Listener] {
        var found: [Listener] = []
        for address in wanted {
            switch InheritedListeners.take(address) {
            case .socket(let descriptor):
                let socket = try ListeningSocket(inheriting: descriptor)
                found.append(try listener(socket, isInherited: true))
            case .allTaken:
                let place = address.port.map { "port \($0) on \(address.host)" } ?? address.host
                throw StreamError(
                    .cannotListen,
                    "\(place), which this worker was given, has been taken by a server of it "
                        + "already.")
            case .notListed:
                break
            }
        }
        return found
    }

    private func bindSockets(_ address: ListenAddress) throws -> [ListeningSocket] {
        guard let crew = loop.crew, crew.count > 1 else {
            return try sockets(address, reusePort: options.reusePort)
        }
        // Ports that the system picks are told apart by the order in which a loop's servers bind.
        let number = loop.serversMade["\(address)", default: 0]
        loop.serversMade["\(address)"] = number + 1
        let key = "\(address) \(number)"
        guard let port = address.port else {
            // There is no sharing a path: all loops have the one socket.
            return try crew.share(key) { (known: [ListeningSocket]?) in
                if let known, known.allSatisfy(\.isOpen) { return known }
                return try sockets(address, reusePort: false)
            }
        }
        var bound: [ListeningSocket] = []
        try crew.bindShared(key, port: port) { port, isFirst in
            let address = address.with(port: port)
            // Alone first: with SO_REUSEPORT the port would be shared silently with another program
            // of the same user that uses it too.
            if isFirst, port != 0 {
                for socket in try sockets(address, reusePort: false) { socket.close() }
            }
            bound = try sockets(address, reusePort: true)
            return bound.first?.localAddress.port ?? port
        }
        return bound
    }

    private func sockets(
        _ address: ListenAddress, reusePort: Bool
    ) throws -> [ListeningSocket] {
        try ListeningSocket.bind(to: address, backlog: options.backlog, reusePort: reusePort)
    }
}
