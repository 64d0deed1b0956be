extension Prefork {
    /// How a supervisor treats its workers.
    public struct Options: Sendable {
        /// Restarts after abnormal ends, of all workers together, before the supervisor gives up.
        /// Those of a worker are forgotten when it has lived for `stableAfter`: the limit is for a
        /// program that can't run, not for the years.
        public var restartsMax = 100
        /// From an abnormal end to the restart; doubled with each further one of that worker.
        public var restartDelay = Duration.milliseconds(100)
        /// Where the doubling ends.
        public var restartDelayMax = Duration.seconds(10)
        /// A worker that has lived so long begins again with `restartDelay`.
        public var stableAfter = Duration.seconds(10)
        /// What a worker has for its end after it was asked to; then it gets SIGKILL. Longer than
        /// the `drain` of the servers in it.
        public var stopTimeout = Duration.seconds(30)
        /// What a worker has to become ready in a rolling restart, before that is broken off.
        public var readyTimeout = Duration.seconds(30)
        /// Signals to the supervisor that go to all workers and mean nothing to it. A worker
        /// without a handler is ended by most.
        public var passedOn: Set<Signal> = [.sigusr1, .sigusr2]

        /// The defaults.
        public init() {}
    }

    /// An address that the supervisor listens on for its workers.
    public struct ListenAddress: Hashable, Sendable {
        enum Place: Hashable {
            /// The port as it was asked for: 0 for any.
            case tcp(host: String, port: Int)
            case unix(path: String, mode: UInt32)
        }

        let place: Place
        let backlog: Int

        /// A TCP port.
        ///
        /// - Parameters:
        ///   - host: A numeric address, as in `TCPServer`; an empty one for all interfaces, IPv4
        ///     and IPv6.
        ///   - port: 0 picks a free one, the same for all workers.
        ///   - backlog: Connections that the kernel holds for each worker.
        public static func tcp(
            host: String = "127.0.0.1", port: Int, backlog: Int = 4_096
        ) -> ListenAddress {
            ListenAddress(place: .tcp(host: host, port: port), backlog: backlog)
        }

        /// A Unix socket with a file, which the supervisor removes when it stops listening. All
        /// workers accept from the one socket.
        ///
        /// - Parameters:
        ///   - path: As in `ListenAddress.unix`, and as the workers' servers write it.
        ///   - mode: Who may connect, as permission bits. By default the user alone.
        ///   - backlog: Connections that the kernel holds for all workers together.
        public static func unix(
            _ path: String, mode: UInt32 = 0o600, backlog: Int = 4_096
        ) -> ListenAddress {
            ListenAddress(place: .unix(path: path, mode: mode), backlog: backlog)
        }
    }

    /// One worker process, as its supervisor sees it.
    public struct Worker: Hashable, Sendable {
        /// From 0; a worker that takes another's place has the same.
        public let taskID: Int
        /// The process id.
        public let pid: Int32
    }
}

/// What went wrong with a supervisor or its workers.
public struct PreforkError: Error, Hashable, Sendable, CustomStringConvertible {
    /// Kinds of errors of supervisors.
    public enum Code: Sendable {
        /// A number of processes, or addresses, that can't be.
        case invalidArgument
        /// The program could not be started again.
        case cannotStart
        /// Workers ended abnormally more often than the limit allows.
        case tooManyRestarts
        /// Workers that were asked to end did not end cleanly.
        case notClean
        /// A process has the environment of a worker, and no supervisor.
        case notAWorker
    }

    /// What kind of error it is.
    public let code: Code

    /// What was wrong, in a sentence with the worker's number.
    public let message: String

    init(_ code: Code, _ message: String) {
        self.code = code
        self.message = message
    }

    /// The sentence.
    public var description: String { message }
}
