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
        didSet { base.onReady = onReady }
    }

    private let base: any Transport
    private let loop: IOLoop

    /// - Parameter base: A transport without a descriptor, such as a `MemoryTransport`.
    public init(over base: any Transport, on loop: IOLoop) {
        precondition(base.descriptor == nil, "the loop would watch the descriptor by itself")
        self.base = base
        self.loop = loop
    }

    /// Reads as the script says.
    public func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead {
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
        if case .bytes(let count) = result { bytesRead += count }
        return result
    }

    /// Writes as the script says.
    public func write(_ bytes: UnsafeRawBufferPointer) throws -> Int {
        try write([bytes])
    }

    /// Writes as the script says: all pieces are one write.
    public func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
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
        return accepted
    }

    /// Passed on.
    public func shutdownWrite() { base.shutdownWrite() }

    /// Passed on.
    public func takePendingError() -> SystemError? { base.takePendingError() }

    /// Passed on.
    public func close() { base.close() }

    /// Passed on.
    public func abort() { base.abort() }

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

    private func again(_ events: IOEvents) {
        loop.runSoon { [self] in onReady?(events) }
    }
}
