import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, locks: Event.
@Suite struct EventTests {
    @Test func setWakesEveryWaiterInOrder_3_7() async throws {
        try await withVirtualLoop { loop in
            let (event, log) = (Event(), Log())
            for number in 0..<3 {
                loop.spawn { await log.record("\(number)") { try await event.wait() } }
            }
            try await loop.turns(2)
            #expect(log.entries.isEmpty)
            event.set()
            #expect(event.isSet)
            try await loop.nextTurn()
            #expect(log.take() == ["0", "1", "2"])
        }
    }

    @Test func waitAfterSetReturnsInTheSameTurn_3_7() async throws {
        try await withVirtualLoop { loop in
            let event = Event()
            event.set()
            var hasTurned = false
            loop.addCallback { hasTurned = true }
            try await event.wait()
            try await event.wait(timeout: .zero)
            #expect(!hasTurned)
        }
    }

    @Test func waitAfterClearWaitsAgain_3_7() async throws {
        try await withVirtualLoop { loop in
            let event = Event()
            event.set()
            event.clear()
            #expect(!event.isSet)
            let start = loop.now
            loop.callLater(.seconds(1)) { event.set() }
            try await event.wait()
            #expect(start.duration(to: loop.now) == .seconds(1))
        }
    }

    @Test func waitThrowsAfterItsTimeoutAndThenWorksAgain_3_7() async throws {
        try await withVirtualLoop { loop in
            let event = Event()
            let start = loop.now
            let error = await failure { try await event.wait(timeout: .seconds(3)) }
            #expect((error as? TimeoutError)?.limit == .seconds(3))
            #expect(start.duration(to: loop.now) == .seconds(3))
            loop.callLater(.seconds(1)) { event.set() }
            try await event.wait(timeout: .seconds(2))
        }
    }

    @Test func settingTwiceIsHarmless_3_7() async throws {
        try await withVirtualLoop { loop in
            let (event, log) = (Event(), Log())
            loop.spawn { await log.record("woken") { try await event.wait() } }
            try await loop.turns(2)
            event.set()
            event.set()
            try await loop.turns(2)
            #expect(log.take() == ["woken"])
            #expect(event.isSet)
        }
    }

    @Test func clearDoesNotWakeAndLaterSetDoes_3_7() async throws {
        try await withVirtualLoop { loop in
            let (event, log) = (Event(), Log())
            loop.spawn { await log.record("woken") { try await event.wait() } }
            try await loop.turns(2)
            event.clear()
            try await loop.turns(2)
            #expect(log.entries.isEmpty)
            event.set()
            try await loop.turns(2)
            #expect(log.take() == ["woken"])
        }
    }

    @Test func clearRightAfterSetTakesNoWakeUpBack_3_7() async throws {
        try await withVirtualLoop { loop in
            let (event, log) = (Event(), Log())
            loop.spawn { await log.record("woken") { try await event.wait() } }
            try await loop.turns(2)
            event.set()
            event.clear()
            try await loop.turns(2)
            #expect(log.take() == ["woken"])
            #expect(!event.isSet)
        }
    }

    @Test(arguments: GivingUp.allCases)
    func aHundredWaitersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let event = Event()
            try await how.waits(100, on: loop) { try await event.wait(timeout: $0) }
            #expect("\(event)" == "Event(clear)")
        }
    }

    @Test func textFormTellsStateAndWaiters_3_7() async throws {
        try await withVirtualLoop { loop in
            let event = Event()
            #expect("\(event)" == "Event(clear)")
            loop.spawn { try await event.wait() }
            try await loop.turns(2)
            #expect("\(event)" == "Event(clear, waiters: 1)")
            event.set()
            #expect("\(event)" == "Event(set)")
        }
    }
}
