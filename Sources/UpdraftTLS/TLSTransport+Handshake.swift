// Unsafe: memory for what comes from the peer is used within one call.

internal import Logging
internal import Updraft

extension TLSTransport {
    /// Takes the base over and begins the handshake; a client's first bytes leave at once.
    ///
    /// - Throws: `SystemError` if the base can't be watched.
    func begin(timeout: Duration) throws {
        do {
            watch = try TransportWatch(base, on: loop) { [weak self] events in
                self?.baseIsReady(events)
            }
        } catch {
            // The base stays the caller's.
            phase = .closed
            throw error
        }
        limitHandshake(to: timeout, "The TLS handshake took longer than \(timeout).")
    }

    /// A peer that takes its time must not hold up a server that stops: it has asked for nothing.
    /// Nor must one that was refused.
    func inputIsEnding() {
        isStopping = true
        switch phase {
        case .handshaking:
            stopTimer()
            limitHandshake(
                to: TLSTransport.stopGrace, "The server stops; the TLS handshake had not ended.")
        case .lingering(untilPeerEnds: true):
            phase = .lingering(untilPeerEnds: false)
            linger(false)
        case .open, .failed, .lingering, .closed:
            break
        }
    }

    private func limitHandshake(to limit: Duration, _ message: String) {
        timer = loop.runLater(limit) { [weak self] in
            self?.handshakeFailed(TLSError(.handshakeTimedOut, message))
        }
    }

    private static let stopGrace = Duration.seconds(1)

    /// Does as much of the handshake as what is there allows.
    func advanceHandshake() {
        do {
            let isDone = try withUnsafeTemporaryAllocation(
                byteCount: TLSTransport.readChunk, alignment: 16
            ) { try takeHandshakeSteps(through: $0) }
            if isDone { handshakeIsDone() }
        } catch {
            handshakeFailed(error)
        }
    }

    private func takeHandshakeSteps(
        through scratch: UnsafeMutableRawBufferPointer
    ) throws -> Bool {
        var input = UnsafeRawBufferPointer(start: nil, count: 0)
        while true {
            let step = engine.handshake(input)
            input = UnsafeRawBufferPointer(start: nil, count: 0)
            if case .failed(let error) = step {
                // It is the reason, whether the alert for the peer can be sent or not.
                try? sendOutput()
                throw error
            }
            do {
                try sendOutput()
            } catch {
                throw alert(before: error, through: scratch)
            }
            switch step {
            case .done:
                return true
            case .wantsRoom:
                if engine.hasOutput { return false }
            case .ended, .failed:
                throw TLSTransport.gone()
            case .wantsInput:
                switch try base.read(into: scratch) {
                case .bytes(let count):
                    input = UnsafeRawBufferPointer(rebasing: scratch[..<count])
                case .wouldBlock:
                    watch?.drained(.read)
                    return false
                case .endOfStream:
                    throw TLSTransport.gone()
                }
            }
        }
    }

    /// A peer that refuses and leaves has said why before what is sent to it fails.
    private func alert(
        before failure: any Error, through scratch: UnsafeMutableRawBufferPointer
    ) -> any Error {
        guard case .bytes(let count)? = try? base.read(into: scratch),
            case .failed(let error) = engine.handshake(.init(rebasing: scratch[..<count]))
        else { return failure }
        return error
    }

    private func handshakeIsDone() {
        phase = .open
        stopTimer()
        if case .ending = output { endOutput() }
        // No attempt was in vain yet: some pollers would not tell of what comes next.
        watch?.drained(.read)
        // Events of the base that came before were not the stream's to see.
        onReady?(seenEvents.union([.read, .write]))
        handshakeWaiter.fire()
    }

    func handshakeFailed(_ error: any Error) {
        guard case .handshaking = phase else { return }
        if error is TLSError { forgetTickets() }
        let failure =
            error as? TLSError
            ?? TLSError(
                .handshakeFailed, "The connection failed during the TLS handshake.", cause: error)
        phase = .failed(failure)
        stopTimer()
        log(failure)
        onFailure?(failure)
        handshakeWaiter.fire()
    }

    func stopTimer() {
        if let timer = timer.take() { loop.removeTimeout(timer) }
    }

    /// Whom we refuse is worth a line; peers that leave are not: a port scan would fill the log.
    private func log(_ failure: TLSError) {
        switch failure.code {
        case .peerNotVerified, .peerNameMismatch:
            Logger(label: "updraft.general").info("a TLS handshake failed: \(failure)")
        default:
            Logger(label: "updraft.general").debug("a TLS handshake failed: \(failure)")
        }
    }

    private static func gone() -> TLSError {
        TLSError(.handshakeFailed, "The peer closed the connection during the TLS handshake.")
    }
}
