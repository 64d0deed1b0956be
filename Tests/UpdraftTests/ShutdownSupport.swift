import TestSupport
import UpdraftTesting

@testable import Updraft

/// Work in flight that a test counts, without sockets.
final class FakeServer: Drainable {
    private let loop: IOLoop
    private(set) var events: [String] = []
    private(set) var inFlightCount: Int
    private let ended: Waiter
    /// What `events` goes on to.
    var note: (String) -> Void = { _ in }

    init(_ loop: IOLoop, inFlight: Int) {
        self.loop = loop
        inFlightCount = inFlight
        ended = Waiter(loop: loop)
        loop.shutdown.join(self)
    }

    private func add(_ event: String) {
        events.append(event)
        note(event)
    }

    func end(_ count: Int = 1) {
        inFlightCount -= count
        if inFlightCount == 0 {
            add("ended")
            ended.fire()
        }
    }

    func beginDrain() { add("drain") }

    func describeInFlight(linesMax: Int) -> [String] {
        (0..<min(inFlightCount, linesMax)).map { "connection \($0): waits for a time" }
    }

    nonisolated(nonsending) func drained() async throws {
        if inFlightCount > 0 { try await ended.wait() }
    }

    nonisolated(nonsending) func cut() async { add("cut") }
}

/// Notes in the order in which they come, with the virtual time that has passed.
final class Journal {
    private let loop: IOLoop
    private let start: LoopInstant
    private(set) var lines: [String] = []

    init(_ loop: IOLoop) {
        self.loop = loop
        start = loop.now
    }

    var elapsed: Duration { start.duration(to: loop.now) }

    func add(_ text: String) { lines.append("\(text) at \(elapsed)") }
}

extension IOLoop {
    /// Runs `body` as that of `IOLoop.run`, and returns what the end was like.
    nonisolated(nonsending) func failureOfFinishing(
        _ body: nonisolated(nonsending) () async throws -> Void
    ) async -> (any Error)? {
        await failure { try await finishing(body) }
    }
}
