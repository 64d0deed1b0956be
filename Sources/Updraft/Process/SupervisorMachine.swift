internal import Logging

/// What a supervisor decides: events in, actions out, no process and no clock. The driver is
/// `Prefork.Supervisor`.
struct SupervisorMachine {
    enum Event: Equatable {
        case begin
        case started(Int, pid: Int32)
        case startFailed(Int, reason: String)
        /// The worker has said that it serves.
        case ready(Int)
        case ended(Int, ExitStatus)
        /// Someone asks all to end.
        case stop(Signal)
        /// A signal that is the workers' alone.
        case pass(Signal)
        case restartAll
        /// `deadline` has come.
        case timeout
    }

    enum Action: Equatable {
        case start(Int)
        case send(Signal, Int)
        /// Nobody will accept what still comes to this worker's listeners.
        case closeListeners(Int)
        case log(Logger.Level, String)
        /// All serve, or have ended, for the first time.
        case allReady
        /// The last action of all.
        case finish(PreforkError?)
    }

    private struct Slot {
        enum State: Equatable {
            /// Not known yet whether the start succeeds.
            case launching
            case starting
            case serving
            /// Asked to end, to be replaced; killed at the deadline, once.
            case retiring(killAt: LoopInstant?)
            case waiting(until: LoopInstant)
            case ended
        }

        var state = State.launching
        var pid: Int32 = 0
        var startedAt = LoopInstant(nanoseconds: 0)
        var hasRun = false
        /// Of the process that runs.
        var wasReady = false
        /// The signal that asked that process to end.
        var askedBy: Signal?
        /// Restarts after abnormal ends since it was last stable.
        var restarts = 0

        /// Whether there is a process to send to.
        var runs: Bool {
            switch state {
            case .starting, .serving, .retiring: true
            case .launching, .waiting, .ended: false
            }
        }
    }

    private struct Stop {
        let signal: Signal
        var killAt: LoopInstant?
        var isForced = false
    }

    private enum Mode {
        case running
        case stopping(Stop)
        case finished
    }

    /// Workers are replaced one after the other.
    private struct Rolling {
        var current: Int?
        /// When the current one's replacement must be ready; nil before it runs.
        var readyBy: LoopInstant?
        var remaining: [Int]
    }

    static let forceTimeout = Duration.seconds(1)
    static let kill = Signal(9)

    private let options: Prefork.Options
    private var slots: [Slot]
    private var mode = Mode.running
    private var rolling: Rolling?
    private var wasAllReady = false
    /// Why the supervisor gave up.
    private var failure: PreforkError?
    /// What did not end cleanly when it was asked to.
    private var complaints: [String] = []

    init(workers: Int, options: Prefork.Options) {
        self.options = options
        slots = Array(repeating: Slot(), count: workers)
    }

    /// When the driver should send `timeout`.
    var deadline: LoopInstant? {
        var deadlines = slots.compactMap { slot -> LoopInstant? in
            switch slot.state {
            case .waiting(let until): until
            case .retiring(let killAt): killAt
            case .launching, .starting, .serving, .ended: nil
            }
        }
        if case .stopping(let stop) = mode, let killAt = stop.killAt { deadlines.append(killAt) }
        if let readyBy = rolling?.readyBy { deadlines.append(readyBy) }
        return deadlines.min()
    }

    mutating func handle(_ event: Event, at now: LoopInstant) -> [Action] {
        if case .finished = mode { return [] }
        var actions: [Action]
        switch event {
        case .begin: actions = begin()
        case .started(let id, let pid): actions = started(id, pid, now)
        case .startFailed(let id, let reason): actions = startFailed(id, reason, now)
        case .ready(let id): actions = ready(id, now)
        case .ended(let id, let status): actions = ended(id, status, now)
        case .stop(let signal): actions = stop(signal, now)
        case .pass(let signal): actions = sendToAll(signal)
        case .restartAll: actions = restartAll(now)
        case .timeout: actions = timeout(now)
        }
        actions += announceIfAllReady()
        actions += finishIfAllEnded()
        return actions
    }

    // MARK: The life of one worker

    private mutating func begin() -> [Action] {
        guard case .running = mode else {
            // Asked to end before there were any: their listeners are closed.
            for id in slots.indices { slots[id].state = .ended }
            return []
        }
        return slots.indices.map { .start($0) }
    }

    private mutating func started(_ id: Int, _ pid: Int32, _ now: LoopInstant) -> [Action] {
        slots[id].pid = pid
        slots[id].startedAt = now
        slots[id].hasRun = true
        slots[id].wasReady = false
        slots[id].askedBy = nil
        slots[id].state = .starting
        if rolling?.current == id { rolling?.readyBy = now.advanced(by: options.readyTimeout) }
        let note = Action.log(.debug, "\(name(id)) has been started")
        // It was under way when the others were asked to end.
        if case .stopping(let stop) = mode { return [note, send(stop.signal, id)] }
        return [note]
    }

