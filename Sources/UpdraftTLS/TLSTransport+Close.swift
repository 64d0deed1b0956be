// Unsafe: memory for what comes from the peer is used within one call.

internal import Updraft

extension TLSTransport {
    /// How long the last bytes may take after the stream has let go, and how long a peer that was
    /// refused has to read why.
    private static let lingerTime = Duration.seconds(2)
    /// Bytes that are read and dropped at the most.
    private static let dropMax = 1_048_576

    func shutdownWrite() {
        guard case .open = output else { return }
        output = .ending
        if case .open = phase { endOutput() }
    }

    /// Sends close_notify, and ends the base's direction when it is sent.
    func endOutput() {
        writeNeedsInput = false
        do {
            while !engine.end() {
                guard try feed() else { return }
            }
            try sendOutput()
        } catch {
            // It shows at the next read.
            tellLater(.read)
        }
        endBaseIfDone()
    }

    func endBaseIfDone() {
        guard case .ending = output, !engine.hasOutput, !writeNeedsInput else { return }
        output = .ended
        base.shutdownWrite()
    }

    func close() {
        stopTimer()
        var isRefusal = false
        var hasLastWords = true
        switch phase {
        case .closed, .lingering: return
        case .handshaking: break
        case .open: if case .open = output { writeNeedsInput = !engine.end() }
        case .failed(let error):
            writeNeedsInput = false
            hasLastWords = TLSTransport.isRefusal(error)
            isRefusal = hasLastWords && !isStopping
        }
        phase = .lingering(untilPeerEnds: isRefusal)
        onReady = nil
        onFailure = nil
        defer { handshakeWaiter.fire() }
        let canSend = (try? sendOutput()) != nil
        if !writeNeedsInput {
            let isSent = canSend && !engine.hasOutput
            // Tickets that a client has not read must not bring the server a reset in place of the
            // last bytes; the same holds for what a refused peer goes on to send.
            let isEnded = dropInput()
            if isSent, !isRefusal || isEnded { return release() }
            guard hasLastWords, isSent || engine.hasOutput else { return release() }
        }
        // The timer keeps this transport alive.
        timer = loop.runLater(TLSTransport.lingerTime) { [self] in release() }
        linger(isRefusal)
    }

    func abort() {
        stopTimer()
        if case .closed = phase { return }
        phase = .closed
        watch?.stop()
        base.abort()
        handshakeWaiter.fire()
        onRelease?()
    }

    var isLingering: Bool {
        if case .lingering = phase { return true }
        return false
    }

    /// Whether it is the peer that was refused, and should learn why.
    private static func isRefusal(_ error: any Error) -> Bool {
        switch (error as? TLSError)?.code {
        case .peerNotVerified, .peerNameMismatch, .protocolError: true
        default: false
        }
    }

    /// The stream has let go: sends what is left, lets a refused peer read it, and then closes.
    func linger(_ untilPeerEnds: Bool) {
        do {
            if writeNeedsInput, try !endBehindMessage() { return }
            try sendOutput()
        } catch {
            return release()
        }
        if engine.hasOutput { return }
        if output != .ended {
            output = .ended
            base.shutdownWrite()
        }
        let isEnded = dropInput()
        if isEnded || !untilPeerEnds { release() }
    }

    /// Takes the rest of the message that close_notify has to wait for.
    ///
    /// - Returns: Whether it has come.
    /// - Throws: If it never will.
    private func endBehindMessage() throws -> Bool {
        try withUnsafeTemporaryAllocation(byteCount: TLSTransport.readChunk, alignment: 16) {
            while !engine.end() {
                switch try base.read(into: $0) {
                case .bytes(let count):
                    engine.keep(UnsafeRawBufferPointer(rebasing: $0[..<count]))
                case .wouldBlock:
                    watch?.drained(.read)
                    return false
                case .endOfStream:
                    throw TLSTransport.truncated
                }
            }
            writeNeedsInput = false
            return true
        }
    }

    private func release() {
        stopTimer()
        if case .closed = phase { return }
        phase = .closed
        watch?.stop()
        base.close()
        onRelease?()
    }

    /// Reads and drops what the peer has sent.
    ///
    /// - Returns: Whether nothing more will come.
    private func dropInput() -> Bool {
        withUnsafeTemporaryAllocation(byteCount: TLSTransport.readChunk, alignment: 16) { scratch in
            var dropped = 0
            while dropped < TLSTransport.dropMax {
                guard let result = try? base.read(into: scratch) else { return true }
                switch result {
                case .bytes(let count): dropped += count
                case .wouldBlock:
                    watch?.drained(.read)
                    return false
                case .endOfStream: return true
                }
            }
            return true
        }
    }
}
