// Unsafe: memory for what comes from the peer is used within one call.

internal import Updraft

/// TLS over another transport.
///
/// What is accepted from the stream has left in full: bytes that are encrypted while their
/// ciphertext still waits count as not accepted, and the stream offers them again. So a `flush` is
/// one, a `close` cuts nothing, and there is one place where unsent bytes are counted.
///
/// Writing is in TLSTransport+Write.
final class TLSTransport: LayeredTransport {
    /// What the two directions have come to. The handshake's part is in TLSTransport+Handshake,
    /// that of the end in TLSTransport+Close.
    enum Phase {
        case handshaking
        case open
        /// Nothing more can be read or written.
        case failed(any Error)
        /// The stream has let go; the last bytes are being sent, and maybe the peer reads them.
        case lingering(untilPeerEnds: Bool)
        case closed
    }

    enum Output {
        case open
        /// close_notify is on its way, or will be after the handshake; then the base is ended too.
        case ending
        case ended
    }

    let base: any Transport
    let loop: IOLoop
    let engine: TLSEngine
    let handshakeWaiter: Waiter
    /// Whether the handshake was ever done.
    private(set) var isEstablished = false
    /// Where tickets of a server go; nil on servers.
    let tickets: TicketCache?

    /// The base tells its readiness to this transport, and this one tells the stream.
    var descriptor: Int32? { nil }
    var onReady: ((IOEvents) -> Void)?
    var onRelease: (() -> Void)?
    /// Told of failures outside of reads and writes.
    var onFailure: ((any Error) -> Void)?

    var phase = Phase.handshaking {
        didSet { if case .open = phase { isEstablished = true } }
    }
    var output = Output.open
    var watch: TransportWatch?
    /// The handshake's, then the closing's.
    var timer: Timeout?
    /// What was seen of the base during the handshake.
    var seenEvents: IOEvents = []
    /// What the base failed with, apart from reads, which may still find why: an alert that came
    /// before the reset.
    var baseFailure: (any Error)?
    /// How much of what the stream offers next is encrypted already.
    var encryptedAhead = 0
    /// Whether a short read of the base leaves it to be asked once more.
    private var baseStopsShort: Bool
    /// Reading waits for something to be sent.
    private var readNeedsRoom = false
    /// Writing, or the end of it, waits for the rest of a message of TLS itself.
    var writeNeedsInput = false
    /// Whether the server stops whose connection it is.
    var isStopping = false

    /// Bytes of ciphertext read at once: a few records.
    static let readChunk = 65_536
    /// Attempts to find plain text in what comes, before others have their turn.
    private static let readsMax = 16

    init(
        over base: any Transport, on loop: IOLoop, _ engine: TLSEngine, tickets: TicketCache? = nil
    ) {
        self.base = base
        self.loop = loop
        self.engine = engine
        self.tickets = tickets
        baseStopsShort = base.readsMayStopShort
        handshakeWaiter = Waiter(loop: loop)
    }

    deinit {
        watch?.stop()
        switch phase {
        case .closed: break
        // The loop ends: what the system has been given it may still send.
        case .lingering where !engine.hasOutput: base.close()
        case .handshaking, .open, .failed, .lingering: base.abort()
        }
    }

    // MARK: Events

    func baseIsReady(_ events: IOEvents) {
        if events.contains(.shortReads) { baseStopsShort = true }
        switch phase {
        case .handshaking:
            seenEvents.formUnion(events.intersection([.readHangup, .error]))
            // What came before a failure is read first: it may be an alert that says why.
            advanceHandshake()
            if case .handshaking = phase, events.meets(.error), let error = takePendingError() {
                handshakeFailed(error)
            }
        case .open:
            passOn(events)
        case .lingering(let untilPeerEnds):
            linger(untilPeerEnds)
        case .failed, .closed:
            break
        }
    }

    /// The stream's own bytes are offered again by the stream; here only TLS's own are sent.
    private func passOn(_ events: IOEvents) {
        var events = events
        // It is the base's affair: what the stream gets of this transport is all there is.
        events.remove(.shortReads)
        if writeNeedsInput, events.meets([.read, .readHangup, .error]) {
            writeNeedsInput = false
            if case .ending = output { endOutput() } else { events.insert(.write) }
        }
        if events.contains(.write), engine.hasOutput {
            do {
                try sendOutput()
            } catch {
                onFailure?(error)
                return
            }
            endBaseIfDone()
            // Still no room: the stream need not try.
            if engine.hasOutput { events.remove(.write) }
        }
        if readNeedsRoom, !engine.hasOutput {
            readNeedsRoom = false
            events.insert(.read)
        }
        onReady?(events)
    }

