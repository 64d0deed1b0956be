#if canImport(Glibc)
    internal import Glibc
#else
    internal import Darwin
#endif
public import Updraft

/// One end of a connection in memory, which behaves as a TCP socket does: bounded buffers,
/// half-close, reset.
///
/// - A write is accepted as far as the peer's unread bytes leave room.
/// - `shutdownWrite` lets the peer read what was written, and then the end.
/// - `close` with unread bytes resets the connection, as the kernel does.
/// - After a reset the peer still reads what came before; then its reads fail with ECONNRESET,
///   once, unless `takePendingError` has taken the error, and its writes with EPIPE.
///
/// Readiness is told in a callback of the loop, never from inside a read or write.
public final class MemoryTransport: Transport {
    /// Always nil: the transport tells its readiness itself.
    public var descriptor: Int32? { nil }

    /// Set by the stream.
    public var onReady: ((IOEvents) -> Void)? {
        didSet { if onReady != nil { announce(initialEvents) } }
    }

    private let loop: IOLoop
    private let incoming: MemoryPipe
    private let outgoing: MemoryPipe
    private weak var peer: MemoryTransport?
    private var phase = Phase.open
    private var pendingEvents: IOEvents = []

    private enum Phase {
        case open
        /// The peer has reset the connection; the error is yet to be seen.
        case failed(SystemError)
        /// The error was seen.
        case dead
        case closed
    }

    private init(_ loop: IOLoop, _ incoming: MemoryPipe, _ outgoing: MemoryPipe) {
        self.loop = loop
        self.incoming = incoming
        self.outgoing = outgoing
    }

    /// Two connected ends on one loop.
    ///
    /// - Parameter capacity: Bytes that each direction holds unread; further writes are refused.
    public static func pair(
        on loop: IOLoop, capacity: Int = 65_536
    ) -> (MemoryTransport, MemoryTransport) {
        let there = MemoryPipe(capacity: capacity)
        let back = MemoryPipe(capacity: capacity)
        let left = MemoryTransport(loop, back, there)
        let right = MemoryTransport(loop, there, back)
        left.peer = right
        right.peer = left
        return (left, right)
    }

    /// Bytes that came and were not read.
    public var unreadBytes: Int { incoming.count }

    /// Reads what came, up to the buffer's size.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        let count = incoming.read(into: buffer)
        if count > 0 {
            peer?.announce(.write)
            return .bytes(count)
        }
        if case .failed(let error) = phase {
            phase = .dead
            throw error
        }
        if case .dead = phase { return .endOfStream }
        return incoming.isEnded ? .endOfStream : .wouldBlock
    }

    /// Writes as much as there is room for.
    public func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        guard case .open = phase, let peer, !outgoing.isEnded else {
            throw SystemError(errno: EPIPE, operation: "write to memory")
        }
        if case .closed = peer.phase {
            throw SystemError(errno: EPIPE, operation: "write to memory")
        }
        let accepted = outgoing.write(bytes)
        if accepted > 0 { peer.announce(.read) }
        return accepted
    }

    /// Ends the outgoing direction.
    public func shutdownWrite() {
        guard !outgoing.isEnded else { return }
        outgoing.isEnded = true
        peer?.announce([.read, .readHangup])
    }

    /// The reset by the peer, if it has not been seen.
    public func takePendingError() -> SystemError? {
        guard case .failed(let error) = phase else { return nil }
        phase = .dead
        return error
    }

    /// Closes this end; a reset if bytes are unread.
    public func close() {
        if case .closed = phase { return }
        if incoming.count > 0 { return abort() }
        phase = .closed
        shutdownWrite()
    }

    /// Closes this end and resets the connection.
    public func abort() {
        if case .closed = phase { return }
        phase = .closed
        incoming.removeAll()
        peer?.reset()
    }

    private func reset() {
        guard case .open = phase else { return }
        phase = .failed(SystemError(errno: ECONNRESET, operation: "connection in memory"))
        announce([.read, .error])
    }

    private var initialEvents: IOEvents {
        var events: IOEvents = []
        if incoming.count > 0 { events.insert(.read) }
        if incoming.isEnded { events.formUnion([.read, .readHangup]) }
        if case .failed = phase { events.formUnion([.read, .error]) }
        return events
    }

    /// Events of one turn are told together.
    private func announce(_ events: IOEvents) {
        guard !events.isEmpty else { return }
        let isAnnounced = !pendingEvents.isEmpty
        pendingEvents.formUnion(events)
        if isAnnounced { return }
        loop.runSoon { [self] in
            let events = pendingEvents
            pendingEvents = []
            onReady?(events)
        }
    }
}

/// Streams in memory, in place of connections.
public enum MemoryStream {
    /// Two connected streams on one loop: what is written to one is read from the other.
    ///
    /// - Parameters:
    ///   - capacity: Bytes between the two, in each direction, as a kernel's socket buffer holds
    ///     them; a small one makes back-pressure show early.
    ///   - options: Bounds of both streams.
    /// - Throws: Nothing today; the signature is that of streams.
    public static func pair(
        on loop: IOLoop, capacity: Int = 65_536, options: StreamOptions = StreamOptions()
    ) throws -> (IOStream, IOStream) {
        let (left, right) = MemoryTransport.pair(on: loop, capacity: capacity)
        return (
            try IOStream(left, loop: loop, options: options),
            try IOStream(right, loop: loop, options: options)
        )
    }
}
