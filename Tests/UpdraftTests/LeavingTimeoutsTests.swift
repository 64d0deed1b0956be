import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// `removeTimeout` while so many timeouts are pending that each has to be fetched from memory
/// first. Contract rows E4, B10.
@Suite struct LeavingTimeoutsTests {
    private final class Held {
        let onDeinit: () -> Void

        init(_ onDeinit: @escaping () -> Void) {
            self.onDeinit = onDeinit
        }

        deinit { onDeinit() }
    }

    private static let countMax = IOLoop.timeoutsInCacheMax

    private func addMany(_ loop: IOLoop, _ count: Int = countMax + 100) -> [Timeout] {
        (0..<count).map { _ in loop.callLater(.seconds(3_600)) { Issue.record("not removed") } }
    }

    private func removeAll(_ timeouts: [Timeout], _ loop: IOLoop) {
        for timeout in timeouts { loop.removeTimeout(timeout) }
    }

    /// Adds as many that hold something, and counts what is let go of.
    private func addHolders(
        _ count: Int, _ loop: IOLoop, _ onDeinit: @escaping (Int) -> Void
    ) -> [Timeout] {
        (0..<count).map { number in
            let held = Held { onDeinit(number) }
            return loop.callLater(.seconds(60)) { withExtendedLifetime(held) {} }
        }
    }

