import Synchronization
import Testing
import Updraft
import UpdraftRPC
import UpdraftTesting

/// A method that blocks its loop is named by the watchdog: contract row G2.
@Suite(.timeLimit(.minutes(1))) struct StallTests {
    #if THREAD_SANITIZER
        private static let keepsSignalsBack = true
    #else
        private static let keepsSignalsBack = false
    #endif

    private final class Reports: Sendable {
        private let turns = Mutex<[BlockedTurn]>([])
        func add(_ turn: BlockedTurn) { turns.withLock { $0.append(turn) } }
        func has(_ isWanted: (BlockedTurn) -> Bool) -> Bool {
            turns.withLock { $0.contains(where: isWanted) }
        }
    }

    @Test(.disabled(if: keepsSignalsBack, "ThreadSanitizer keeps signals back"))
    func aMethodThatBlocksIsNamedWithItsPeer_G2() async throws {
        let reports = Reports()
        @Sendable func isWanted(_ turn: BlockedTurn) -> Bool {
            turn.workName == "dig" && turn.peerAddress != nil
                && turn.description.contains(", socket to 127.0.0.1:")
                && turn.description.contains(", in 'dig'")
        }
        try await withPair { server in
            server.register("dig") { () -> Bool in
                let end = ContinuousClock.now.advanced(by: .milliseconds(500))
                while !reports.has(isWanted), ContinuousClock.now < end {}
                return reports.has(isWanted)
            }
        } _: { pair in
            pair.client.loop.setBlockingSignalThreshold(.milliseconds(20)) { reports.add($0) }
            var isReported = false
            while !isReported { isReported = try await pair.client.call("dig") }
        }
    }
}
