// Giving the descriptor back: contract rows J11, J12.
extension IOStream {
    /// Takes the stream's descriptor out of it: for another library, another process, a protocol
    /// that wants the bare socket after the first bytes.
    ///
    /// The stream is closed by it, as `closeReason` says, and its close callbacks run, once each,
    /// in a later turn; the connection itself goes on. The stream has no `peerAddress` any more.
    /// The descriptor is non-blocking and nobody watches it. A direction that was ended stays so.
    ///
    /// - Returns: The descriptor and the bytes that were received and not read.
    /// - Throws: `StreamError`, and nothing has changed then: with the reason of the closing if the
    ///   stream is closed or closing; with `.cannotDetach` while a task reads, while bytes are
    ///   unsent (`flush` first), a task waits for them or they are lent to a closure, or if no
    ///   single descriptor of its own carries the stream's bytes: TLS, memory, two pipes, standard
    ///   input and output.
    public func detach() throws -> DetachedDescriptor {
        loop.checkThread("IOStream.detach")
        if let obstacle = detachObstacle { throw obstacle }
        guard let descriptor = (transport as? any DetachableTransport)?.detach() else {
            throw StreamError(
                .cannotDetach, "No single descriptor carries the plain bytes of this stream.")
        }
        let unread = readBuffer.take(readBuffer.count)
        unwatchTransport()
        transport = NoTransport()
        finish(StreamError(.closed, "The stream's descriptor was detached."))
        return DetachedDescriptor(descriptor, unreadBytes: unread)
    }

    private var detachObstacle: StreamError? {
        if case .closed(let reason) = phase { return reason }
        guard case .open = phase else {
            return StreamError(.closed, "The stream was closed by this side.")
        }
        if isInParser {
            return StreamError(.cannotDetach, "The stream's bytes are lent to a closure.")
        }
        if readWaiter.isInUse || consumer != nil {
            return StreamError(.cannotDetach, "A task is reading from the stream.")
        }
        if !writeQueue.isEmpty {
            return StreamError(.cannotDetach, "\(unsentBytes) bytes are unsent; flush them first.")
        }
        if sendLine?.hasTasks == true {
            return StreamError(.cannotDetach, "A task waits for its bytes to be sent.")
        }
        return nil
    }
}

/// A transport that may consist of one descriptor and nothing else.
protocol DetachableTransport: Transport {
    /// Gives the descriptor up, unwatched as far as the transport watches it itself; nil, with
    /// nothing changed, if there is not exactly one. The transport is not used afterwards.
    func detach() -> Int32?
}

/// What carries a stream whose descriptor was detached.
private final class NoTransport: Transport {
    var descriptor: Int32? { nil }
    var onReady: ((IOEvents) -> Void)?

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead { .endOfStream }
    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int { 0 }
    func shutdownWrite() {}
    func takePendingError() -> SystemError? { nil }
    func close() {}
    func abort() {}
}