    private mutating func startFailed(
        _ id: Int, _ reason: String, _ now: LoopInstant
    ) -> [Action] {
        guard case .running = mode else {
            slots[id].state = .ended
            return []
        }
        // What has never run will hardly do so the next time. What has may be in the middle of
        // being replaced by a new version.
        guard slots[id].hasRun else {
            slots[id].state = .ended
            let message = "worker \(id) can't be started: \(reason)"
            return giveUp(PreforkError(.cannotStart, message), now)
        }
        return restartLater(id, "worker \(id) can't be started: \(reason)", now)
    }

    private mutating func ready(_ id: Int, _ now: LoopInstant) -> [Action] {
        slots[id].wasReady = true
        guard slots[id].state == .starting else { return [] }
        slots[id].state = .serving
        return rolling?.current == id ? replaceNext(now) : []
    }

    private mutating func ended(
        _ id: Int, _ status: ExitStatus, _ now: LoopInstant
    ) -> [Action] {
        guard slots[id].runs else { return [] }
        let what = "\(name(id)) \(SupervisorMachine.describe(status))"
        if case .stopping = mode {
            slots[id].state = .ended
            if isClean(status, of: id) { return [.log(.debug, what)] }
            complaints.append(what)
            return [.log(.warning, what)]
        }
        if case .retiring = slots[id].state {
            slots[id].state = .launching
            return [.log(isClean(status, of: id) ? .debug : .warning, what), .start(id)]
        }
        if status.isSuccess {
            slots[id].state = .ended
            return [.log(.debug, what), .closeListeners(id)]
                + (rolling?.current == id ? replaceNext(now) : [])
        }
        if slots[id].startedAt.advanced(by: options.stableAfter) <= now { slots[id].restarts = 0 }
        return restartLater(id, what, now)
    }

    /// What serves nobody yet loses nothing by the default action of the signal it was sent.
    private func isClean(_ status: ExitStatus, of id: Int) -> Bool {
        guard let signal = slots[id].askedBy, !slots[id].wasReady else { return status.isSuccess }
        return status.isSuccess || status == .signalled(signal)
    }

    private mutating func restartLater(
        _ id: Int, _ what: String, _ now: LoopInstant
    ) -> [Action] {
        slots[id].restarts += 1
        guard slots.reduce(0, { $0 + $1.restarts }) <= options.restartsMax else {
            slots[id].state = .ended
            let message =
                "giving up after \(options.restartsMax) restarts of workers that ended abnormally: "
                + "\(what)."
            return giveUp(PreforkError(.tooManyRestarts, message), now)
        }
        let delay = SupervisorMachine.delay(beforeRestart: slots[id].restarts, options)
        slots[id].state = .waiting(until: now.advanced(by: delay))
        return [.log(.warning, "\(what); it is started again in \(delay)")]
            + breakOffRolling(at: id, "ended abnormally")
    }

    /// Doubles from the first to the most, for one worker.
    static func delay(beforeRestart number: Int, _ options: Prefork.Options) -> Duration {
        var delay = min(options.restartDelay, options.restartDelayMax)
        var doublings = number - 1
        while doublings > 0, delay > .zero, delay < options.restartDelayMax {
            delay = min(delay * 2, options.restartDelayMax)
            doublings -= 1
        }
        return delay
    }

    // MARK: The end

    private mutating func stop(_ signal: Signal, _ now: LoopInstant) -> [Action] {
        if case .stopping(var stop) = mode {
            stop.isForced = true
            stop.killAt = now.advanced(by: SupervisorMachine.forceTimeout)
            mode = .stopping(stop)
            return [.log(.warning, "a second \(signal): the workers are ended at once")]
                + sendToAll(signal)
        }
        let count = slots.count { $0.runs }
        return [.log(.info, "stopping on \(signal): \(count) workers to wait for")]
            + stopAll(signal, now)
    }

    private mutating func giveUp(_ error: PreforkError, _ now: LoopInstant) -> [Action] {
        failure = error
        // It is thrown in the end, when the others are gone.
        return [.log(.info, error.message)] + stopAll(.sigterm, now)
    }

    private mutating func stopAll(_ signal: Signal, _ now: LoopInstant) -> [Action] {
        rolling = nil
        mode = .stopping(
            Stop(signal: signal, killAt: now.advanced(by: options.stopTimeout)))
        // First: what comes from now on is refused instead of left waiting.
        var actions = slots.indices.map { Action.closeListeners($0) }
        for id in slots.indices {
            switch slots[id].state {
            case .waiting: slots[id].state = .ended
            case .starting, .serving: actions.append(send(signal, id))
            // A retiring one has its signal; a second would end it at once.
            case .retiring, .launching, .ended: break
            }
        }
        return actions
    }

