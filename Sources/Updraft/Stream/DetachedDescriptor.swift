internal import CUpdraft

/// A descriptor that a stream has given back, with what the stream had read ahead.
///
/// It is closed when the value goes away, unless it was released before.
///
/// ```swift
/// let detached = try stream.detach()
/// let early = detached.unreadBytes
/// hand(detached.release(), early)
/// ```
public struct DetachedDescriptor: ~Copyable, Sendable {
    /// The descriptor's number, still owned by this value.
    public private(set) var number: Int32

    /// Bytes that the stream had received and nobody has read: they come before whatever is read
    /// from the descriptor.
    public let unreadBytes: [UInt8]

    init(_ number: Int32, unreadBytes: [UInt8]) {
        self.number = number
        self.unreadBytes = unreadBytes
    }

    deinit {
        if number >= 0 { _ = cu_close(number) }
    }

    /// Hands the descriptor over to the caller, who closes it.
    public consuming func release() -> Int32 {
        let released = number
        number = -1
        return released
    }
}
