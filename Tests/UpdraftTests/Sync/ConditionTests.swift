import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, locks: Condition.
@Suite struct ConditionTests {
    /// Tasks that wait, each of which logs its number.
    nonisolated(nonsending) private func waiters(
        _ count: Int, _ condition: Condition, _ log: Log, on loop: IOLoop
    ) async throws {
        for number in 0..<count {
            loop.spawn { await log.record("\(number)") { try await condition.wait() } }
        }
        try await loop.turns(2)
    }

    @Test func notifyWakesInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await waiters(3, condition, log, on: loop)
            for number in 0..<3 {
                condition.notify()
                #expect(log.entries.isEmpty)
                try await loop.nextTurn()
                #expect(log.take() == ["\(number)"])
            }
        }
    }

    @Test func notifyOfNWakesTheFirstN_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await waiters(6, condition, log, on: loop)
            condition.notify(2)
            try await loop.nextTurn()
            #expect(log.take() == ["0", "1"])
            condition.notify(3)
            try await loop.nextTurn()
            #expect(log.take() == ["2", "3", "4"])
            condition.notify(100)
            try await loop.nextTurn()
            #expect(log.take() == ["5"])
        }
    }

    @Test func notifyAllWakesEveryWaiterInOrder_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await waiters(4, condition, log, on: loop)
            condition.notifyAll()
            try await loop.nextTurn()
            #expect(log.take() == ["0", "1", "2", "3"])
        }
    }

    @Test(arguments: [0, -1, Int.min])
    func notifyOfNoneWakesNone_3_7(count: Int) async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await waiters(2, condition, log, on: loop)
            condition.notify(count)
            try await loop.turns(2)
            #expect(log.entries.isEmpty)
        }
    }

    @Test func waitWithATimeoutReturnsTrueWhenNotified_3_7() async throws {
        try await withVirtualLoop { loop in
            let condition = Condition()
            let start = loop.now
            loop.callLater(.seconds(2)) { condition.notify() }
            let isNotified = try await condition.wait(timeout: .seconds(60))
            #expect(isNotified)
            #expect(start.duration(to: loop.now) == .seconds(2))
        }
    }

    @Test(arguments: [Duration.seconds(3), .zero, .seconds(-1)])
    func waitReturnsFalseAfterItsTimeoutAndNotEarlier_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let condition = Condition()
            let start = loop.now
            let isNotified = try await condition.wait(timeout: timeout)
            #expect(!isNotified)
            #expect(start.duration(to: loop.now) == max(timeout, .zero))
        }
    }

    @Test func aNotifyWithoutAWaiterIsNotKept_3_7() async throws {
        try await withVirtualLoop { _ in
            let condition = Condition()
            condition.notify()
            condition.notifyAll()
            let isNotified = try await condition.wait(timeout: .seconds(1))
            #expect(!isNotified)
        }
    }

    @Test func aNotifyAfterTheTimeoutChangesNothing_3_7() async throws {
        try await withVirtualLoop { loop in
            let condition = Condition()
            var isNotified: Bool?
            loop.spawn { isNotified = try await condition.wait(timeout: .seconds(1)) }
            try await loop.sleep(for: .seconds(2))
            condition.notify()
            try await loop.turns(2)
            #expect(isNotified == false)
        }
    }

    @Test func timedOutWaitersDoNotUseUpANotify_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            for (name, timeout) in [("a", 1), ("b", 60), ("c", 1), ("d", 60)] {
                loop.spawn {
                    let isNotified = try await condition.wait(timeout: .seconds(timeout))
                    log.add("\(name) \(isNotified)")
                }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(log.take() == ["a false", "c false"])
            condition.notify(2)
            try await loop.nextTurn()
            #expect(log.take() == ["b true", "d true"])
        }
    }

    @Test func notifyAllSkipsThoseThatTimedOut_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await waiters(1, condition, log, on: loop)
            loop.spawn { log.add("\(try await condition.wait(timeout: .seconds(1)))") }
            try await waiters(1, condition, log, on: loop)
            try await loop.sleep(for: .seconds(2))
            condition.notifyAll()
            try await loop.nextTurn()
            #expect(log.take() == ["false", "0", "0"])
        }
    }

    @Test(arguments: Ending.allCases)
    func aNotifyIsNeverLostToAWaitThatEndsInItsTurn_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let condition = Condition()
            let outcome = try await race(
                ending, on: loop,
                wait: { timeout in
                    guard let timeout else { return try await condition.wait() }
                    let isNotified = try await condition.wait(timeout: timeout)
                    if !isNotified { throw TimeoutError(after: timeout) }
                }, handOut: { condition.notify() })
            #expect(outcome == ending.outcome)
        }
    }

    @Test func aWaiterThatNotifiesWakesTheNext_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            for number in 0..<3 {
                loop.spawn {
                    try await condition.wait()
                    condition.notify()
                    log.add("\(number)")
                }
            }
            try await loop.turns(2)
            condition.notify()
            try await loop.turns(3)
            #expect(log.take() == ["0", "1", "2"])
            #expect(condition.description == "Condition(waiters: 0)")
        }
    }

    @Test func aWaiterThatWaitsAgainIsNotWokenTwiceByOneNotify_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            for number in 0..<2 {
                loop.spawn {
                    try await condition.wait()
                    log.add("\(number)")
                    try await condition.wait()
                    log.add("\(number) again")
                }
            }
            try await loop.turns(2)
            condition.notify(3)
            try await loop.turns(3)
            #expect(log.take() == ["0", "1"])
        }
    }

    @Test(arguments: GivingUp.allCases)
    func aHundredWaitersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            try await how.waits(100, on: loop) { timeout in
                if let timeout {
                    try await condition.wait(timeout: timeout)
                } else {
                    try await condition.wait()
                }
            }
            #expect(condition.description == "Condition(waiters: 0)")
            try await waiters(1, condition, log, on: loop)
            condition.notify()
            try await loop.nextTurn()
            #expect(log.take() == ["0"])
        }
    }

    @Test func anOuterTimeoutThrowsInsteadOfReturningFalse_3_7() async throws {
        try await withVirtualLoop { _ in
            let condition = Condition()
            let error = await failure {
                try await withTimeout(.seconds(1)) {
                    try await condition.wait(timeout: .seconds(2))
                }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(1))
        }
    }

    @Test func textFormTellsTheWaiters_3_7() async throws {
        try await withVirtualLoop { loop in
            let (condition, log) = (Condition(), Log())
            #expect("\(condition)" == "Condition(waiters: 0)")
            try await waiters(2, condition, log, on: loop)
            #expect("\(condition)" == "Condition(waiters: 2)")
            condition.notifyAll()
            #expect("\(condition)" == "Condition(waiters: 0)")
        }
    }
}
