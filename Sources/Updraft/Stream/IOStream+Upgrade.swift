// Changing what carries a stream, as STARTTLS does: contract row J14.
extension IOStream {
    /// Why a stream can't be given another transport.
    package enum UpgradeObstacle {
        case closed(StreamError)
        /// A task reads, or a parser is fed.
        case isReading
        /// A task waits for its bytes to be sent.
        case isWriting
        /// So many bytes came ahead of time.
        case unreadBytes(Int)
    }

    /// What is in the way of another transport now; nil if the stream is idle. Unsent bytes are no
    /// obstacle: `flush` first.
    package var upgradeObstacle: UpgradeObstacle? {
        loop.checkThread("IOStream")
        if case .closed(let reason) = phase { return .closed(reason) }
        guard case .open = phase, output == .open else {
            return .closed(StreamError(.closed, "The stream was closed by this side."))
        }
        if input == .ended {
            return .closed(StreamError(.endOfStream, "The peer ended the stream."))
        }
        if isReading || consumer != nil { return .isReading }
        if sendLine?.hasTasks == true { return .isWriting }
        return readBuffer.isEmpty ? nil : .unreadBytes(readBuffer.count)
    }

    /// Takes what the transport holds already, although no event has told of it yet: it is an
    /// `upgradeObstacle` then.
    ///
    /// - Throws: `StreamError` if the transport fails; the stream is closed then.
    package func collectEarlyInput() throws {
        readiness.insert(.read)
        let count = try receive()
        readBuffer.append(UnsafeRawBufferPointer(rebasing: loop.buffers.scratch[..<count]))
    }

    /// Puts another transport in the place of the present one, which it takes over. The stream
    /// must have no `upgradeObstacle` and nothing unsent.
    ///
    /// - Parameter make: Gets the present transport, which nobody watches any more.
    /// - Throws: What `make` throws, or `SystemError`; the stream is closed then.
    package func replaceTransport(_ make: (any Transport) throws -> any Transport) throws {
        guard upgradeObstacle == nil, writeQueue.isEmpty else {
            Misuse.stop("The transport of a stream that is not idle was replaced.")
        }
        unwatchTransport()
        do {
            transport = try make(transport)
            readiness = [.write]
            try watchTransport()
            // A server that stops has said so before this layer was there.
            if isDraining { (transport as? any LayeredTransport)?.inputIsEnding() }
        } catch {
            finish(StreamError(.closed, "The stream could not be upgraded.", cause: error))
            throw error
        }
    }
}
