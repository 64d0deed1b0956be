/// When the last bytes came or went on a socket.
final class TransferTime {
    private unowned let loop: IOLoop
    private(set) var last: LoopInstant

    init(_ loop: IOLoop) {
        self.loop = loop
        last = loop.now
    }

    func note() {
        last = loop.now
    }
}

/// Ends a connection that has been idle, or has lasted, too long: its stream and its task.
///
/// It is one timeout, which looks at the time of the last bytes when it is due and is set again to
/// when they will be too old: reads and writes note their time and leave the timeout alone.
final class ConnectionTimer {
    private let stream: IOStream
    private let idleTimeout: Duration?
    private let totalTimeout: Duration?
    private let transfers: TransferTime
    private let end: LoopInstant?
    private let onExpiry: () -> Void
    private var timer: Timeout?
    /// The connection's task.
    var scope: TaskScope?
    /// Whether the timer has closed the stream.
    private(set) var hasExpired = false

    /// - Parameter onExpiry: Called before the stream is closed.
    init(
        _ stream: IOStream, _ transfers: TransferTime, _ options: TCPServer.Options,
        onExpiry: @escaping () -> Void
    ) {
        self.stream = stream
        self.transfers = transfers
        self.onExpiry = onExpiry
        idleTimeout = options.idleTimeout
        totalTimeout = options.totalTimeout
        end = options.totalTimeout.map { transfers.last.advanced(by: $0) }
        arm()
    }

    /// The connection has ended.
    func cancel() {
        if let timer { stream.loop.timers.remove(timer) }
        timer = nil
        scope = nil
    }

    private var idleEnd: LoopInstant? { idleTimeout.map { transfers.last.advanced(by: $0) } }

    /// When to look again. A stream that the handler has closed, or detached, is not idle.
    private var next: LoopInstant? {
        switch stream.phase {
        case .closed: end
        // All is sent, and the peer has a moment to close; then the stream is closed.
        case .lingering: stream.loop.now.advanced(by: .seconds(1))
        case .open, .closing: [idleEnd, end].compactMap { $0 }.min()
        }
    }

    private func arm() {
        guard let next else { return }
        timer = stream.loop.timers.add(deadline: next.nanoseconds) { [weak self] in self?.check() }
    }

    private func check() {
        timer = nil
        if case .lingering = stream.phase { return arm() }
        let now = stream.loop.now
        if let end, let totalTimeout, end <= now {
            expire("The connection has lasted longer than \(totalTimeout).", totalTimeout)
        } else if case .closed = stream.phase {
            arm()
        } else if let idleEnd, let idleTimeout, idleEnd <= now {
            expire("Nothing came or went on the connection for \(idleTimeout).", idleTimeout)
        } else {
            arm()
        }
    }

    private func expire(_ message: String, _ limit: Duration) {
        if case .closed = stream.phase {
        } else {
            hasExpired = true
            onExpiry()
            // What is left unsent must not look complete to the peer.
            stream.finish(
                StreamError(.closed, message, cause: TimeoutError(after: limit)),
                abort: stream.isWriting)
        }
        // A wait for the stream has its error by now; any other would hold the connection's place.
        scope?.cancel()
    }
}
