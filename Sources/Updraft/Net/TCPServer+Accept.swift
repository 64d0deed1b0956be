internal import Logging

// Accepting: contract row K8.
extension TCPServer {
    /// What the accepting of a server keeps.
    struct Accepting: ~Copyable {
        /// Whether the listeners are watched: a new one is then, too.
        var isWatching = false
        /// Whose turn it is first: the last room, or descriptor, is not always the first one's.
        var first = 0
        var spare = SpareDescriptor()
        /// Whether the last one was refused.
        var isRefusing = false
        /// When there was trouble last.
        var troubledAt: LoopInstant?
    }

    private enum Batch { case drained, full, busy, exhausted }

    nonisolated(nonsending) func acceptConnections(
        _ handler: @escaping StreamHandler
    ) async throws {
        // The loop's shutdown may have begun before.
        guard phase == .serving else { return }
        accepting.spare.reserve()
        try watchListeners()
        while phase == .serving {
            switch acceptBatch(handler) {
            case .drained:
                try await acceptWaiter.wait(for: .connections)
            case .busy:
                try await loop.nextTurn()
            case .full:
                try await pauseAccepting(until: waitForRoom)
            case .exhausted:
                shed()
                try await pauseAccepting { try await loop.sleep(for: options.exhaustionPause) }
            }
        }
    }

    func watch(_ listeners: [Listener]) throws {
        for listener in listeners {
            try listener.watch { [unowned self] in
                loop.resumingInline { acceptWaiter.fire() }
            }
        }
    }

    private func watchListeners() throws {
        accepting.isWatching = true
        try watch(listeners)
    }

    /// The listeners are watched level-triggered: unwatched, what waits in them does not make the
    /// loop spin.
    private nonisolated(nonsending) func pauseAccepting(
        until end: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        accepting.isWatching = false
        for listener in listeners { listener.unwatch() }
        try await end()
        guard phase == .serving else { return }
        accepting.spare.reserve()
        try watchListeners()
    }

    private nonisolated(nonsending) func waitForRoom() async throws {
        connections.onRoom = { [acceptWaiter] in acceptWaiter.fire() }
        defer { connections.onRoom = {} }
        try await acceptWaiter.wait(for: .connections)
    }

    /// Accepts until there is none left, within each listener's bound for a turn.
    private func acceptBatch(_ handler: @escaping StreamHandler) -> Batch {
        // A handler may add a listener or stop the server meanwhile.
        let listeners = listeners
        accepting.first = (accepting.first + 1) % max(listeners.count, 1)
        var isBusy = false
        for offset in listeners.indices {
            let listener = listeners[(accepting.first + offset) % listeners.count]
            guard listener.mayHaveMore else { continue }
            switch acceptBatch(from: listener, handler) {
            case .drained: break
            case .busy: isBusy = true
            case .full: return .full
            case .exhausted: return .exhausted
            }
        }
        return isBusy ? .busy : .drained
    }

    private func acceptBatch(from listener: Listener, _ handler: @escaping StreamHandler) -> Batch {
        for _ in 0..<loop.limits.acceptsMax {
            let isFull = connections.count >= options.connectionsMax
            if isFull, options.whenFull == .wait { return .full }
            switch listener.accept() {
            case .connection(let transport):
                if isFull { refuse(transport) } else { begin(transport, handler) }
            case .none:
                return .drained
            case .exhausted(let error):
                noteTrouble("no connection can be accepted for now", error)
                return .exhausted
            case .failed(let error):
                // It may well persist, so it is not tried again at once.
                noteTrouble("a connection could not be accepted", error)
                return .exhausted
            }
        }
        return .busy
    }

    private func begin(_ transport: SocketTransport, _ handler: @escaping StreamHandler) {
        accepting.isRefusing = false
        if hasTimeouts { transport.transfers = TransferTime(loop) }
        do {
            let stream = try IOStream(transport, loop: loop, sharing: streamOptions)
            connections.counts.accepted += 1
            connections.start(stream, timer: timer(stream, transport), handler)
        } catch {
            transport.close()
            noteTrouble("a connection could not be watched", error)
        }
    }

    // MARK: Time-outs

    private var hasTimeouts: Bool { options.idleTimeout != nil || options.totalTimeout != nil }

    private func timer(_ stream: IOStream, _ transport: SocketTransport) -> ConnectionTimer? {
        guard let transfers = transport.transfers else { return nil }
        return ConnectionTimer(stream, transfers, options) { [connections] in
            connections.counts.timedOut += 1
        }
    }

    // MARK: Refusing

    private func refuse(_ transport: SocketTransport) {
        transport.close()
        connections.counts.refused += 1
        guard !accepting.isRefusing else { return }
        accepting.isRefusing = true
        logger.warning("connections are refused: \(options.connectionsMax) are open")
    }

    /// Closes the connections that wait, so that their peers see an end instead of nothing at all.
    private func shed() {
        for listener in listeners {
            for _ in 0..<loop.limits.acceptsMax {
                // Its place is taken by one connection after the other.
                guard accepting.spare.release() else { return }
                let accepted = listener.accept()
                if case .connection(let transport) = accepted {
                    transport.close()
                    connections.counts.shed += 1
                }
                accepting.spare.reserve()
                guard case .connection = accepted else { break }
            }
        }
    }

    /// Trouble comes in crowds: it is logged when there was none for ten pauses.
    private func noteTrouble(_ what: String, _ error: any Error) {
        let now = loop.now
        let isNew = accepting.troubledAt.map { $0.advanced(by: options.exhaustionPause * 10) < now }
        accepting.troubledAt = now
        if isNew != false { logger.warning("\(what): \(error)") }
    }
}
