internal import CUpdraft
internal import Synchronization

/// The thread that looks after loops with a blocking threshold: one per process, started with the
/// first threshold. Without thresholds it sleeps; otherwise it wakes up about once per threshold,
/// however many turns the loops have in that time.
final class StallMonitor: Sendable {
    static let shared = StallMonitor()

    /// A loop has one of each.
    enum Purpose {
        case log
        case signal
    }

    /// What to do when a turn takes too long.
    struct Rule: Sendable {
        let threshold: Int64
        /// Whether the action wants the stack.
        let needsSample: Bool
        let action: @Sendable (BlockedTurn) -> Void
        /// The beginning of the last turn that the rule was applied to, which is its name.
        var appliedTo: Int64 = 0
    }

    /// A loop under watch.
    struct Watch: Sendable {
        let loopName: String
        let pulse: LoopPulse
        let thread: Int32
        let taskNames: TaskNames
        var rules: [Purpose: Rule] = [:]
    }

    /// A turn that has passed a rule's threshold.
    private struct Stall {
        let watch: Watch
        let rule: Rule
        let busySince: Int64
    }

    private struct State {
        var watches: [ObjectIdentifier: Watch] = [:]
        var hasThread = false
    }

    private let state = Mutex(State())

    /// Sets or removes a rule of a loop.
    ///
    /// - Throws: `SystemError` if the thread can't be started.
    func set(
        _ rule: Rule?, _ purpose: Purpose, for loop: ObjectIdentifier,
        watch: @autoclosure () -> Watch
    ) throws {
        try state.withLock { state in
            if rule != nil, !state.hasThread {
                try startThread()
                state.hasThread = true
            }
            var changed = state.watches[loop] ?? watch()
            changed.rules[purpose] = rule
            state.watches[loop] = changed.rules.isEmpty ? nil : changed
        }
        cu_monitor_wake()
    }

    /// Forgets a loop.
    func remove(_ loop: ObjectIdentifier) {
        state.withLock { _ = $0.watches.removeValue(forKey: loop) }
    }

    /// What a loop is watched for; empty for one that is not.
    func purposes(of loop: ObjectIdentifier) -> Set<Purpose> {
        state.withLock { Set($0.watches[loop]?.rules.keys.map { $0 } ?? []) }
    }

    private func startThread() throws {
        var handle: UInt64 = 0
        let result = cu_thread_start({ _ in StallMonitor.shared.run() }, nil, "monitor", &handle)
        try SystemError.check(result, "start the monitor thread")
        cu_thread_detach(handle)
    }

    private func run() {
        while true {
            let now = cu_monotonic_nanoseconds()
            let (stall, wait) = state.withLock { findStall(in: &$0, now: now) }
            if let stall {
                act(on: stall)
            } else {
                cu_monitor_wait(wait)
            }
        }
    }

    /// The next stall to act on, or for how long none can be: a loop that is idle now needs its
    /// whole threshold to be stalled.
    private func findStall(in state: inout State, now: Int64) -> (Stall?, wait: Int64) {
        var wait = Int64.max
        for (loop, watch) in state.watches {
            let busySince = watch.pulse.busySince
            for (purpose, rule) in watch.rules {
                let isNew = busySince != 0 && busySince != rule.appliedTo
                let left = isNew ? busySince + rule.threshold - now : rule.threshold
                if left <= 0 {
                    state.watches[loop]?.rules[purpose]?.appliedTo = busySince
                    return (Stall(watch: watch, rule: rule, busySince: busySince), 0)
                }
                wait = min(wait, left)
            }
        }
        return (nil, wait == Int64.max ? -1 : wait)
    }

    /// Takes the stack while the loop is still in it, and then works out what it means.
    private func act(on stall: Stall) {
        var sample: StackSample?
        if stall.rule.needsSample {
            sample = StackSample.take(
                of: stall.watch.thread, in: stall.watch.pulse, turn: stall.busySince)
        }
        // Before the stack's symbols are looked up, which takes a while: the task may end.
        let task = sample.flatMap { stall.watch.taskNames.name(of: $0.task, asOf: $0.names) }
        let lasted = cu_monotonic_nanoseconds() - stall.busySince
        stall.rule.action(
            BlockedTurn(
                loopName: stall.watch.loopName,
                duration: .nanoseconds(lasted),
                threshold: .nanoseconds(stall.rule.threshold),
                activity: sample?.activity,
                task: task,
                workName: sample?.work,
                readyPeer: sample?.peerAddress,
                stack: sample?.symbolisedStack() ?? []))
    }
}
