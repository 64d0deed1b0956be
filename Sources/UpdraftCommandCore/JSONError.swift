/// Why a text is not a JSON value that can be sent.
public struct JSONError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The kinds of failure.
    public enum Code: String, Hashable, Sendable {
        /// The text breaks JSON's grammar (RFC 8259).
        case malformed
        /// An integer does not fit into 64 bits, or a number is too large for a double.
        case outOfRange
        /// Arrays and objects are nested deeper than ``JSONReader/nestingMax``.
        case nestingTooDeep
        /// An object that stands for a MessagePack value, as `{"$binary": …}`, has wrong contents.
        case invalidSpecial
    }

    /// What kind of failure this is.
    public let code: Code
    /// What was wrong, and where: one sentence without a full stop.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The message.
    public var description: String { message }
}
