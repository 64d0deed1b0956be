/// What went wrong while reading or writing MessagePack.
///
/// ```swift
/// do {
///     let score = try reader.readInt()
/// } catch where error.code == .typeMismatch {
///     reply("the score must be an integer: \(error)")
/// }
/// ```
public struct MessagePackError: Error, Hashable, Sendable, CustomStringConvertible {
    /// What kind of error it is; to be compared with the static members.
    public struct Code: Hashable, Sendable, CustomStringConvertible {
        private enum Kind: String {
            case truncated, malformed, typeMismatch, outOfRange, nestingTooDeep, lengthTooLarge
            case invalidUTF8, trailingBytes, invalidValue
        }

        private let kind: Kind

        /// The bytes end before the value does; also a declared length above the bytes present.
        public static var truncated: Code { Code(kind: .truncated) }
        /// A byte that MessagePack never uses (`0xc1`), or a timestamp of a wrong length.
        public static var malformed: Code { Code(kind: .malformed) }
        /// A value of another type than the one that was asked for.
        public static var typeMismatch: Code { Code(kind: .typeMismatch) }
        /// A number that the target type cannot hold.
        public static var outOfRange: Code { Code(kind: .outOfRange) }
        /// More containers in one another than the limit allows.
        public static var nestingTooDeep: Code { Code(kind: .nestingTooDeep) }
        /// A message, or a length that it declares, above the limit in bytes.
        public static var lengthTooLarge: Code { Code(kind: .lengthTooLarge) }
        /// A string that is not UTF-8.
        public static var invalidUTF8: Code { Code(kind: .invalidUTF8) }
        /// Bytes after the end of a value that should have been the last.
        public static var trailingBytes: Code { Code(kind: .trailingBytes) }
        /// A well-formed value that the decoded type refuses; for types that users write.
        public static var invalidValue: Code { Code(kind: .invalidValue) }

        /// The name of the code, such as `typeMismatch`.
        public var description: String { kind.rawValue }
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in one phrase, with the limit or the name that it broke.
    public let message: String

    /// Creates an error.
    ///
    /// - Parameters:
    ///   - code: What kind of error it is.
    ///   - message: What was wrong; it may be shown to the peer.
    public init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The code and the message, as `typeMismatch: expected an integer, found a string at byte 3`.
    public var description: String { "\(code): \(message)" }
}

// The factories are never inlined: the text is built only once something has failed, and the code
// of the successful path stays small.
extension MessagePackError {
    @usableFromInline @inline(never)
    static func endOfInput(expected: String, position: Int) -> MessagePackError {
        MessagePackError(.truncated, "expected \(expected), but the bytes end at byte \(position)")
    }

    @usableFromInline @inline(never)
    static func truncated(position: Int, needed: Int, left: Int) -> MessagePackError {
        MessagePackError(
            .truncated,
            "the value at byte \(position) needs \(needed) bytes, but only \(left) are left")
    }

    @usableFromInline @inline(never)
    static func tooManyElements(position: Int, count: Int, left: Int) -> MessagePackError {
        MessagePackError(
            .truncated,
            "the container at byte \(position) declares \(count) elements, "
                + "but only \(left) bytes follow")
    }

    @usableFromInline @inline(never)
    static func reservedByte(position: Int) -> MessagePackError {
        MessagePackError(.malformed, "byte \(position) is 0xc1, which MessagePack never uses")
    }

    @usableFromInline @inline(never)
    static func mismatch(expected: String, found byte: UInt8, position: Int) -> MessagePackError {
        guard let type = MessagePackType(formatByte: byte) else {
            return .reservedByte(position: position)
        }
        return MessagePackError(
            .typeMismatch, "expected \(expected), found \(type) at byte \(position)")
    }

    @usableFromInline @inline(never)
    static func outOfRange(_ value: String, type: String) -> MessagePackError {
        MessagePackError(.outOfRange, "\(value) does not fit in \(type)")
    }

    @usableFromInline @inline(never)
    static func nestingTooDeep(depthMax: Int) -> MessagePackError {
        MessagePackError(.nestingTooDeep, "the nesting exceeds the limit of \(depthMax)")
    }

    @usableFromInline @inline(never)
    static func lengthTooLarge(length: Int, bytesMax: Int) -> MessagePackError {
        MessagePackError(
            .lengthTooLarge,
            "the message needs at least \(length) bytes, above the limit of \(bytesMax)")
    }

    @usableFromInline @inline(never)
    static func invalidUTF8(position: Int) -> MessagePackError {
        MessagePackError(.invalidUTF8, "the string at byte \(position) is not UTF-8")
    }

    @usableFromInline @inline(never)
    static func trailingBytes(count: Int) -> MessagePackError {
        MessagePackError(.trailingBytes, "\(count) bytes follow the end of the value")
    }
}
