internal import Logging

/// Work that must happen before a loop ends; see `IOLoop.onStop`.
public final class StopHook {
    let name: String
    let body: nonisolated(nonsending) () async throws -> Void
    private weak var hooks: StopHooks?

    init(
        _ name: String, _ hooks: StopHooks,
        _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) {
        self.name = name
        self.hooks = hooks
        self.body = body
    }

    /// Takes the hook back: what it was to do is done already. Afterwards, or once it has begun,
    /// this does nothing.
    public func remove() { hooks?.remove(self) }
}

/// The stop hooks of a loop.
///
/// Their tasks stand beside the tree of the others, so that what cancels those (the failure of
/// another loop, say) leaves the hooks their waits.
final class StopHooks {
    /// The parent of what runs at the end.
    let scope: TaskScope
    private unowned let loop: IOLoop
    private var waiting: [StopHook] = []
    private var runs: [HookRun] = []

    var isEmpty: Bool { waiting.isEmpty }

    init(_ loop: IOLoop) {
        self.loop = loop
        scope = TaskScope(loop.executor, about: TaskLabel.group)
    }

    func add(
        _ name: String, _ body: nonisolated(nonsending) @escaping () async throws -> Void
    ) -> StopHook {
        let hook = StopHook(name, self, body)
        waiting.append(hook)
        return hook
    }

    func remove(_ hook: StopHook) {
        loop.checkThread("StopHook.remove")
        waiting.removeAll { $0 === hook }
    }

    /// Runs them, the last one added first, and cancels those that have not ended at `deadline`.
    ///
    /// One begins when the one before it has ended, or has used up its share of the time: a hook
    /// that hangs does not take the others' turn.
    nonisolated(nonsending) func run(until deadline: LoopInstant) async -> [StopReport.FailedHook] {
        while let hook = waiting.popLast() {
            let share = max(loop.now.duration(to: deadline), .zero) / (waiting.count + 1)
            let run = HookRun(hook, loop)
            runs.append(run)
            run.start(below: scope)
            await run.waitForEnd(until: loop.now.advanced(by: share))
        }
        for run in runs { await run.waitForEnd(until: deadline) }
        for run in runs { run.giveUp() }
        let grace = loop.now.advanced(by: StopHooks.cancelGrace)
        for run in runs { await run.waitForEnd(until: grace) }
        let failures = runs.compactMap(\.failure)
        runs = []
        return failures
    }

    /// What a cancelled hook has to end in.
    private static let cancelGrace = Duration.milliseconds(100)
}

/// One hook's task.
private final class HookRun {
    private enum State {
        case running
        /// At the deadline it had not ended.
        case givenUp
        case ended
        case failed(any Error)
    }

    private let hook: StopHook
    private let loop: IOLoop
    private let startedAt: LoopInstant
    private let ended: Waiter
    private var state = State.running
    private var task: TaskScope?
    private var limit: Duration?

    init(_ hook: StopHook, _ loop: IOLoop) {
        self.hook = hook
        self.loop = loop
        startedAt = loop.now
        ended = Waiter(loop: loop)
    }

    func start(below parent: TaskScope) {
        task = loop.start(named: "stop hook \(hook.name)", below: parent) { [self] in
            do {
                try await hook.body()
                finish(.ended)
            } catch {
                finish(.failed(error))
            }
        }
    }

    private func finish(_ end: State) {
        task = nil
        if case .running = state { state = end }
        ended.fire()
    }

    nonisolated(nonsending) func waitForEnd(until deadline: LoopInstant) async {
        while task != nil, loop.now < deadline {
            let next = min(deadline, loop.now.advanced(by: Shutdown.progressInterval))
            await loop.wait(for: ended, until: next)
            if let task, loop.now < deadline {
                let state = loop.describe(task)
                loop.libraryLogger.info("still waiting for the stop hook '\(hook.name)': \(state)")
            }
        }
    }

    func giveUp() {
        guard let task else { return }
        state = .givenUp
        limit = startedAt.duration(to: loop.now)
        let text = loop.describe(task)
        loop.libraryLogger.notice("the stop hook '\(hook.name)' is cancelled: \(text)")
        task.cancel()
    }

    var failure: StopReport.FailedHook? {
        switch state {
        case .running, .ended:
            nil
        case .givenUp:
            .init(name: hook.name, reason: "had not ended after \(limit ?? .zero)")
        case .failed(let error):
            .init(name: hook.name, reason: "failed: \(error)")
        }
    }
}
