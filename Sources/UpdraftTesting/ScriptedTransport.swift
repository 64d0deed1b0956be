public import Updraft

/// A transport that puts trouble between a stream and another transport: short reads and writes,
/// attempts that find nothing ready, errors at chosen points. It also counts.
///
/// ```swift
/// let (near, far) = MemoryTransport.pair(on: loop)
/// let bytewise = ScriptedTransport(over: near, on: loop)
/// bytewise.everyRead = .atMost(1)
/// let stream = try IOStream(bytewise, loop: loop)
/// ```
///
/// The script's steps are used up one per call, first to last; after that `everyRead` and
/// `everyWrite` hold.
public final class ScriptedTransport: Transport {
    /// What becomes of one read or write.
    public enum Step: Sendable {
        /// Passed on as it is.
        case pass
        /// Passed on with so many bytes at the most, at least 1.
        case atMost(Int)
        /// Not passed on: there is nothing to read, or no room, for now (EAGAIN). The stream is
        /// told in the next turn that another attempt is worth it.
        case wouldBlock
        /// Not passed on: fails.
        case fail(SystemError)
    }

    /// Steps of the coming reads.
    public var reads: [Step] = []
    /// Steps of the coming writes.
    public var writes: [Step] = []
    /// What every read does after `reads` is used up.
    public var everyRead = Step.pass
    /// What every write does after `writes` is used up.
    public var everyWrite = Step.pass

    /// Reads that were attempted.
    public private(set) var readCalls = 0
    /// Writes that were attempted, each one a `send` on a socket.
    public private(set) var writeCalls = 0
    /// Bytes that were read.
    public private(set) var bytesRead = 0
    /// Bytes that were written.
    public private(set) var bytesWritten = 0

    /// Always nil: the transport tells its readiness itself.
    public var descriptor: Int32? { nil }

    /// Set by the stream.
    public var onReady: ((IOEvents) -> Void)? {
        didSet { watchBase() }
    }

    /// As the base's.
    public var readsMayStopShort: Bool { base.readsMayStopShort }

    /// What carries the bytes.
    package let base: any Transport
    private let loop: IOLoop
    private var watch: TransportWatch?
    private var eventsToTell: IOEvents = []
    /// Why the base can't be watched, for the first call to tell.
    private var watchFailure: (any Error)?

    /// - Parameter base: Any transport that no stream uses. If it has a descriptor and that can't
    ///   be watched, the stream's first read or write throws the reason.
    public init(over base: any Transport, on loop: IOLoop) {
        self.base = base
        self.loop = loop
    }

    deinit {
        watch?.stop()
    }

    /// Reads as the script says.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
        try checkWatch()
        readCalls += 1
        var target = buffer
        switch reads.isEmpty ? everyRead : reads.removeFirst() {
        case .pass:
            break
        case .atMost(let count):
            target = UnsafeMutableRawBufferPointer(rebasing: buffer.prefix(max(count, 1)))
            again(.read)
        case .wouldBlock:
            again(.read)
            return .wouldBlock
        case .fail(let error):
            throw error
        }
        let result = try base.read(into: target)
        switch result {
        case .bytes(let count):
            bytesRead += count
            if count < target.count { watch?.drained(.read) }
        case .wouldBlock: watch?.drained(.read)
        case .endOfStream: break
        }
        return result
    }

    /// Writes as the script says.
    public func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        try write([bytes])
    }

    /// Writes as the script says: all pieces are one write.
    public func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
        try checkWatch()
        writeCalls += 1
        var offered = pieces
        switch writes.isEmpty ? everyWrite : writes.removeFirst() {
        case .pass:
            break
        case .atMost(let count):
            offered = first(max(count, 1), of: pieces)
            again(.write)
        case .wouldBlock:
            again(.write)
            return 0
        case .fail(let error):
            throw error
        }
        let accepted = try base.write(offered)
        bytesWritten += accepted
        if accepted < offered.reduce(0, { $0 + $1.count }) { watch?.drained(.write) }
        return accepted
    }

    /// Sends as the script says, as a write, if the base has a way to send files.
    public func sendFile(_ file: Int32, offset: Int64, count: Int) throws -> Int? {
        try checkWatch()
        var offered = count
        let step = writes.first ?? everyWrite
        switch step {
        case .pass: break
        case .atMost(let count): offered = min(offered, max(count, 1))
        // What becomes of them is the same whether they are sent or written.
        case .wouldBlock, .fail: return try write([])
        }
        guard let sent = try base.sendFile(file, offset: offset, count: offered) else { return nil }
        if !writes.isEmpty { writes.removeFirst() }
        writeCalls += 1
        bytesWritten += sent
        if sent == 0 { watch?.drained(.write) } else if case .atMost = step { again(.write) }
        return sent
    }

    /// Passed on.
    public func shutdownWrite() { base.shutdownWrite() }

    /// Passed on.
    public func takePendingError() -> SystemError? { base.takePendingError() }

    /// Passed on.
    public func close() {
        watch?.stop()
        base.close()
    }

    /// Passed on.
    public func abort() {
        watch?.stop()
        base.abort()
    }

    private func first(
        _ count: Int, of pieces: [UnsafeRawBufferPointer]
    ) -> [UnsafeRawBufferPointer] {
        var left = count
        return pieces.compactMap { piece in
            let part = UnsafeRawBufferPointer(rebasing: piece.prefix(left))
            left -= part.count
            return part.isEmpty ? nil : part
        }
    }

    /// For a call that left something undone: the base brings no event for that. Once a turn.
    private func again(_ events: IOEvents) {
        let isTold = !eventsToTell.isEmpty
        eventsToTell.formUnion(events)
        if isTold { return }
        loop.runSoon { [self] in
            let events = eventsToTell
            eventsToTell = []
            onReady?(events)
        }
    }

    /// Anew for each user: what the base was ready for before is to be told again.
    private func watchBase() {
        watch?.stop()
        watch = nil
        guard onReady != nil else { return }
        do {
            watch = try TransportWatch(base, on: loop) { [weak self] events in
                self?.onReady?(events)
            }
        } catch {
            watchFailure = error
            again([.read, .write])
        }
    }

    private func checkWatch() throws {
        if let watchFailure { throw watchFailure }
    }
}

extension ScriptedTransport: LayeredTransport {
    /// Passed on.
    package func inputIsEnding() {
        (base as? any LayeredTransport)?.inputIsEnding()
    }

    /// Nothing of its own.
    package var failure: (any Error)? { (base as? any LayeredTransport)?.failure }

    /// Never: it has nothing of its own to say.
    package var isLingering: Bool { false }

    /// Not called.
    package var onRelease: (() -> Void)? {
        get { nil }
        set {}
    }
}
