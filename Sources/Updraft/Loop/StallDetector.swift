internal import CUpdraft
internal import Logging

/// A turn of a loop that has taken longer than a threshold and, mostly, still goes on.
public struct BlockedTurn: Sendable, CustomStringConvertible {
    /// The loop's name.
    public let loopName: String

    /// How long the turn has been going on.
    public let duration: Duration

    /// The threshold that it has passed.
    public let threshold: Duration

    let activity: LoopActivity?

    let task: TaskName?

    /// What runs as the layer above the loop calls it: the name of an RPC method that answers at
    /// once. Nil if it has no such name.
    public let workName: String?

    /// The other end of the socket that was ready.
    let readyPeer: (any Peer)?

    /// The stack of the loop's thread, the innermost function first, each as `function in module`.
    /// Empty if the turn ended, or the thread did not answer, before the stack was taken.
    public let stack: [String]

    /// The name of the task that runs, if it was given one (`loop.spawn(name:)`).
    public var taskName: String? {
        if case .given(let name) = task { return name }
        return nil
    }

    /// Several lines: what is blocked, for how long, in which task or handler, and the stack.
    public var description: String {
        var text = "loop '\(loopName)' has been blocked for \(milliseconds(duration))"
        text += " (threshold \(milliseconds(threshold)))"
        guard let activity else { return text + "; its stack could not be taken any more" }
        text += " \(activity)"
        if let task {
            text += ", \(task.description)"
        } else if let readyPeer, !"\(readyPeer)".isEmpty {
            text += ", socket to \(readyPeer)"
        }
        if let workName { text += ", in '\(workName)'" }
        for (depth, frame) in stack.enumerated() { text += "\n  \(depth)  \(frame)" }
        return text
    }

    private func milliseconds(_ duration: Duration) -> String {
        "\((duration / .milliseconds(1)).rounded()) ms"
    }
}

// The watchdog: contract rows G1-G4.
extension IOLoop {
    /// Logs a warning when a turn takes longer than `threshold`: once per turn, while it is still
    /// going on, with the stack of the loop's thread (contract rows G2, G3). Nil turns it off.
    ///
    /// What counts is the time from the end of a poll to the beginning of the next: handlers,
    /// tasks, callbacks, timeouts. Waiting never counts. It costs the loop nothing but one signal
    /// (SIGURG, to its thread) for each blocked turn; a system call that blocks the thread and
    /// does not restart by itself (`nanosleep`, `poll`) then ends early with EINTR.
    ///
    /// The line goes to `logger` as it is now, from a thread of the library's own. It names the
    /// task or the connection that blocks; `docs/watchdog.md` says what has which name.
    ///
    /// - Parameter threshold: Less than a millisecond counts as one.
    public func setBlockingLogThreshold(_ threshold: Duration?) {
        checkThread("IOLoop.setBlockingLogThreshold")
        let logger = logger
        setRule(.log, threshold, needsSample: true) { logger.warning("\($0)") }
    }

    /// Ends the process, or does what you say, when a turn takes longer than `threshold` (contract
    /// row G1). Nil turns it off.
    ///
    /// Without an action the process gets SIGALRM in its default disposition, which kills it: for
    /// servers that are better restarted than stuck. An action is called once per blocked turn,
    /// while it is still going on. Unlike a signal handler it runs on a thread of the library's
    /// own, not on the loop's: so it may log, allocate and take locks, but it can't touch the loop
    /// (what it posts through `remote` runs when the loop is free again) and can't interrupt what
    /// blocks it. It should return soon: one thread serves all loops.
    ///
    /// It has its own threshold beside that of the log.
    ///
    /// - Parameters:
    ///   - threshold: Less than a millisecond counts as one.
    ///   - action: Gets what is known of the blocked turn, with its stack.
    public func setBlockingSignalThreshold(
        _ threshold: Duration?, action: (@Sendable (BlockedTurn) -> Void)? = nil
    ) {
        checkThread("IOLoop.setBlockingSignalThreshold")
        setRule(.signal, threshold, needsSample: action != nil) { turn in
            if let action { action(turn) } else { cu_monitor_kill() }
        }
    }

    private func setRule(
        _ purpose: StallMonitor.Purpose, _ threshold: Duration?, needsSample: Bool,
        _ action: @escaping @Sendable (BlockedTurn) -> Void
    ) {
        let rule = threshold.map {
            StallMonitor.Rule(
                threshold: max($0.wholeNanoseconds, 1_000_000), needsSample: needsSample,
                action: action)
        }
        let key = ObjectIdentifier(executor)
        do {
            if rule != nil {
                try SystemError.check(cu_sample_prepare(), "watch for SIGURG")
                keepTaskNames()
            }
            try StallMonitor.shared.set(
                rule, purpose, for: key,
                watch: StallMonitor.Watch(
                    loopName: name, pulse: pulse, thread: StackSample.thisThread,
                    taskNames: executor.taskNames))
        } catch {
            libraryLogger.error("There is no watch over blocked turns: \(error)")
        }
        if StallMonitor.shared.purposes(of: key).isEmpty { executor.taskNames.end() }
    }
}
