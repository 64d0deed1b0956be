public import MessagePack

/// An error whose text may be told to the peer whose call met it.
///
/// Other errors of methods are logged, and the peer is told no more than "internal error".
///
/// ```swift
/// extension GameError: RPCReportableError {
///     var rpcMessage: String { "the game is over" }
/// }
/// ```
public protocol RPCReportableError: Error {
    /// What the peer is told: no paths, no stack traces.
    var rpcMessage: String { get }
}

/// What went wrong with a call, a connection or a table of methods.
///
/// A method throws one to answer its caller with an error:
///
/// ```swift
/// rpc.register("divide") { (x: Int, y: Int) in
///     guard y != 0 else { throw RPCError("division by zero") }
///     return x / y
/// }
/// ```
public struct RPCError: RPCReportableError, CustomStringConvertible {
    /// Kinds of RPC errors.
    public enum Code: Sendable {
        /// The method answered with an error; `value` has it as it came.
        case remote
        /// No answer came within the time limit.
        case timeout
        /// The connection is closed, or the peer has ended its direction: there will be no answer.
        case connectionLost
        /// `RPCOptions.callsInFlightMax` calls wait for their answers already.
        case tooManyCalls
        /// The message would be above `RPCOptions.messageBytesMax`.
        case messageTooLarge
        /// An argument can't be encoded.
        case invalidArgument
        /// The answer is not of the type that the caller asked for.
        case invalidResult
        /// Two methods have one name.
        case duplicateMethod
        /// A method's name begins with `rpc.`.
        case reservedName
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence; of a `remote` error, what the peer said.
    public let message: String

    /// The error beneath, such as a `StreamError`, if there is one.
    public let cause: (any Error)?

    /// Of a `remote` error, the value that the peer sent: a string, mostly.
    public let value: MessagePackValue?

    /// An error for a method to answer its caller with.
    ///
    /// - Parameter message: What the caller is told.
    public init(_ message: String) {
        self.init(.remote, message)
    }

    /// An error of any kind.
    public init(
        _ code: Code, _ message: String, cause: (any Error)? = nil, value: MessagePackValue? = nil
    ) {
        self.code = code
        self.message = message
        self.cause = cause
        self.value = value
    }

    /// The message.
    public var rpcMessage: String { message }

    /// The message, and the cause if there is one.
    public var description: String {
        cause.map { "\(message) (\($0))" } ?? message
    }
}

extension RPCError {
    /// What a peer answered in the place of an error. Peers differ: a string, `[code, message]`,
    /// or a map with a `message`.
    init(remote value: MessagePackValue) {
        self.init(.remote, RPCError.text(of: value), value: value)
    }

    private static func text(of value: MessagePackValue) -> String {
        if let text = value.stringValue { return text }
        if case .array(let elements) = value, elements.count == 2,
            let text = elements[1].stringValue
        {
            return text
        }
        return value["message"]?.stringValue ?? value.description
    }

    static func lost(_ reason: String, cause: (any Error)? = nil) -> RPCError {
        RPCError(.connectionLost, reason, cause: cause)
    }
}
