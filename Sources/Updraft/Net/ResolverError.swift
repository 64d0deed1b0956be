internal import CUpdraft

/// What the system's resolver (`getaddrinfo`) says of a name that it has no address for: the
/// `cause` of a `StreamError` with `.cannotResolve`.
///
/// ```swift
/// } catch let error as StreamError where (error.cause as? ResolverError)?.code == .tryAgain {
///     try await loop.sleep(for: .seconds(10))
/// }
/// ```
///
/// Where a system call has failed, the cause is its `SystemError` instead.
public struct ResolverError: Error, Hashable, Sendable {
    /// Kinds of failed look-ups.
    public enum Code: Sendable {
        /// There is no such name (EAI_NONAME).
        case noSuchName
        /// The name has no address, or none of the family that was asked for (EAI_NODATA,
        /// EAI_ADDRFAMILY). Some systems say `noSuchName` of it.
        case noAddress
        /// No name server has answered, or one had trouble: it may be worth another try later
        /// (EAI_AGAIN). So it is without a network.
        case tryAgain
        /// A name server has refused (EAI_FAIL).
        case refused
        /// Something else, which `number` tells.
        case other
    }

    /// What kind of failure it is.
    public let code: Code

    /// The system's number of it, one of its `EAI_` constants.
    public let number: Int32

    /// The system's text.
    public let message: String

    init(number: Int32) {
        self.number = number
        message = String(cString: cu_resolve_text(number))
        switch Int(cu_resolve_verdict(number)) {
        case Int(CU_RESOLVE_NO_NAME): code = .noSuchName
        case Int(CU_RESOLVE_NO_ADDRESS): code = .noAddress
        case Int(CU_RESOLVE_TRY_AGAIN): code = .tryAgain
        case Int(CU_RESOLVE_REFUSED): code = .refused
        default: code = .other
        }
    }

    /// The failure as a `SystemError` if a system call has failed.
    static func cause(_ failure: cu_resolve_failure) -> any Error {
        failure.error == 0
            ? ResolverError(number: failure.code)
            : SystemError(errno: failure.error, operation: "getaddrinfo")
    }
}

extension ResolverError: CustomStringConvertible {
    /// The system's text and number.
    public var description: String { "\(message) (getaddrinfo \(number))" }
}
