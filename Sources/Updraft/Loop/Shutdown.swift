internal import Logging

/// Something on a loop with work that a shutdown lets finish: a server, mostly.
package protocol Drainable: AnyObject {
    /// Takes nothing new, and lets go of what is idle. Called once.
    func beginDrain()

    /// What has begun and has not ended, counted: connections.
    var inFlightCount: Int { get }

    /// What that is and what it waits for, one line each.
    func describeInFlight(linesMax: Int) -> [String]

    /// Waits until nothing is in flight.
    nonisolated(nonsending) func drained() async throws

    /// Ends what is in flight now.
    nonisolated(nonsending) func cut() async
}

/// The shutdown of one loop: the states of `docs/shutdown.md`, and who takes part.
///
/// Contract rows P1-P3.
final class Shutdown {
    /// Where the loop is.
    enum Phase {
        case running
        /// Nothing new is taken; what is in flight has until the deadline.
        case draining
        /// Nothing is in flight any more: it has ended, or was cut.
        case drained
        /// The body has ended: the stop hooks run, then the last callbacks; then the loop closes.
        case finishing
        case finished
    }

    let hooks: StopHooks
    private(set) var phase = Phase.running
    private(set) var limit = Shutdown.defaultLimit
    var report = StopReport()

    private unowned let loop: IOLoop
    private var deadline: LoopInstant?
    private var nextProgress: LoopInstant
    private var members: [any Drainable] = []
    /// Those that wait for the next change of the phase.
    private var waiters: [Waiter] = []

    static let defaultLimit = Duration.seconds(5)
    static let progressInterval = Duration.seconds(1)
    /// Connections that a log line or a list of lines names; the rest is counted.
    private static let shownInLine = 3
    private static let shownInList = 10

    init(_ loop: IOLoop) {
        self.loop = loop
        hooks = StopHooks(loop)
        nextProgress = loop.now
    }

    var isRunning: Bool {
        if case .running = phase { return true }
        return false
    }

    var isDraining: Bool {
        if case .draining = phase { return true }
        return false
    }

    // MARK: Who takes part

    /// From now on the member is drained with the others; at once if that has begun, or is over: a
    /// request to stop that comes while a program starts is not lost.
    func join(_ member: any Drainable) {
        members.append(member)
        if !isRunning { member.beginDrain() }
    }

    func leave(_ member: any Drainable) {
        members.removeAll { $0 === member }
    }

    // MARK: Draining

    /// Begins to drain. While it goes on, a later call can only give it more time.
    func begin(_ signal: Signal?, within limit: Duration) {
        switch phase {
        case .running: break
        case .draining: return extend(to: limit)
        case .drained, .finishing, .finished: return
        }
        self.limit = limit
        deadline = loop.now.advanced(by: limit)
        nextProgress = loop.now.advanced(by: Shutdown.progressInterval)
        report.signal = signal
        logBegin(signal)
        become(.draining)
        for member in members { member.beginDrain() }
        loop.crew?.shutDown(signal, within: limit)
        loop.start(named: "shutdown", below: loop.rootScope) { [self] in await drain() }
    }

    private func extend(to limit: Duration) {
        let later = loop.now.advanced(by: limit)
        guard let deadline, later > deadline else { return }
        self.limit = limit
        self.deadline = later
    }

    private nonisolated(nonsending) func drain() async {
        do {
            if try await waitForMembers() == false { await cutMembers() }
        } catch {
            // All tasks of the loop were cancelled, those of the connections too.
        }
        become(.drained)
    }

    /// - Returns: Whether nothing is in flight any more; false at the deadline.
    private nonisolated(nonsending) func waitForMembers() async throws -> Bool {
        while let busy = members.first(where: { $0.inFlightCount > 0 }) {
            let left = timeToCut
            guard left > .zero else { return false }
            let pause = min(left, max(loop.now.duration(to: nextProgress), .zero))
            do {
                try await withTimeout(pause) { try await busy.drained() }
            } catch is TimeoutError {
                logProgress()
            }
        }
        return true
    }