    @Test func whatARemovedOneHoldsIsLetGoOfAtMostSixteenCallsLater_E4() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            var gone: [Int] = []
            let holders = addHolders(40, loop) { gone.append($0) }
            for (index, timeout) in holders.enumerated() {
                loop.removeTimeout(timeout)
                #expect(gone.count >= index - 15)
            }
            #expect(gone.count < 40, "some are being fetched")
            try await loop.turns(1)
            #expect(gone == Array(0..<40), "in the order of the calls")
            removeAll(many, loop)
        }
    }

    @Test func amongFewItIsLetGoOfAtOnce_E4() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop, Self.countMax - 100)
            var gone = 0
            for timeout in addHolders(40, loop, { _ in gone += 1 }) {
                let before = gone
                loop.removeTimeout(timeout)
                #expect(gone == before + 1)
            }
            removeAll(many, loop)
        }
    }

    @Test func metricsAndDumpCountThemNoMore_E4() async throws {
        try await withVirtualLoop { loop in
            let before = loop.metrics.timeoutsPending
            let many = addMany(loop)
            for timeout in many.prefix(5) { loop.removeTimeout(timeout) }
            #expect(loop.metrics.timeoutsPending == before + many.count - 5)
            for timeout in many.prefix(10) { loop.removeTimeout(timeout) }
            #expect(loop.dump().contains("timeouts: \(before + many.count - 10)\n"))
            removeAll(many, loop)
            #expect(loop.metrics.timeoutsPending == before)
        }
    }

    @Test func aDueOneThatAnotherDueOneRemovesDoesNotRun_B10() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            var ran: [Int] = []
            var timeouts: [Timeout] = []
            for number in 0..<200 {
                let timeout = loop.callLater(.seconds(1)) {
                    ran.append(number)
                    // The next, and one that has not been taken out yet.
                    for other in [number + 1, number + 100] where number < 100 && number % 50 == 0 {
                        loop.removeTimeout(timeouts[other])
                    }
                }
                timeouts.append(timeout)
            }
            try await loop.sleep(for: .seconds(2))
            let removed = [1, 51, 100, 150]
            #expect(ran == (0..<200).filter { !removed.contains($0) })
            removeAll(many, loop)
        }
    }

    @Test func aNearestOneThatWasRemovedDoesNotWakeTheLoop_E4() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            var turns = loop.metrics.turns
            try await loop.sleep(for: .seconds(5))
            let usual = loop.metrics.turns - turns

            let nearest = loop.callLater(.seconds(1)) { Issue.record("removed") }
            turns = loop.metrics.turns
            loop.removeTimeout(nearest)
            try await loop.sleep(for: .seconds(5))
            #expect(loop.metrics.turns - turns == usual)

            // In a later turn than the one that ran timeouts: it is among those to look at then.
            try await loop.turns(1)
            loop.removeTimeout(loop.callLater(.zero) { Issue.record("removed") })
            #expect(!loop.hasDueTimeout)
            removeAll(many, loop)
        }
    }

    /// From more than that many to fewer: nobody is left behind.
    @Test func whereThereAreFewAgainNothingIsHeldAnyLonger_E4() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop, Self.countMax - 20)
            var gone: [Int] = []
            for (index, timeout) in addHolders(40, loop, { gone.append($0) }).enumerated() {
                loop.removeTimeout(timeout)
                #expect(gone == Array(0..<gone.count), "in the order of the calls")
                #expect(gone.count >= index - 15)
            }
            #expect(gone.count == 40)
            removeAll(many, loop)
        }
    }

    /// What a timeout has taken back goes away in the same step, so that the loop does not sleep
    /// past what comes of it.
    @Test(arguments: [true, false])
    func aLoopIsStoppedByWhatGoesAway_B5(fromTimeout: Bool) throws {
        let clock = ManualClock()
        let loop = try IOLoop(poller: VirtualPoller(clock: clock), clock: clock)
        defer { loop.close() }
        let many = addMany(loop)
        let holder = addHolders(1, loop) { _ in loop.stop() }[0]
        if fromTimeout {
            loop.callLater(.zero) { loop.removeTimeout(holder) }
        } else {
            loop.addCallback { loop.removeTimeout(holder) }
        }
        let turns = loop.metrics.turns
        try loop.start()
        #expect(loop.metrics.turns == turns + 1)
        removeAll(many, loop)
    }

    @Test func theLocalsOfOnesThatATimeoutRemovedAreFreedBeforeThePoll_B12() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            weak var local: Local?
            let holder = Local.$current.withValue(Local()) {
                local = Local.current
                return loop.callLater(.seconds(60)) { Issue.record("removed") }
            }
            #expect(local != nil)
            loop.withoutContext {
                _ = loop.callLater(.seconds(1)) { loop.removeTimeout(holder) }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(local == nil)
            removeAll(many, loop)
        }
    }

    private final class Local: Sendable {
        @TaskLocal static var current: Local?
    }

    /// Whose end takes a timeout back.
    private final class Remover: @unchecked Sendable {
        @TaskLocal static var current: Remover?
        let remove: () -> Void

        init(_ remove: @escaping () -> Void) {
            self.remove = remove
        }

        deinit { remove() }
    }

    /// Locals go away as the last step before the poll, and may bring others down with them.
    @Test func theLocalsOfOnesThatALocalRemovedAreFreedBeforeThePollToo_B12() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            weak var local: Local?
            let inner = Local.$current.withValue(Local()) {
                local = Local.current
                return loop.callLater(.seconds(60)) { Issue.record("removed") }
            }
            let outer = Remover.$current.withValue(Remover { loop.removeTimeout(inner) }) {
                loop.callLater(.seconds(60)) { Issue.record("removed") }
            }
            loop.withoutContext {
                _ = loop.callLater(.seconds(1)) { loop.removeTimeout(outer) }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(local == nil)
            removeAll(many, loop)
        }
    }

    /// A cancelled task takes one back, and another task waits for what goes away with it.
    @Test func aLoopThatClosesEndsWhoWaitsForWhatGoesAway_E4() throws {
        let loop = try IOLoop()
        let many = addMany(loop)
        var gone: CheckedContinuation<Void, Never>?
        var hasEnded = false
        let holder = addHolders(1, loop) { _ in gone?.resume() }[0]
        try loop.runSync {
            loop.spawn {
                defer { loop.removeTimeout(holder) }
                try await loop.sleep(for: .seconds(60))
            }
            loop.spawn {
                await withCheckedContinuation { gone = $0 }
                hasEnded = true
            }
            try await loop.turns(2)
        }
        loop.close()
        #expect(hasEnded && many.count > Self.countMax)
    }

    @Test func whatGoesAwayWithOneMayRemoveAndAddOthers_E4() async throws {
        try await withVirtualLoop { loop in
            let many = addMany(loop)
            var ran = 0
            let others = (0..<40).map { _ in loop.callLater(.seconds(9)) { ran += 1 } }
            let holders = addHolders(40, loop) { number in
                loop.removeTimeout(others[number])
                loop.callLater(.seconds(8)) { ran += 100 }
            }
            removeAll(holders, loop)
            try await loop.sleep(for: .seconds(10))
            #expect(ran == 4_000)
            removeAll(many, loop)
        }
    }

    @Test func removingAHandleTwiceIsHarmlessAndSoIsOneThatRan_E4() async throws {
        try await withVirtualLoop { loop in
            let ranAlready = loop.callLater(.zero) {}
            try await loop.turns(2)
            let before = loop.metrics.timeoutsPending
            let many = addMany(loop)
            for _ in 0..<3 {
                loop.removeTimeout(many[0])
                loop.removeTimeout(ranAlready)
            }
            #expect(loop.metrics.timeoutsPending == before + many.count - 1)
            removeAll(many, loop)
            #expect(loop.metrics.timeoutsPending == before)
        }
    }

    @Test func aLoopThatClosesLetsGoOfThemToo_E4() throws {
        var gone = 0
        let loop = try IOLoop()
        let many = addMany(loop)
        for timeout in addHolders(10, loop, { _ in gone += 1 }) { loop.removeTimeout(timeout) }
        #expect(gone == 0 && many.count > Self.countMax)
        loop.close()
        #expect(gone == 10)
    }
}
