/// Dials a host's addresses as `HappyEyeballs` says, and answers one waiting task.
///
/// It lives on the loop's thread, in callbacks: no task for an attempt.
final class Connector<Connection> {
    /// Begins one attempt. It calls `done` once, maybe before it returns, unless it is abandoned.
    ///
    /// Returns what abandons the attempt.
    typealias Dial = (
        _ address: SocketAddress, _ done: @escaping (Result<Connection, any Error>) -> Void
    ) -> () -> Void

    /// How the connector uses the time.
    struct Limits {
        /// Before the other family is tried too.
        var familyPause = Duration.milliseconds(300)
        /// For each address.
        var attempt = Duration.seconds(10)
    }

    private let loop: IOLoop
    private let addresses: [SocketAddress]
    private let limits: Limits
    private let dial: Dial
    private let discard: (Connection) -> Void
    private var plan: HappyEyeballs
    private var attempts: [Int: Attempt] = [:]
    private var pause: Timeout?
    private let waiter: Waiter
    private var pending: [HappyEyeballs.Action] = []
    private var isPerforming = false
    private var isDone = false
    private var outcome: Connection?
    private(set) var lastError: (any Error)?

    private struct Attempt {
        var abandon: () -> Void = {}
        var limit: Timeout?
        var connection: Connection?
    }

    /// - Parameter discard: Closes a connection that came too late.
    init(
        _ loop: IOLoop, _ addresses: [SocketAddress], limits: Limits = Limits(),
        dial: @escaping Dial, discard: @escaping (Connection) -> Void
    ) {
        self.loop = loop
        self.addresses = addresses
        self.limits = limits
        self.dial = dial
        self.discard = discard
        plan = HappyEyeballs(addresses)
        waiter = Waiter(loop: loop)
    }

    /// Dials until one address answers.
    ///
    /// - Returns: nil if none did; `lastError` says why.
    /// - Throws: `CancellationError` or `TimeoutError`, after every attempt has been given up.
    nonisolated(nonsending) func connect() async throws -> Connection? {
        perform(plan.start())
        do {
            while !isDone { try await waiter.wait(for: .connecting) }
        } catch {
            giveUp()
            throw error
        }
        return outcome
    }

    private func giveUp() {
        perform(plan.giveUp())
        // It may have come while the wait was ending.
        if let outcome { discard(outcome) }
        outcome = nil
    }

    /// In order, whatever an action brings about at once: an attempt may end before it has begun.
    private func perform(_ actions: [HappyEyeballs.Action]) {
        pending += actions
        guard !isPerforming else { return }
        isPerforming = true
        defer { isPerforming = false }
        while let action = pending.first {
            pending.removeFirst()
            switch action {
            case .dial(let index): begin(index)
            case .startTimer: startPause()
            case .stopTimer: endPause()
            case .abandon(let index): abandon(index)
            case .succeed(let index): end(with: attempts.removeValue(forKey: index)?.connection)
            case .fail: end(with: nil)
            }
        }
    }

    private func begin(_ index: Int) {
        attempts[index] = Attempt()
        let address = addresses[index]
        let abandon = dial(address) { [weak self] result in self?.ended(index, result) }
        // The answer may have come at once.
        guard attempts[index] != nil else { return }
        attempts[index]?.abandon = abandon
        attempts[index]?.limit = loop.runLater(limits.attempt) { [weak self] in
            guard let self else { return }
            abandon()
            ended(index, .failure(TimeoutError(after: limits.attempt)))
        }
    }

    private func ended(_ index: Int, _ result: Result<Connection, any Error>) {
        guard var attempt = attempts.removeValue(forKey: index) else {
            if case .success(let connection) = result { discard(connection) }
            return
        }
        if let limit = attempt.limit { loop.removeTimeout(limit) }
        switch result {
        case .success(let connection):
            attempt.connection = connection
            attempt.limit = nil
            attempts[index] = attempt
            perform(plan.connected(index))
        case .failure(let error):
            lastError = error
            perform(plan.failed(index))
        }
    }

    private func abandon(_ index: Int) {
        guard let attempt = attempts.removeValue(forKey: index) else { return }
        if let limit = attempt.limit { loop.removeTimeout(limit) }
        if let connection = attempt.connection { discard(connection) } else { attempt.abandon() }
    }

    private func startPause() {
        pause = loop.runLater(limits.familyPause) { [weak self] in
            guard let self else { return }
            perform(plan.pauseEnded())
        }
    }

    private func endPause() {
        if let pause = pause.take() { loop.removeTimeout(pause) }
    }

    private func end(with connection: Connection?) {
        outcome = connection
        isDone = true
        waiter.fire()
    }
}
