/// What went wrong with a program that was started.
public struct SubprocessError: Error, Sendable, CustomStringConvertible {
    /// Kinds of errors with programs.
    public enum Code: Sendable {
        /// There is no such program.
        case programNotFound
        /// The file is there, and is no program that this process may execute.
        case notExecutable
        /// The program could not be started; `cause` has the system's reason.
        case cannotStart
        /// An argument, a name or a descriptor that can't be.
        case invalidArgument
        /// The program ended, but not with success; `status` says how.
        case failed
        /// The program has written more than the limit.
        case outputTooLarge
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence that names the program.
    public let message: String

    /// How the program ended, if it did.
    public let status: ExitStatus?

    /// The error beneath, such as a `SystemError`, if there is one.
    public let cause: (any Error)?

    init(
        _ code: Code, _ message: String, status: ExitStatus? = nil, cause: (any Error)? = nil
    ) {
        self.code = code
        self.message = message
        self.status = status
        self.cause = cause
    }

    /// The sentence, and the cause if there is one.
    public var description: String {
        cause.map { "\(message) (\($0))" } ?? message
    }
}

extension SubprocessError {
    /// The end of a program that has failed.
    ///
    /// - Parameter errors: What it wrote to standard error, of which the last line is told.
    static func failed(
        _ program: String, _ status: ExitStatus, saying errors: [UInt8] = []
    ) -> SubprocessError {
        var message = "'\(program)' ended with \(status)"
        let lastLine = errors.split(separator: 0x0A).last ?? []
        if !lastLine.isEmpty {
            message += ": \(String(decoding: lastLine.prefix(lineBytesMax), as: UTF8.self))"
        }
        return SubprocessError(.failed, message + ".", status: status)
    }

    private static let lineBytesMax = 200
}
