import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, queues: waits that end without an item or without room.
@Suite struct QueueTimeoutTests {
    @Test(arguments: [Duration.seconds(3), .zero, .seconds(-1)])
    func getThrowsAfterItsTimeoutAndLosesNoItem_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            let start = loop.now
            let early = loop.async { try await queue.get(timeout: timeout) }
            let patient = loop.async { try await queue.get() }
            let error = await failure { try await early.value }
            #expect((error as? TimeoutError)?.limit == timeout)
            #expect(start.duration(to: loop.now) == max(timeout, .zero))
            try queue.putNowait(7)
            #expect(try await patient.value == 7)
        }
    }

    @Test(arguments: [Duration.seconds(3), .zero, .seconds(-1)])
    func putThrowsAfterItsTimeoutAndPutsNothingIn_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(0)
            let start = loop.now
            let early = loop.async { try await queue.put(1, timeout: timeout) }
            let patient = loop.async { try await queue.put(2) }
            let error = await failure { try await early.value }
            #expect((error as? TimeoutError)?.limit == timeout)
            #expect(start.duration(to: loop.now) == max(timeout, .zero))
            #expect(try await queue.get() == 0)
            #expect(try await queue.get() == 2)
            try await patient.value
            #expect(queue.isEmpty)
            #expect(queue.unfinishedCount == 2)
        }
    }

    @Test func aTimeoutOfZeroDoesNotRefuseWhatIsThere_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>(maxSize: 1)
            try await queue.put(1, timeout: .zero)
            #expect(try await queue.get(timeout: .zero) == 1)
        }
    }

    @Test func aPutPreEmptsTheTimeoutOfAGet_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            loop.callLater(.seconds(1)) { try queue.putNowait(1) }
            #expect(try await queue.get(timeout: .seconds(2)) == 1)
            try await loop.sleep(for: .seconds(5))
            try await queue.put(2)
            #expect(try await queue.get() == 2)
        }
    }

    @Test func aGetPreEmptsTheTimeoutOfAPut_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(1)
            loop.callLater(.seconds(1)) { _ = try queue.getNowait() }
            try await queue.put(2, timeout: .seconds(2))
            try await loop.sleep(for: .seconds(5))
            #expect(try await queue.get() == 2)
        }
    }

    @Test func aServedWaitKeepsNothingUntilItsTimeout_3_7() async throws {
        try await withVirtualLoop { loop in
            final class Item {}
            let queue = Queue<Item>(maxSize: 1)
            weak var remembered: Item?
            try queue.putNowait(Item())
            loop.spawn {
                let item = Item()
                remembered = item
                try await queue.put(item, timeout: .seconds(3_600))
            }
            try await loop.turns(2)
            #expect(remembered != nil)
            for _ in 0..<2 { _ = try queue.getNowait() }
            try await loop.turns(2)
            #expect(remembered == nil)
        }
    }

    @Test(arguments: Ending.allCases)
    func anItemIsNeverLostToAGetThatEndsInItsTurn_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            let outcome = try await race(
                ending, on: loop,
                wait: { timeout in
                    let item = try await queue.get(timeout: timeout)
                    #expect(item == 7)
                }, handOut: { try queue.putNowait(7) })
            #expect(outcome == ending.outcome)
            #expect(queue.isEmpty)
        }
    }

    @Test(arguments: Ending.allCases)
    func anItemIsInTheQueueExactlyIfItsPutSaysSo_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(0)
            var next = 0
            let outcome = try await race(
                ending, on: loop,
                wait: { timeout in
                    next += 1
                    try await queue.put(next, timeout: timeout)
                }, handOut: { _ = try queue.getNowait() })
            #expect(outcome == ending.outcome)
            #expect(try queue.getNowait() == (ending.outcome == ["first"] ? 1 : 2))
        }
    }

    @Test(arguments: GivingUp.allCases)
    func gettersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            try await how.waits(100, on: loop) { _ = try await queue.get(timeout: $0) }
            #expect("\(queue)".contains("getters: 0, putters: 0"))
            try queue.putNowait(1)
            #expect(queue.count == 1)
        }
    }

    @Test(arguments: GivingUp.allCases)
    func puttersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(0)
            try await how.waits(100, on: loop) { try await queue.put(9, timeout: $0) }
            #expect("\(queue)".contains("getters: 0, putters: 0"))
            #expect(try queue.getNowait() == 0)
            #expect(queue.isEmpty)
        }
    }

    /// Producers and consumers that come and go at random: what was put is taken exactly once, in
    /// order.
    @Test(arguments: [1, 2, 3, 4, 5])
    func nothingIsLostOrTakenTwiceWhateverIsCancelled_3_7(seed: UInt64) async throws {
        try await withVirtualLoop { loop in
            var random = SeededGenerator(seed: seed)
            let queue = Queue<Int>(maxSize: 3)
            var put: [Int] = []
            var taken: [Int] = []
            var running: [LoopFuture<Void>] = []
            for number in 0..<2_000 {
                let timeout: Duration? =
                    random.next() % 3 == 0 ? .milliseconds(Int(random.next() % 5)) : nil
                if Bool.random(using: &random) {
                    running.append(
                        loop.async {
                            try await queue.put(number, timeout: timeout)
                            put.append(number)
                        })
                } else {
                    running.append(
                        loop.async { taken.append(try await queue.get(timeout: timeout)) })
                }
                if random.next() % 4 == 0 { running.randomElement(using: &random)?.cancel() }
                if random.next() % 2 == 0 { try await loop.nextTurn() }
                if random.next() % 8 == 0 { try await loop.sleep(for: .milliseconds(1)) }
            }
            for work in running { work.cancel() }
            for work in running { _ = await failure { try await work.value } }
            while !queue.isEmpty { taken.append(try queue.getNowait()) }
            #expect(taken.count > 100)
            #expect(taken.sorted() == put.sorted())
        }
    }
}