    /// For what is known here and brings no event of the base.
    func tellLater(_ events: IOEvents) {
        loop.runSoon { [weak self] in self?.onReady?(events) }
    }

    /// What the write waits for may have come with a read, of which the base tells no more.
    private func writeLater() {
        loop.runSoon { [weak self] in
            guard let self, writeNeedsInput, case .open = phase else { return }
            writeNeedsInput = false
            if case .ending = output { endOutput() } else { onReady?(.write) }
        }
    }

    // MARK: Reading

    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        switch phase {
        case .open: break
        case .handshaking: return .wouldBlock
        case .failed(let error): throw error
        case .lingering, .closed: return .endOfStream
        }
        return try withUnsafeTemporaryAllocation(
            byteCount: TLSTransport.readChunk, alignment: 16
        ) { try read(into: buffer, through: $0) }
    }

    /// Tells less than a full buffer only when the base is drained: a stream takes a short read for
    /// that.
    private func read(
        into buffer: UnsafeMutableRawBufferPointer,
        through scratch: UnsafeMutableRawBufferPointer
    ) throws -> TransportRead {
        var filled = 0
        var isShort = false
        for _ in 0..<TLSTransport.readsMax {
            var input = UnsafeRawBufferPointer(start: nil, count: 0)
            if !engine.hasUnread {
                if isShort, filled > 0 { return drained(filled) }
                switch try readBase(into: scratch, filled) {
                case .bytes(let count):
                    input = UnsafeRawBufferPointer(rebasing: scratch[..<count])
                    isShort = count < scratch.count && !baseStopsShort
                case .wouldBlock:
                    return drained(filled)
                case .endOfStream:
                    if filled == 0 { throw fail(baseFailure ?? TLSTransport.truncated) }
                    tellLater(.read)
                    return .bytes(filled)
                }
            }
            let (step, count) = engine.read(
                input, into: UnsafeMutableRawBufferPointer(rebasing: buffer[filled...]))
            filled += count
            if writeNeedsInput { writeLater() }
            if let result = try after(step, filled) { return result }
        }
        tellLater(.read)
        return filled > 0 ? .bytes(filled) : .wouldBlock
    }

    /// A failure of the base comes after what was decrypted before it.
    func readBase(
        into scratch: UnsafeMutableRawBufferPointer, _ filled: Int
    ) throws -> TransportRead {
        do {
            return try base.read(into: scratch)
        } catch {
            phase = .failed(error)
            if filled == 0 { throw error }
            tellLater(.read)
            return .wouldBlock
        }
    }

    private func drained(_ filled: Int) -> TransportRead {
        watch?.drained(.read)
        return filled > 0 ? .bytes(filled) : .wouldBlock
    }

    /// What to tell the stream after a step; nil to go on.
    private func after(_ step: TLSEngine.Step, _ filled: Int) throws -> TransportRead? {
        keepTickets()
        // Answers of TLS itself; behind the stream's bytes they leave with those. A failure shows
        // at the next attempt: what was read comes first.
        if engine.hasOutput, encryptedAhead == 0 { try? sendOutput() }
        switch step {
        case .done:
            return .bytes(filled)
        case .wantsInput:
            return nil
        case .wantsRoom:
            if !engine.hasOutput { return nil }
            readNeedsRoom = true
            return filled > 0 ? .bytes(filled) : .wouldBlock
        case .ended:
            if filled == 0 { return .endOfStream }
        case .failed(let error):
            if filled == 0 { throw engineFailed(error) }
        }
        // The end, or the failure, is for the next read.
        tellLater(.read)
        return .bytes(filled)
    }

    func fail(_ error: any Error) -> any Error {
        phase = .failed(error)
        return error
    }

    func engineFailed(_ error: TLSError) -> any Error {
        forgetTickets()
        return fail(error)
    }

    func forgetTickets() {
        if let key = engine.ticketKey { tickets?.forget(key) }
    }

    private func keepTickets() {
        guard let tickets, let key = engine.ticketKey else { return }
        while let ticket = engine.takeTicket() { tickets.add(ticket, key) }
    }

    static let truncated = TLSError(
        .truncated,
        "The connection ended without the end of TLS (close_notify): bytes may be missing.")

    var failure: (any Error)? {
        if case .failed(let error) = phase { return error }
        return nil
    }

    func takePendingError() -> SystemError? {
        let error = base.takePendingError()
        if let error { baseFailure = error }
        return error
    }
}
