internal import CUpdraft

/// An error of the operating system: which call failed, and its `errno`.
public struct SystemError: Error, Hashable, Sendable {
    /// The `errno` of the failed call, positive.
    public let errno: Int32

    /// The call that failed and what it was about, as in `bind 127.0.0.1:80`.
    public let operation: String

    /// Makes an error from an `errno` (its sign does not matter) and the call that gave it.
    public init(errno: Int32, operation: String) {
        self.errno = errno < 0 ? -errno : errno
        self.operation = operation
    }

    /// The peer went away (EPIPE).
    public var isBrokenPipe: Bool { errno == cu_epipe }

    /// The address is taken by another socket (EADDRINUSE).
    public var isAddressInUse: Bool { errno == cu_eaddrinuse }

    /// Errors that mean only that the peer or the path to it is gone (contract row J15).
    public var isDisconnect: Bool {
        errno == cu_econnreset || errno == cu_econnaborted || errno == cu_epipe
            || errno == cu_etimedout
    }

    /// Throws if `result` is a negated `errno`, returns it otherwise.
    @discardableResult
    package static func check(
        _ result: Int32, _ operation: @autoclosure () -> String
    ) throws(SystemError) -> Int32 {
        if result < 0 { throw SystemError(errno: result, operation: operation()) }
        return result
    }
}

extension SystemError: CustomStringConvertible {
    /// The call, the system's own text and the number.
    public var description: String {
        let text = withUnsafeTemporaryAllocation(of: CChar.self, capacity: 128) { buffer in
            cu_error_text(errno, buffer.baseAddress, buffer.count)
            return String(cString: buffer.baseAddress.unsafelyUnwrapped)
        }
        return "\(operation): \(text) (errno \(errno))"
    }
}
