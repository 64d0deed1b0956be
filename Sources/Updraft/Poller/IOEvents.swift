/// What a descriptor is watched for, or was found ready for.
///
/// The bits are those of `epoll(7)`, so that the Linux poller passes them through unchanged.
/// Contract row C4.
public struct IOEvents: OptionSet, Hashable, Sendable {
    /// The bits themselves.
    public let rawValue: UInt32

    /// Makes a set from its bits.
    @inlinable
    public init(rawValue: UInt32) {
        self.rawValue = rawValue
    }

    /// There is something to read: bytes, a connection to accept, or the end of the stream.
    public static let read = IOEvents(rawValue: 0x001)

    /// There is room to write.
    public static let write = IOEvents(rawValue: 0x004)

    /// The descriptor failed, or both directions are closed. Always reported, even if not asked.
    public static let error = IOEvents(rawValue: 0x018)

    /// The peer closed its sending direction. Asked for by streams only: a handler that got it
    /// with the last bytes would be tempted to close before it has read them.
    package static let readHangup = IOEvents(rawValue: 0x2000)

    /// Reads may stop short of all there is, as TCP's do where urgent data was sent (EPOLLPRI).
    /// Asked for by streams only, which take a short read for an empty socket otherwise.
    package static let shortReads = IOEvents(rawValue: 0x002)

    /// Whether any bit of `other` is in this set.
    @inlinable
    package func meets(_ other: IOEvents) -> Bool {
        rawValue & other.rawValue != 0
    }
}

extension IOEvents: CustomStringConvertible {
    /// The names of the bits, as in `[read, error]`.
    public var description: String {
        var names: [String] = []
        if contains(.read) { names.append("read") }
        if contains(.write) { names.append("write") }
        if meets(.error) { names.append("error") }
        if contains(.readHangup) { names.append("readHangup") }
        if contains(.shortReads) { names.append("shortReads") }
        return "[" + names.joined(separator: ", ") + "]"
    }
}
