import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows E1-E9, B10, B11, in virtual time.
@Suite struct TimeoutTests {
    @Test func runsAtItsDeadlineAndNeverEarlier_E9() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var late: [Duration] = []
            for delay in [Duration.nanoseconds(1), .microseconds(7), .seconds(3), .seconds(86_400)]
            {
                loop.callLater(delay) { late.append(start.duration(to: loop.now) - delay) }
            }
            try await loop.sleep(for: .seconds(90_000))
            #expect(late == [.zero, .zero, .zero, .zero])
        }
    }

    @Test func isNeverEarlyInRealTime_E9() async throws {
        try await withLoop { loop in
            for _ in 0..<20 {
                let start = loop.now
                try await loop.sleep(for: .microseconds(700))
                #expect(start.duration(to: loop.now) >= .microseconds(700))
            }
        }
    }

    @Test func equalDeadlinesRunInTheirOrderOfInsertion_B11() async throws {
        try await withVirtualLoop { loop in
            var order: [Int] = []
            let when = loop.now.advanced(by: .seconds(1))
            for number in 0..<200 { loop.callAt(when) { order.append(number) } }
            try await loop.sleep(for: .seconds(2))
            #expect(order == Array(0..<200))
        }
    }

    @Test func runsInDeadlineOrderWhateverTheOrderOfInsertion_B11() async throws {
        try await withVirtualLoop { loop in
            var random = SeededGenerator(seed: 11)
            var order: [Int] = []
            for delay in (0..<500).shuffled(using: &random) {
                loop.callLater(.milliseconds(delay)) { order.append(delay) }
            }
            try await loop.sleep(for: .seconds(1))
            #expect(order == Array(0..<500))
        }
    }

    @Test func aTimeoutAddedByATimeoutRunsInALaterTurn_B10() async throws {
        try await withVirtualLoop { loop in
            var log: [String] = []
            loop.callLater(.zero) {
                log.append("first")
                loop.callLater(.seconds(-1)) { log.append("added") }
                loop.addCallback { log.append("callback between") }
            }
            loop.callLater(.zero) { log.append("second") }
            try await loop.sleep(for: .seconds(1))
            #expect(log == ["first", "second", "callback between", "added"])
        }
    }

    @Test func oneDueTimeoutRemovesAnotherDueOne_B10() async throws {
        try await withVirtualLoop { loop in
            var ran: [String] = []
            var second: Timeout?
            loop.callLater(.seconds(1)) {
                ran.append("first")
                if let second { loop.removeTimeout(second) }
            }
            second = loop.callLater(.seconds(1)) { ran.append("second") }
            loop.callLater(.seconds(1)) { ran.append("third") }
            try await loop.sleep(for: .seconds(2))
            #expect(ran == ["first", "third"])
        }
    }

    /// Many more than are taken out at once: those that are still in the heap, too, can be removed,
    /// and what is added meanwhile comes in a later turn, however early its deadline.
    @Test func aRoundOfManyRunsWhatWasDueAtItsBeginAndNothingElse_E7_B10() async throws {
        try await withVirtualLoop { loop in
            var ran: [Int] = []
            var timeouts: [Timeout] = []
            var turns: Set<UInt64> = []
            for number in 0..<300 {
                let timeout = loop.callLater(.milliseconds(10)) {
                    ran.append(number)
                    turns.insert(loop.metrics.turns)
                    guard number == 10 else { return }
                    for other in [5, 11, 250] { loop.removeTimeout(timeouts[other]) }
                    loop.callLater(.seconds(-1)) { ran.append(1_000) }
                }
                timeouts.append(timeout)
            }
            try await loop.sleep(for: .milliseconds(20))
            #expect(ran == (0..<300).filter { $0 != 11 && $0 != 250 } + [1_000])
            #expect(turns.count == 1)
        }
    }

    @Test func aPastDeadlineNeverRunsInsideTheCall_E7() async throws {
        try await withVirtualLoop { loop in
            var ran = false
            loop.callAt(LoopInstant(nanoseconds: Int64.min)) { ran = true }
            loop.callLater(.seconds(-5)) { ran = true }
            #expect(!ran)
            try await loop.turns(2)
            #expect(ran)
        }
    }

    @Test func removalAfterRunningIsHarmlessAlsoWhenThePlaceIsReused_E4() async throws {
        try await withVirtualLoop { loop in
            var ran = 0
            let old = loop.callLater(.zero) { ran += 1 }
            try await loop.turns(2)
            loop.callLater(.seconds(1)) { ran += 1 }
            loop.removeTimeout(old)
            loop.removeTimeout(old)
            try await loop.sleep(for: .seconds(2))
            #expect(ran == 2)
        }
    }

    @Test func aTimeoutThatRemovesItselfIsHarmless_E4() async throws {
        try await withVirtualLoop { loop in
            var ran = 0
            var own: Timeout?
            own = loop.callLater(.zero) {
                ran += 1
                if let own { loop.removeTimeout(own) }
            }
            loop.callLater(.milliseconds(1)) { ran += 1 }
            try await loop.sleep(for: .seconds(1))
            #expect(ran == 2)
        }
    }

    @Test func thousandsOfAddsAndRemovesLeaveOnlyTheLiveOnes_E4() async throws {
        try await withVirtualLoop { loop in
            var ran = 0
            var handles: [Timeout] = []
            for round in 0..<4 {
                for number in 0..<2_000 {
                    handles.append(
                        loop.callLater(.milliseconds(number % 97 + round)) { ran += 1 })
                }
                for (index, handle) in handles.enumerated() where index % 4 != 0 {
                    loop.removeTimeout(handle)
                }
            }
            try await loop.sleep(for: .seconds(1))
            #expect(ran == 2_000)
        }
    }

    @Test func farDeadlinesDoNotOverflow() async throws {
        try await withVirtualLoop { loop in
            var ran = false
            let far = loop.callLater(.seconds(Int64.max)) { ran = true }
            loop.callAt(LoopInstant(nanoseconds: Int64.max)) { ran = true }
            try await loop.sleep(for: .seconds(86_400 * 365))
            #expect(!ran)
            loop.removeTimeout(far)
        }
    }

    @Test func sleepEndsOnCancellationAndTakesItsTimeoutOut() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var error: (any Error)?
            let task = loop.spawn {
                error = await failure { try await loop.sleep(for: .seconds(3_600)) }
            }
            try await loop.nextTurn()
            task.cancel()
            await task.value
            #expect(error is CancellationError)
            #expect(start.duration(to: loop.now) == .zero)
        }
    }

    /// Takes a timeout along when it goes away, and leaves others behind.
    private final class Session {
        let loop: IOLoop
        let other: Timeout

        init(_ loop: IOLoop) {
            self.loop = loop
            other = loop.callLater(.seconds(1)) { Issue.record("was to be removed") }
        }

        deinit {
            loop.removeTimeout(other)
            for _ in 0..<100 { loop.callLater(.seconds(2)) {} }
        }
    }

    /// Shows with optimisation: without it the compiler keeps nothing of the heap in registers.
    @Test func whatGoesAwayWithARemovedTimeoutMayRemoveAndAddOthers_E4() async throws {
        try await withVirtualLoop { loop in
            var timeouts: [Timeout] = []
            for _ in 0..<50 {
                let session = Session(loop)
                timeouts.append(loop.callLater(.seconds(3)) { _ = session })
            }
            for timeout in timeouts { loop.removeTimeout(timeout) }
            var ran: [Int] = []
            for delay in (0..<100).reversed() {
                loop.callLater(.milliseconds(delay)) { ran.append(delay) }
            }
            try await loop.sleep(for: .seconds(4))
            #expect(ran == Array(0..<100))
        }
    }

    @Test func deadlinesAtTheEndsOfTimeAreHarmless_E7() async throws {
        try await withVirtualLoop { loop in
            var ran = false
            loop.callLater(.zero) {
                loop.callAt(LoopInstant(nanoseconds: .min)) { ran = true }
            }
            loop.callLater(.seconds(Int64.max)) { Issue.record("never") }
            try await loop.sleep(for: .seconds(1))
            #expect(ran)
        }
    }
}
