/// A moment in time: the extension of type -1 that the MessagePack specification defines.
///
/// It is written in the shortest of its three forms, of 32, 64 or 96 bits.
public struct MessagePackTimestamp: Hashable, Comparable, Sendable, CustomStringConvertible {
    /// The extension's type number.
    @inlinable public static var extType: Int8 { -1 }

    /// Seconds since 1970-01-01 00:00:00 UTC, negative before.
    public let seconds: Int64

    /// Nanoseconds after `seconds`, in 0 ..< 1,000,000,000.
    public let nanoseconds: UInt32

    /// Creates a timestamp, or nil if there are 1,000,000,000 nanoseconds or more.
    public init?(seconds: Int64, nanoseconds: UInt32) {
        guard nanoseconds < 1_000_000_000 else { return nil }
        self.seconds = seconds
        self.nanoseconds = nanoseconds
    }

    /// Creates a timestamp of whole seconds.
    public init(seconds: Int64) {
        self.seconds = seconds
        nanoseconds = 0
    }

    /// Creates the timestamp of a duration since 1970-01-01 00:00:00 UTC; what is finer than a
    /// nanosecond is cut off, towards the past.
    public init(sinceEpoch duration: Duration) {
        let (seconds, attoseconds) = duration.components
        let nanoseconds = attoseconds / 1_000_000_000
        let isFloored = attoseconds < 0 && attoseconds % 1_000_000_000 != 0
        let signed = isFloored ? nanoseconds - 1 : nanoseconds
        self.seconds = signed < 0 ? seconds &- 1 : seconds
        self.nanoseconds = UInt32(signed < 0 ? signed + 1_000_000_000 : signed)
    }

    /// The duration since 1970-01-01 00:00:00 UTC.
    public var sinceEpoch: Duration {
        Duration(
            secondsComponent: seconds, attosecondsComponent: Int64(nanoseconds) * 1_000_000_000)
    }

    /// Reads the contents of an extension of type -1.
    ///
    /// - Throws: `malformed` for another length than 4, 8 or 12 bytes, or for 1,000,000,000
    ///   nanoseconds or more.
    public init(extBytes bytes: some Collection<UInt8>) throws(MessagePackError) {
        func number(_ bytes: some Collection<UInt8>) -> UInt64 {
            bytes.reduce(0) { $0 << 8 | UInt64($1) }
        }
        let timestamp: MessagePackTimestamp?
        switch bytes.count {
        case 4: timestamp = MessagePackTimestamp(seconds: Int64(number(bytes)))
        case 8:
            let packed = number(bytes)
            timestamp = MessagePackTimestamp(
                seconds: Int64(packed & 0x3_ffff_ffff), nanoseconds: UInt32(packed >> 34))
        case 12:
            timestamp = MessagePackTimestamp(
                seconds: Int64(bitPattern: number(bytes.dropFirst(4))),
                nanoseconds: UInt32(number(bytes.prefix(4))))
        default:
            throw MessagePackError(
                .malformed, "a timestamp has 4, 8 or 12 bytes, not \(bytes.count)")
        }
        guard let timestamp else {
            throw MessagePackError(.malformed, "a timestamp has 1000000000 nanoseconds or more")
        }
        self = timestamp
    }

    /// The contents of the extension, in the shortest form.
    public var extBytes: [UInt8] {
        func bytes(_ number: some FixedWidthInteger) -> [UInt8] {
            withUnsafeBytes(of: number.bigEndian) { Array($0) }
        }
        if nanoseconds == 0, let short = UInt32(exactly: seconds) { return bytes(short) }
        if seconds >= 0, seconds < 1 << 34 {
            return bytes(UInt64(nanoseconds) << 34 | UInt64(seconds))
        }
        return bytes(nanoseconds) + bytes(seconds)
    }

    /// Whether the left one is the earlier.
    public static func < (left: MessagePackTimestamp, right: MessagePackTimestamp) -> Bool {
        (left.seconds, left.nanoseconds) < (right.seconds, right.nanoseconds)
    }

    /// The seconds since 1970 with nine decimals.
    public var description: String {
        let decimals = String(nanoseconds)
        return "\(seconds)+0." + String(repeating: "0", count: 9 - decimals.count) + decimals
    }
}

extension MessagePackTimestamp: MessagePackCodable {
    /// Writes the extension in its shortest form.
    public func encode(into writer: inout MessagePackWriter) throws {
        writer.write(self)
    }

    /// Reads an extension of type -1.
    ///
    /// - Throws: `typeMismatch` for another extension or another type, `malformed`, `truncated`.
    public static func decode(
        from reader: inout MessagePackReader
    ) throws -> MessagePackTimestamp {
        try reader.readTimestamp()
    }
}

extension MessagePackWriter {
    /// Writes a timestamp in its shortest form.
    public mutating func write(_ timestamp: MessagePackTimestamp) {
        writeExt(type: MessagePackTimestamp.extType, timestamp.extBytes)
    }
}

extension MessagePackReader {
    /// Reads a timestamp.
    ///
    /// - Throws: `typeMismatch` for another extension or another type, `malformed`, `truncated`.
    public mutating func readTimestamp() throws(MessagePackError) -> MessagePackTimestamp {
        let start = offset
        do throws(MessagePackError) {
            let (type, bytes) = try readExt()
            guard type == MessagePackTimestamp.extType else {
                throw MessagePackError(
                    .typeMismatch, "expected a timestamp, found an extension of type \(type)")
            }
            return try MessagePackTimestamp(extBytes: bytes)
        } catch {
            offset = start
            throw error
        }
    }
}
