internal import CUpdraft

/// A program that was started from a loop, which learns of its end.
///
/// It is reaped exactly once, in the turn in which the loop learns of the end, whether anybody
/// waits or not, and also if nobody keeps this object. If the loop is closed first, the program
/// goes on, and is reaped all the same (see `AbandonedChildren`).
package final class ChildProcess {
    /// How the end is noticed.
    package enum Watching: Sendable {
        /// By a descriptor of the child's, or by SIGCHLD where the system has none.
        case best
        /// By SIGCHLD.
        case signal
        /// Not at all: as if it had ended before it could be watched.
        case tooLate
    }

    /// The process id. After the end the system may give it to another process.
    package let pid: Int32

    private let name: String
    private let loop: IOLoop
    private var state = State.running(.nothing)
    private var waiters: [Waiter] = []
    private var callbacks: [ExitCallback] = []

    private enum State {
        case running(Watch)
        case ended(ExitStatus)
        /// The loop was closed before the end.
        case abandoned
    }

    private enum Watch {
        case nothing
        case descriptor(Int32)
        case signal(SignalHandlerID)
    }

    private struct ExitCallback {
        let context: CallbackContext?
        let action: (ExitStatus) throws -> Void
    }

    /// Starts a program.
    ///
    /// - Throws: `SubprocessError`; `LoopError` if the loop is closed; `SystemError` if no
    ///   descriptor is left to watch the child, which is killed then.
    package init(
        _ request: SpawnRequest, on loop: IOLoop, watching: Watching = .best
    ) throws {
        loop.checkThread("Subprocess")
        if case .closed = loop.state {
            throw LoopError(.closed, "A program was to be started on a loop that was closed.")
        }
        pid = try request.start()
        name = request.path
        self.loop = loop
        do {
            try watch(watching)
        } catch {
            discard()
            throw error
        }
    }

    /// How it ended; nil as long as it runs, or until the loop has noticed.
    package var status: ExitStatus? {
        if case .ended(let status) = state { return status }
        return nil
    }

    /// Waits for the end. Any number of tasks may. A wait that is cancelled leaves the program
    /// running.
    ///
    /// - Throws: `CancellationError`; `TimeoutError`; `LoopError` if the loop is closed first.
    package nonisolated(nonsending) func wait() async throws -> ExitStatus {
        loop.checkThread("Subprocess.wait")
        while true {
            switch state {
            case .ended(let status): return status
            case .abandoned: throw closedFirst
            case .running: break
            }
            let waiter = Waiter(loop: loop)
            waiters.append(waiter)
            defer { waiters.removeAll { $0 === waiter } }
            try await waiter.wait(for: .child)
        }
    }

    /// Waits for the end, or for the loop's, whatever happens to the task: after a SIGKILL.
    package nonisolated(nonsending) func waitUncancellably() async {
        loop.checkThread("Subprocess.wait")
        guard case .running = state else { return }
        let waiter = Waiter(loop: loop)
        waiters.append(waiter)
        await waiter.waitUncancellably()
    }

    /// Calls `callback` once, in a turn after the end was noticed, with the caller's task-locals;
    /// never if the loop is closed first.
    package func onExit(_ callback: @escaping (ExitStatus) throws -> Void) {
        loop.checkThread("Subprocess.onExit")
        let exitCallback = ExitCallback(context: loop.captureContext(), action: callback)
        switch state {
        case .ended(let status): schedule(exitCallback, status)
        case .running: callbacks.append(exitCallback)
        case .abandoned: break
        }
    }

    /// Sends a signal, as long as the program has not been reaped: never to another process that
    /// has got the pid since.
    ///
    /// - Returns: Whether it was sent. Not if the program has ended, if there is no such signal, or
    ///   if the system forbids it (the program has changed its user).
    @discardableResult
    package func send(_ signal: Signal) -> Bool {
        loop.checkThread("Subprocess.send")
        guard case .running(let watch) = state else { return false }
        var descriptor: Int32 = -1
        if case .descriptor(let number) = watch { descriptor = number }
        return cu_child_signal(pid, descriptor, signal.number) == 0
    }

    // MARK: Watching

    private func watch(_ watching: Watching) throws {
        let descriptor =
            switch watching {
            case .best: cu_child_watch(pid)
            case .signal: -cu_enosys
            case .tooLate: -cu_esrch
            }
        if descriptor >= 0 {
            state = .running(.descriptor(descriptor))
            try loop.watch(descriptor, events: .read, mode: .level, sink: self)
        } else if descriptor == -cu_esrch {
            loop.keptSinks[ObjectIdentifier(self)] = self
            // It has ended already, so that the wait for it is short.
            loop.runSoon { self.collect(waiting: true) }
        } else if descriptor == -cu_enosys {
            let id = try loop.addSignalHandler(Signal(cu_sigchld)) { self.collect() }
            state = .running(.signal(id))
            loop.keptSinks[ObjectIdentifier(self)] = self
            // It may have ended before.
            loop.runSoon { self.collect() }
        } else {
            throw SystemError(errno: descriptor, operation: "watch the child \(pid)")
        }
    }

    private func stopWatching() {
        guard case .running(let watch) = state else { return }
        switch watch {
        case .nothing: break
        case .descriptor(let descriptor):
            loop.unwatch(descriptor)
            _ = cu_close(descriptor)
        case .signal(let id): loop.removeSignalHandler(id)
        }
        loop.keptSinks[ObjectIdentifier(self)] = nil
    }

    /// Nobody would learn of its end.
    private func discard() {
        _ = cu_child_signal(pid, -1, cu_sigkill)
        stopWatching()
        var code: Int32 = 0
        _ = cu_child_reap(pid, true, &code)
        state = .abandoned
    }

    private func collect(waiting: Bool = false) {
        guard case .running = state else { return }
        var code: Int32 = 0
        switch Int(cu_child_reap(pid, waiting, &code)) {
        case Int(CU_CHILD_RUNNING): break
        case Int(CU_CHILD_EXITED): ended(.exited(code))
        case Int(CU_CHILD_SIGNALLED): ended(.signalled(Signal(code)))
        default: ended(.unknown)
        }
    }

    private func ended(_ status: ExitStatus) {
        stopWatching()
        state = .ended(status)
        let callbacks = callbacks
        let waiters = waiters
        self.callbacks = []
        self.waiters = []
        for callback in callbacks { schedule(callback, status) }
        for waiter in waiters { loop.resumingInline { waiter.fire() } }
    }

    private func schedule(_ callback: ExitCallback, _ status: ExitStatus) {
        loop.schedule("An exit callback", callback.context) { try callback.action(status) }
    }

    private var closedFirst: LoopError {
        LoopError(.closed, "The loop was closed before '\(name)' (pid \(pid)) ended.")
    }
}

extension ChildProcess: ReadinessSink {
    var report: SinkReport {
        SinkReport(text: "the program '\(name)', pid \(pid)", waiters: waiters)
    }

    func ready(_ events: IOEvents) {
        collect()
    }

    func loopIsClosing() {
        guard case .running = state else { return }
        stopWatching()
        state = .abandoned
        AbandonedChildren.add(pid)
        callbacks = []
        let waiters = waiters
        self.waiters = []
        for waiter in waiters { waiter.fire(closedFirst) }
    }
}
