/// What went wrong with a stream.
public struct StreamError: Error, Sendable, CustomStringConvertible {
    /// Kinds of stream errors.
    public enum Code: Sendable {
        /// The stream is closed, by either side or by a failure; `cause` has the real one.
        case closed
        /// The peer ended its direction before a read could be satisfied.
        case endOfStream
        /// A read while another one waits.
        case readPending
        /// A delimiter did not come within the limit.
        case unsatisfiableRead
        /// More would be buffered than the limit allows.
        case bufferFull
        /// A file to send has fewer bytes than were promised.
        case fileTooShort
        /// A file to send can't be read; `cause` has the system's error, if it has told one.
        case fileUnreadable
        /// The descriptor can't be taken out of the stream, or not now.
        case cannotDetach
        /// A standard descriptor of the process is another stream's.
        case alreadyTaken
        /// The port or path is taken, or can't be bound.
        case cannotListen
        /// A host name has no address, or none could be found out.
        case cannotResolve
        /// No connection could be made.
        case cannotConnect
        /// What should be an address, or a range of addresses, is none.
        case invalidAddress
        /// A connection from a proxy does not begin with a PROXY header.
        case invalidProxyHeader
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence, with the limit or the name.
    public let message: String

    /// The error beneath, such as a `SystemError`, if there is one.
    public let cause: (any Error)?

    /// For transports and protocols of your own.
    public init(_ code: Code, _ message: String, cause: (any Error)? = nil) {
        self.code = code
        self.message = message
        self.cause = cause
    }

    /// The sentence, and the cause if there is one.
    public var description: String {
        cause.map { "\(message) (\($0))" } ?? message
    }
}
