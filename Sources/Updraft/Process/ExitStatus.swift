/// How a program ended.
public enum ExitStatus: Hashable, Sendable {
    /// By itself, with an exit code from 0 to 255; 0 means success.
    case exited(Int32)
    /// By a signal.
    case signalled(Signal)
    /// Something else in this process has collected the child, so nobody can tell.
    case unknown

    /// Whether the program ended by itself with code 0.
    public var isSuccess: Bool { self == .exited(0) }

    /// The exit code, or the negated number of the signal (contract list 3.6, 7); nil if unknown.
    public var returncode: Int32? {
        switch self {
        case .exited(let code): code
        case .signalled(let signal): -signal.number
        case .unknown: nil
        }
    }
}

extension ExitStatus: CustomStringConvertible {
    /// As in "exit code 3", "SIGTERM".
    public var description: String {
        switch self {
        case .exited(let code): "exit code \(code)"
        case .signalled(let signal): "\(signal)"
        case .unknown: "an exit status that something else has collected"
        }
    }
}