    private nonisolated(nonsending) func cutMembers() async {
        logCut()
        let members = members.filter { $0.inFlightCount > 0 }
        report.cutConnections += inFlightCount
        // Each gives its tasks a moment to end: all of them the same moment.
        let cuts = members.map { member in loop.async { await member.cut() } }
        for cut in cuts { try? await cut.value }
    }

    private var inFlightCount: Int { members.reduce(0) { $0 + $1.inFlightCount } }

    /// How long the connections have. Where there are hooks, a part of the time is theirs.
    private var timeToCut: Duration {
        guard let deadline else { return .zero }
        return loop.now.duration(to: deadline) - (hooks.isEmpty ? .zero : hookReserve)
    }

    private var hookReserve: Duration { limit / 4 }

    // MARK: The phases

    private func become(_ phase: Phase) {
        self.phase = phase
        let waiters = waiters
        self.waiters = []
        for waiter in waiters { waiter.fire() }
    }

    /// Waits until the shutdown has begun.
    nonisolated(nonsending) func begun() async throws {
        while isRunning { try await change() }
    }

    /// Waits until nothing is in flight, if the shutdown has begun.
    nonisolated(nonsending) func drained() async throws {
        while isDraining { try await change() }
    }

    private nonisolated(nonsending) func change() async throws {
        let waiter = Waiter(loop: loop)
        waiters.append(waiter)
        defer { waiters.removeAll { $0 === waiter } }
        try await waiter.wait(for: .shutdown)
    }

    /// The body has ended: runs what must run before the loop closes. Whatever has happened to the
    /// calling task.
    nonisolated(nonsending) func finish() async -> StopReport {
        // The drain limits itself.
        while isDraining {
            let waiter = Waiter(loop: loop)
            waiters.append(waiter)
            await waiter.waitUncancellably()
        }
        let wasAsked = !isRunning
        let left = deadline.map { loop.now.duration(to: $0) } ?? limit
        let end = loop.now.advanced(by: max(left, hookReserve))
        become(.finishing)
        report.failedHooks += await hooks.run(until: end)
        await loop.runQueuedCallbacks(until: end)
        if wasAsked { report.unsentBytes += await loop.sendLastBytes(until: end) }
        become(.finished)
        return report
    }

    // MARK: Log lines

    private func logBegin(_ signal: Signal?) {
        let reason = signal.map { "on \($0)" } ?? "on request"
        loop.libraryLogger.info(
            "\(place)stopping \(reason): \(connections) to drain within \(limit)")
    }

    private func logProgress() {
        nextProgress = loop.now.advanced(by: Shutdown.progressInterval)
        guard timeToCut > .zero else { return }
        let shown = describeInFlight(linesMax: Shutdown.shownInLine).joined(separator: "; ")
        loop.libraryLogger.info("\(place)still waiting for \(connections): \(shown)")
    }

    private func logCut() {
        loop.libraryLogger.notice("\(place)the time to drain is over, cutting \(connections):")
        for line in describeInFlight(linesMax: Shutdown.shownInList) {
            loop.libraryLogger.notice("\(place)cut: \(line)")
        }
    }

    private func describeInFlight(linesMax: Int) -> [String] {
        var lines: [String] = []
        for member in members where lines.count < linesMax {
            lines += member.describeInFlight(linesMax: linesMax - lines.count)
        }
        let left = inFlightCount - lines.count
        if left > 0 { lines.append("… and \(left) more") }
        return lines
    }

    private var connections: String {
        let count = inFlightCount
        return count == 1 ? "1 connection" : "\(count) connections"
    }

    /// Tells the loops of a crew apart.
    private var place: String {
        (loop.crew?.count ?? 1) > 1 ? "\(loop.name): " : ""
    }
}