    private mutating func finishIfAllEnded() -> [Action] {
        guard slots.allSatisfy({ $0.state == .ended }) else { return [] }
        mode = .finished
        if let failure { return [.finish(failure)] }
        guard !complaints.isEmpty else { return [.finish(nil)] }
        let list = complaints.joined(separator: "; ")
        return [.finish(PreforkError(.notClean, "not all workers ended cleanly: \(list)."))]
    }

    // MARK: The rolling restart

    private mutating func restartAll(_ now: LoopInstant) -> [Action] {
        guard case .running = mode else { return [] }
        guard var under = rolling else {
            rolling = Rolling(remaining: Array(slots.indices))
            return [.log(.info, "restarting the workers one by one")] + replaceNext(now)
        }
        // One that has not been started again yet will be of the new version anyway.
        let isStarted = under.readyBy != nil
        under.remaining = slots.indices.filter { isStarted || $0 != under.current }
        rolling = under
        return [.log(.info, "restarting the workers one by one, once more")]
    }

    private mutating func replaceNext(_ now: LoopInstant) -> [Action] {
        while let id = rolling?.remaining.first {
            rolling?.remaining.removeFirst()
            // Others have ended for good, or are started again anyway.
            guard slots[id].state == .starting || slots[id].state == .serving else { continue }
            rolling?.current = id
            rolling?.readyBy = nil
            slots[id].state = .retiring(killAt: now.advanced(by: options.stopTimeout))
            return [send(.sigterm, id)]
        }
        rolling = nil
        return [.log(.info, "all workers have been restarted")]
    }

    private mutating func breakOffRolling(at id: Int, _ reason: String) -> [Action] {
        guard let under = rolling, under.current == id else { return [] }
        rolling = nil
        let left =
            under.remaining.isEmpty
            ? "none" : under.remaining.map(String.init).joined(separator: ", ")
        return [
            .log(
                .error,
                "the restart is broken off: the new worker \(id) \(reason); not restarted: \(left)")
        ]
    }

    // MARK: Time

    private mutating func timeout(_ now: LoopInstant) -> [Action] {
        var actions: [Action] = []
        for id in slots.indices {
            switch slots[id].state {
            case .waiting(let until) where until <= now:
                slots[id].state = .launching
                actions.append(.start(id))
            case .retiring(let killAt?) where killAt <= now:
                slots[id].state = .retiring(killAt: nil)
                actions += kill(id, after: options.stopTimeout)
            default:
                break
            }
        }
        if let id = rolling?.current, let readyBy = rolling?.readyBy, readyBy <= now {
            actions += breakOffRolling(at: id, "was not ready within \(options.readyTimeout)")
        }
        return actions + killAtDeadline(now)
    }

    private mutating func killAtDeadline(_ now: LoopInstant) -> [Action] {
        guard case .stopping(var stop) = mode, let killAt = stop.killAt, killAt <= now else {
            return []
        }
        stop.killAt = nil
        mode = .stopping(stop)
        let limit = stop.isForced ? SupervisorMachine.forceTimeout : options.stopTimeout
        return slots.indices.filter { slots[$0].runs }.flatMap { kill($0, after: limit) }
    }

    private func kill(_ id: Int, after limit: Duration) -> [Action] {
        [
            .log(.warning, "\(name(id)) has not ended within \(limit) and is killed"),
            .send(SupervisorMachine.kill, id),
        ]
    }

    // MARK: Odds and ends

    private mutating func announceIfAllReady() -> [Action] {
        guard !wasAllReady, case .running = mode,
            slots.allSatisfy({ $0.state == .serving || $0.state == .ended }),
            slots.contains(where: { $0.state == .serving })
        else { return [] }
        wasAllReady = true
        return [.allReady]
    }

    private func sendToAll(_ signal: Signal) -> [Action] {
        slots.indices.filter { slots[$0].runs }.map { .send(signal, $0) }
    }

    /// Asks a worker to end.
    private mutating func send(_ signal: Signal, _ id: Int) -> Action {
        slots[id].askedBy = signal
        return .send(signal, id)
    }

    private func name(_ id: Int) -> String { "worker \(id) (pid \(slots[id].pid))" }

    static func describe(_ status: ExitStatus) -> String {
        switch status {
        case .exited(0): "has ended"
        case .exited(let code): "exited with \(code)"
        case .signalled(let signal): "was ended by \(signal)"
        case .unknown: "has ended, nobody knows how"
        }
    }
}
