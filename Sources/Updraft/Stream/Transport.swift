/// What came of one attempt to read from a transport.
public enum TransportRead: Sendable {
    /// So many bytes, at least one, stand at the start of the buffer.
    case bytes(Int)
    /// Nothing now; the transport will say when.
    case wouldBlock
    /// The peer has ended its direction; there will be no more.
    case endOfStream
}

/// What carries a stream's bytes: a socket, a pipe, a TLS session over another transport, memory.
///
/// A transport never blocks and never waits: it does what can be done now and says what came of
/// it. The stream above it owns the buffers, the waiting and the closing; it calls its transport on
/// the loop's thread only.
public protocol Transport: AnyObject {
    /// The descriptor that tells readiness, for the loop to watch; nil if the transport calls
    /// `onReady` by itself.
    var descriptor: Int32? { get }

    /// For transports without a descriptor: to be called, on the loop's thread, whenever reading or
    /// writing may be worth another attempt. In a callback of the loop, never from inside one of
    /// the calls below: the stream is in the middle of something then.
    var onReady: ((IOEvents) -> Void)? { get set }

    /// Whether a read may bring less than the buffer holds although there is more to be read.
    /// Asked once, when a stream begins to use the transport.
    ///
    /// False, if not overridden: a stream takes a short read for the last one until `onReady` or
    /// its loop tells of more. True costs it another, vain, attempt at each message.
    var readsMayStopShort: Bool { get }

    /// Reads once, at most as much as the buffer holds.
    ///
    /// - Throws: `SystemError`; the stream is closed then.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws -> TransportRead

    /// Writes once.
    ///
    /// - Parameter bytes: At least one byte; valid during the call.
    /// - Returns: Bytes accepted; fewer than offered means that there is no more room now.
    /// - Throws: `SystemError`; the stream is closed then.
    func write(_ bytes: UnsafeRawBufferPointer) throws -> Int

    /// Writes several pieces in their order; otherwise as `write` for one.
    func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int

    /// Sends part of a file without copying it through this process, once, where there is a way.
    ///
    /// - Parameters:
    ///   - file: The descriptor of a plain file; its own position is neither used nor moved.
    ///   - offset: Where the part begins, in bytes.
    ///   - count: Bytes to send at the most, at least one.
    /// - Returns: Bytes accepted; 0 means that there is no room now, but fewer than asked for
    ///   nothing: a signal may have come in between. Nil where there is no such way, so that the
    ///   bytes are read and written instead.
    /// - Throws: `SystemError`; `StreamError` with `.fileTooShort` if the file ends before
    ///   `offset`. The stream is closed then.
    func sendFile(_ file: Int32, offset: Int64, count: Int) throws -> Int?

    /// Ends the sending direction after what was written; reading goes on.
    func shutdownWrite()

    /// An error that the transport has met outside of a read or write, such as a reset; reading it
    /// clears it.
    func takePendingError() -> SystemError?

    /// Frees the transport. What was written is still delivered by the kernel.
    func close()

    /// Frees the transport at once and tells the peer with a reset, where there is such a thing.
    func abort()
}

extension Transport {
    /// They don't.
    public var readsMayStopShort: Bool { false }

    /// Writes one piece after the other, as long as each is accepted whole; transports that can do
    /// better override it.
    public func write(_ pieces: [UnsafeRawBufferPointer]) throws -> Int {
        var total = 0
        for piece in pieces where !piece.isEmpty {
            let count = try write(piece)
            total += count
            if count < piece.count { break }
        }
        return total
    }

    /// There is no such way.
    public func sendFile(_ file: Int32, offset: Int64, count: Int) throws -> Int? { nil }
}
