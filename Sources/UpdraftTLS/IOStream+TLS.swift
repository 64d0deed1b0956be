public import Updraft

extension IOStream {
    /// Goes on with TLS on this stream, as the server: after STARTTLS, or from the first byte.
    ///
    /// What was written is sent first, unencrypted, and so is what callbacks (`onSent`) write as
    /// long as any of that is left. Then the stream is the same, but everything read and written
    /// is encrypted. When this returns, the handshake is done.
    ///
    /// ```swift
    /// try await stream.write("220 go ahead\r\n")
    /// try await stream.startTLS(server: tls)
    /// ```
    ///
    /// - Throws: With the stream as it was: `TLSError` with `.streamBusy` if a task reads or waits
    ///   for its bytes to be sent, or if there is TLS already; `StreamError` with `.endOfStream` if
    ///   the peer has ended its direction, with `.closed` if this side has closed or ended its own.
    ///
    ///   With the stream closed: `TLSError` with `.earlyInput` if bytes came ahead of the
    ///   handshake; `StreamError` if the connection or the handshake fails, whose `tls` says why;
    ///   `CancellationError`, `TimeoutError`.
    public nonisolated(nonsending) func startTLS(server context: TLSServerContext) async throws {
        try await beginTLS(server: context)
        try await finishHandshake()
    }

    /// Goes on with TLS on this stream, as the client; see the form for servers.
    ///
    /// - Parameter host: Whom the server has to be, a name or a numeric address: its certificate is
    ///   checked against it, and it is told a name (SNI). Nil only if the context checks no names.
    /// - Throws: As the form for servers; `TLSError` with `.invalidConfiguration` for a host that
    ///   is none, with the stream as it was.
    public nonisolated(nonsending) func startTLS(
        client context: TLSClientContext, host: String?
    ) async throws {
        try await beginTLS(client: context, host: host)
        try await finishHandshake()
    }

    /// Begins as `startTLS(server:)`, and does not wait for the handshake. Reads and writes do, and
    /// `waitForHandshake`.
    ///
    /// - Throws: As `startTLS(server:)`, as far as the beginning goes.
    public nonisolated(nonsending) func beginTLS(server context: TLSServerContext) async throws {
        let engine = try context.makeEngine()
        // The peer waits for what is not sent yet: what it has sent is early.
        try await prepareUpgrade(lookingAheadBefore: unsentBytes > 0, after: false)
        let timeout = context.options.handshakeTimeout
        try upgrade(engine, timeout: timeout, tickets: nil)
    }

    /// Begins as `startTLS(client:host:)`, and does not wait for the handshake.
    ///
    /// - Throws: As `startTLS(client:host:)`, as far as the beginning goes.
    public nonisolated(nonsending) func beginTLS(
        client context: TLSClientContext, host: String?
    ) async throws {
        let place = peerAddress?.port.map(String.init) ?? ""
        let engine = try context.makeEngine(host: host, place: place)
        // A server says nothing before the client's first message.
        try await prepareUpgrade(lookingAheadBefore: false, after: true)
        let timeout = context.options.handshakeTimeout
        try upgrade(engine, timeout: timeout, tickets: context.tickets)
    }

    /// Waits until the handshake is done; returns at once if it is. For one task at a time.
    ///
    /// - Throws: `TLSError` with `.notEncrypted` if the stream has no TLS, with `.handshakeAwaited`
    ///   if another task waits already; `StreamError` if the handshake fails (`tls` says why);
    ///   `CancellationError`, `TimeoutError`.
    public nonisolated(nonsending) func waitForHandshake() async throws {
        loop.checkThread("IOStream.waitForHandshake")
        guard let tls = transport as? TLSTransport else {
            throw TLSError(.notEncrypted, "The stream has no TLS.")
        }
        guard !tls.handshakeWaiter.isInUse else {
            throw TLSError(.handshakeAwaited, "Another task waits for the handshake already.")
        }
        if case .handshaking = tls.phase { try await tls.handshakeWaiter.wait(for: .handshake) }
        if tls.isEstablished { return }
        throw closeReason ?? StreamError(.closed, "The stream was closed by this side.")
    }

    /// What was agreed in the handshake; nil before it is done, and without TLS.
    public var tls: TLSInfo? {
        loop.checkThread("IOStream.tls")
        guard let tls = transport as? TLSTransport, tls.isEstablished else { return nil }
        return tls.engine.info
    }

    // MARK: Steps

    private nonisolated(nonsending) func finishHandshake() async throws {
        do {
            try await waitForHandshake()
        } catch {
            // Cancelled or timed out: half a handshake is of no use to anybody.
            if !isClosed { abort() }
            throw error
        }
    }

    private nonisolated(nonsending) func prepareUpgrade(
        lookingAheadBefore isBefore: Bool, after isAfter: Bool
    ) async throws {
        try checkIdle()
        if isBefore { try refuseEarlyInput() }
        do {
            // Whoever is told that bytes have left may write more.
            repeat { try await flush() } while isWriting
        } catch {
            // Cancelled or timed out: the peer expects TLS behind what has not left yet.
            if !isClosed { abort() }
            throw error
        }
        try checkIdle()
        if isAfter { try refuseEarlyInput() }
    }

    private func checkIdle() throws {
        if transport is TLSTransport {
            throw TLSError(.streamBusy, "The stream has TLS already.")
        }
        switch upgradeObstacle {
        case nil:
            return
        case .closed(let reason):
            throw reason
        case .isReading:
            throw TLSError(.streamBusy, "A task reads from the stream: it can't be upgraded.")
        case .isWriting:
            throw TLSError(
                .streamBusy, "A task waits for its bytes to be sent: it can't be upgraded.")
        case .unreadBytes(let count):
            throw refuse(count)
        }
    }

    private func refuseEarlyInput() throws {
        try collectEarlyInput()
        try checkIdle()
    }

    /// The bytes must be taken neither for encrypted ones nor for plain ones of the time after.
    private func refuse(_ count: Int) -> TLSError {
        abort()
        return TLSError(
            .earlyInput, "\(count) bytes came ahead of the TLS handshake; the stream was closed.")
    }

    private func upgrade(_ engine: TLSEngine, timeout: Duration, tickets: TicketCache?) throws {
        try replaceTransport { base in
            let tls = TLSTransport(over: base, on: loop, engine, tickets: tickets)
            try tls.begin(timeout: timeout)
            tls.onFailure = { [weak self] error in self?.fail(error) }
            return tls
        }
        // What has come before may have been told of already, to a stream that did not read it.
        (transport as? TLSTransport)?.advanceHandshake()
    }
}

extension StreamError {
    /// What went wrong with TLS, if that was the cause.
    public var tls: TLSError? { cause as? TLSError }
}
