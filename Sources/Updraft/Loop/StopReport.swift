/// How a shutdown went: what was in flight and could not finish.
///
/// The steps of a shutdown are in `docs/shutdown.md`.
public struct StopReport: Sendable {
    /// The signal that began it; nil if `IOLoop.shutDown` did, or the server's `stop`.
    public var signal: Signal?

    /// Connections that were in the middle of something at the deadline and were cut.
    public var cutConnections = 0

    /// Stop hooks that threw, or had not ended at the deadline, in the order in which they began.
    public var failedHooks: [FailedHook] = []

    /// Bytes that had been written to streams that were still open at the very end, and that the
    /// kernel had not taken at the deadline.
    public var unsentBytes = 0

    /// A stop hook that threw or was too slow.
    public struct FailedHook: Sendable {
        /// The name that it was added with.
        public let name: String

        /// Why, in words.
        public let reason: String
    }

    init(signal: Signal? = nil, cutConnections: Int = 0) {
        self.signal = signal
        self.cutConnections = cutConnections
    }

    /// Whether everything that had begun was finished: nothing was cut and no hook failed.
    public var isClean: Bool { cutConnections == 0 && failedHooks.isEmpty && unsentBytes == 0 }

    /// Takes in what happened on another loop.
    mutating func merge(_ other: StopReport) {
        signal = signal ?? other.signal
        cutConnections += other.cutConnections
        failedHooks += other.failedHooks
        unsentBytes += other.unsentBytes
    }

    /// What was not finished, in words.
    var losses: [String] {
        var losses = failedHooks.map { "the stop hook '\($0.name)' \($0.reason)" }
        switch cutConnections {
        case 0: break
        case 1: losses.insert("1 connection was cut in the middle of its work", at: 0)
        default:
            losses.insert(
                "\(cutConnections) connections were cut in the middle of their work", at: 0)
        }
        if unsentBytes > 0 { losses.append("\(unsentBytes) bytes were not sent") }
        return losses
    }
}

/// A program has stopped, but something that had begun was not finished.
///
/// `IOLoop.run` throws it when its body has returned, so that a program that loses something does
/// not exit with 0 unless it decides to.
public struct ShutdownError: Error, Sendable, CustomStringConvertible {
    /// Kinds of unclean ends; where there are several, the first.
    public enum Code: Sendable {
        /// Connections were cut.
        case connectionsCut
        /// A stop hook threw, or took too long.
        case hookFailed
        /// Bytes were left unsent.
        case bytesUnsent
    }

    /// What kind of error it is.
    public let code: Code

    /// What was lost, in a sentence.
    public let message: String

    /// All that is known of the end.
    public let report: StopReport

    /// Nil if the report is clean.
    init?(_ report: StopReport) {
        if report.isClean { return nil }
        self.report = report
        message = "Not everything was finished: \(report.losses.joined(separator: "; "))."
        if report.cutConnections > 0 {
            code = .connectionsCut
        } else {
            code = report.failedHooks.isEmpty ? .bytesUnsent : .hookFailed
        }
    }

    /// The sentence.
    public var description: String { message }
}
