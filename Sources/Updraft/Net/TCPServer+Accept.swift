internal import CUpdraft
internal import Logging

// Accepting: contract row K8.
extension TCPServer {
    /// What the accepting of a server keeps.
    struct Accepting: ~Copyable {
        enum State {
            case notBegun
            /// Connections are looked for, and in new listeners too.
            case on
            /// The listeners are this server's, and so is a new one, for later.
            case paused
        }

        var state = State.notBegun
        /// Whose turn it is first: the last room, or descriptor, is not always the first one's.
        var first = 0
        var spare = SpareDescriptor()
        var refusals = LogEpisode()
        var troubles = LogEpisode()
    }

    private enum Batch { case drained, full, busy, exhausted }

    nonisolated(nonsending) func acceptConnections(
        _ handler: @escaping StreamHandler
    ) async throws {
        // The loop's shutdown may have begun before.
        guard phase == .serving else { return }
        accepting.spare.reserve()
        accepting.state = .on
        try accept(from: listeners)
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
                try await pauseAccepting(until: waitOutPause)
            }
        }
    }

    /// Makes listeners this server's, and looks for connections unless it pauses.
    func accept(from listeners: [Listener]) throws {
        for listener in listeners {
            try listener.claim { [unowned self] in
                loop.resumingInline { acceptWaiter.fire() }
            }
            if accepting.state == .on { try listener.resume() }
        }
    }

    /// The listeners are watched level-triggered: unwatched, what waits in them does not make the
    /// loop spin.
    private nonisolated(nonsending) func pauseAccepting(
        until end: nonisolated(nonsending) () async throws -> Void
    ) async throws {
        accepting.state = .paused
        for listener in listeners { listener.pause() }
        try await end()
        guard phase == .serving else { return }
        accepting.spare.reserve()
        accepting.state = .on
        for listener in listeners { resume(listener) }
    }

    /// What the system refuses now it may grant after a rest; the open connections have nothing to
    /// do with it.
    private func resume(_ listener: Listener) {
        do {
            try listener.resume()
        } catch {
            rest(listener, after: error)
        }
    }

    private nonisolated(nonsending) func waitForRoom() async throws {
        guard connections.count >= options.connectionsMax else { return }
        connections.onRoom = { [acceptWaiter] in acceptWaiter.fire() }
        defer { connections.onRoom = {} }
        try await acceptWaiter.wait(for: .connections)
    }

    /// Ends at once when the server is stopped.
    private nonisolated(nonsending) func waitOutPause() async throws {
        let end = loop.now.advanced(by: pause).nanoseconds
        let timer = loop.timers.add(deadline: end) { [acceptWaiter] in acceptWaiter.fire() }
        defer { loop.timers.remove(timer) }
        try await acceptWaiter.wait(for: .connections)
    }

    /// Of none at all the loop would spin.
    private var pause: Duration {
        min(max(options.exhaustionPause, .milliseconds(1)), .seconds(86_400))
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
        var (acceptsAny, skipped) = (false, SystemError?.none)
        for _ in 0..<loop.limits.acceptsMax {
            let isFull = connections.count >= options.connectionsMax
            if isFull, options.whenFull == .wait { return .full }
            switch listener.accept() {
            case .connection(let transport):
                acceptsAny = true
                if isFull { refuse(transport) } else { begin(transport, handler) }
            case .none:
                return .drained
            case .skipped(let error):
                skipped = error
            case .exhausted(let error):
                noteTrouble(cannotAccept, error)
                return .exhausted
            case .failed(let error):
                rest(listener, after: error)
                return .drained
            case .lost(let error):
                lose(listener, error)
                return .drained
            }
        }
        guard let skipped, !acceptsAny else { return .busy }
        // So many at once have not all failed by themselves: a security module that lets nobody in
        // leaves them in the line, and would answer the same in each turn.
        rest(listener, after: skipped)
        return .drained
    }

    private var cannotAccept: String { "no connection can be accepted for now" }

    /// The trouble is one listener's: the others go on, and nobody is sent away.
    private func rest(_ listener: Listener, after error: any Error) {
        noteTrouble(cannotAccept, error)
        listener.rest(for: pause) { [unowned self, unowned listener] in resume(listener) }
    }

    /// Somebody has shut its socket down, or has closed its descriptor, which is not to be closed
    /// once more then: it may be another file's by now.
    private func lose(_ listener: Listener, _ error: SystemError) {
        logger.error("the server listens on \(listener.localAddress) no longer: \(error)")
        if error.errno == cu_einval { listener.close() } else { listener.lose() }
        listeners.removeAll { $0 === listener }
    }

    private func begin(_ transport: SocketTransport, _ handler: @escaping StreamHandler) {
        if hasTimeouts { transport.transfers = TransferTime(loop) }
        do {
            let stream = try IOStream(transport, loop: loop, sharing: streamOptions)
            connections.counts.accepted += 1
            connections.start(stream, timer: timer(stream, transport), handler)
        } catch {
            transport.close()
            connections.counts.shed += 1
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
        guard let count = accepting.refusals.note(at: loop.now, quiet: .seconds(30)) else { return }
        let since = count > 1 ? " (\(count) since this was logged last)" : ""
        logger.warning("connections are refused: \(options.connectionsMax) are open\(since)")
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
        guard accepting.troubles.note(at: loop.now, quiet: pause * 10) != nil else { return }
        logger.warning("\(what): \(error)")
    }
}
