import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, queues: order, limits, taskDone and join, iteration.
@Suite struct QueueTests {
    @Test func itemsComeOutInTheOrderOfPutting_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>()
            for number in 0..<1_000 { try queue.putNowait(number) }
            var taken: [Int] = []
            while !queue.isEmpty { taken.append(try await queue.get()) }
            #expect(taken == Array(0..<1_000))
        }
    }

    @Test func aMaxSizeBelowOneIsNamed_3_7() async throws {
        for misuse in [
            try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Queue<Int>(maxSize: 0, loop: try IOLoop())
            },
            try await #require(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = LifoQueue<Int>(maxSize: -1, loop: try IOLoop())
            },
        ] {
            let text = String(decoding: misuse.standardErrorContent, as: UTF8.self)
            #expect(text.contains("A queue was made with maxSize"))
        }
    }

    @Test func fullAndEmptyFollowTheLimit_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>(maxSize: 2)
            #expect(queue.maxSize == 2)
            #expect(queue.isEmpty && !queue.isFull && queue.count == 0)
            try queue.putNowait(1)
            #expect(!queue.isEmpty && !queue.isFull && queue.count == 1)
            try queue.putNowait(2)
            #expect(!queue.isEmpty && queue.isFull && queue.count == 2)
            _ = try queue.getNowait()
            #expect(!queue.isFull)
        }
    }

    @Test func withoutALimitItIsNeverFull_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>()
            #expect(queue.maxSize == nil)
            for number in 0..<5_000 { try queue.putNowait(number) }
            #expect(!queue.isFull)
            #expect(queue.count == 5_000)
        }
    }

    @Test func nowaitFormsThrowInsteadOfWaiting_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>(maxSize: 1)
            #expect(await syncFailure { try queue.getNowait() } == .empty)
            try queue.putNowait(1)
            #expect(await syncFailure { try queue.putNowait(2) } == .full)
            #expect(try queue.getNowait() == 1)
            #expect(await syncFailure { try queue.getNowait() } == .empty)
        }
    }

    @Test func getWaitsForAPut_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<String>()
            let start = loop.now
            loop.callLater(.seconds(1)) { try queue.putNowait("late") }
            let item = try await queue.get()
            #expect(item == "late")
            #expect(start.duration(to: loop.now) == .seconds(1))
            #expect(queue.isEmpty)
        }
    }

    @Test func putWaitsForAGet_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try await queue.put(0)
            let start = loop.now
            var taken: Int?
            loop.callLater(.seconds(1)) { taken = try queue.getNowait() }
            try await queue.put(1)
            #expect(start.duration(to: loop.now) == .seconds(1))
            #expect(taken == 0)
            #expect(try await queue.get() == 1)
        }
    }

    @Test func gettersAreServedInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let (queue, log) = (Queue<Int>(), Log())
            for getter in ["a", "b", "c"] {
                loop.spawn { log.add("\(getter)\(try await queue.get())") }
            }
            try await loop.turns(2)
            for number in 0..<3 { try queue.putNowait(number) }
            // What was handed over can't be taken by somebody else.
            #expect(await syncFailure { try queue.getNowait() } == .empty)
            try await loop.nextTurn()
            #expect(log.take() == ["a0", "b1", "c2"])
        }
    }

    @Test func puttersAreServedInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let (queue, log) = (Queue<Int>(maxSize: 1), Log())
            try queue.putNowait(0)
            for number in 1...3 {
                loop.spawn { await log.record("put \(number)") { try await queue.put(number) } }
            }
            try await loop.turns(2)
            for number in 0...3 {
                #expect(try queue.getNowait() == number)
                // The room belongs to the one that waits.
                if number < 3 {
                    #expect(await syncFailure { try queue.putNowait(9) } == .full)
                }
                try await loop.nextTurn()
            }
            #expect(log.take() == ["put 1", "put 2", "put 3"])
            #expect(queue.isEmpty)
        }
    }

    @Test func nilIsAnItemLikeOthers_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int?>(maxSize: 1)
            try await queue.put(nil)
            loop.spawn { try await queue.put(1) }
            try await loop.turns(2)
            #expect(try await queue.get() == nil)
            #expect(try await queue.get() == 1)
            loop.callLater(.seconds(1)) { try queue.putNowait(nil) }
            #expect(try await queue.get(timeout: .seconds(2)) == nil)
        }
    }

    @Test func itemsMayBelongToTheLoop_3_7() async throws {
        try await withVirtualLoop { loop in
            final class Room { var guests = 0 }
            let queue = Queue<Room>()
            let room = Room()
            loop.spawn { try await queue.get().guests += 1 }
            try await queue.put(room)
            try await loop.turns(2)
            #expect(room.guests == 1)
        }
    }

    @Test func itemsAreLetGoWhenTheyAreTaken_3_7() async throws {
        try await withVirtualLoop { _ in
            final class Item {}
            for queue in [
                Queue<Item>(), PriorityQueue<Item>(by: { _, _ in false }), LifoQueue<Item>(),
            ] {
                weak var remembered: Item?
                do {
                    let item = Item()
                    remembered = item
                    try queue.putNowait(item)
                }
                #expect(remembered != nil)
                _ = try queue.getNowait()
                #expect(remembered == nil)
            }
        }
    }

    // MARK: taskDone and join

    @Test func taskDoneMoreOftenThanPutIsAnError_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>()
            #expect(await syncFailure { try queue.taskDone() } == .doneTooOften)
            try queue.putNowait(1)
            #expect(queue.unfinishedCount == 1)
            try queue.taskDone()
            #expect(await syncFailure { try queue.taskDone() } == .doneTooOften)
        }
    }

    @Test func joinWaitsForTaskDoneAndNotForGet_3_7() async throws {
        try await withVirtualLoop { loop in
            let (queue, log) = (Queue<Int>(), Log())
            for number in 0..<3 { try queue.putNowait(number) }
            for _ in 0..<2 { loop.spawn { await log.record("joined") { try await queue.join() } } }
            for _ in 0..<3 { _ = try queue.getNowait() }
            try await loop.turns(2)
            try queue.taskDone()
            try queue.taskDone()
            try await loop.turns(2)
            #expect(log.entries.isEmpty)
            try queue.taskDone()
            try await loop.turns(2)
            #expect(log.take() == ["joined", "joined"])
        }
    }

    @Test func joinOnAnEmptyQueueReturnsInTheSameTurn_3_7() async throws {
        try await withVirtualLoop { loop in
            var hasTurned = false
            loop.addCallback { hasTurned = true }
            try await Queue<Int>().join()
            try await Queue<Int>().join(timeout: .zero)
            #expect(!hasTurned)
        }
    }

    @Test(arguments: [Duration.seconds(3), .zero])
    func joinThrowsAfterItsTimeoutAndWorksAgain_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            try queue.putNowait(1)
            let error = await failure { try await queue.join(timeout: timeout) }
            #expect((error as? TimeoutError)?.limit == timeout)
            loop.callLater(.seconds(1)) { try queue.taskDone() }
            try await queue.join(timeout: .seconds(2))
        }
    }

    @Test func itemsOfWaitingPuttersCountForJoinOnceTheyAreIn_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(0)
            loop.spawn { try await queue.put(1) }
            try await loop.turns(2)
            #expect(queue.unfinishedCount == 1)
            _ = try queue.getNowait()
            try queue.taskDone()
            #expect(queue.unfinishedCount == 1)
        }
    }

    // MARK: Iteration and finish

    @Test func iterationTakesItemsUntilTheQueueIsFinishedAndEmpty_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 2)
            loop.spawn {
                for number in 0..<5 { try await queue.put(number) }
                queue.finish()
            }
            var taken: [Int] = []
            for try await number in queue { taken.append(number) }
            #expect(taken == [0, 1, 2, 3, 4])
            for try await _ in queue { Issue.record("A finished queue has no items.") }
        }
    }

    @Test func severalLoopsOverOneQueueShareItsItems_3_7() async throws {
        try await withVirtualLoop { loop in
            let (queue, log) = (Queue<Int>(), Log())
            try await loop.group { group in
                for name in ["a", "b"] {
                    group.spawn {
                        for try await number in queue {
                            log.add("\(name)\(number)")
                            try await loop.sleep(for: .seconds(1))
                        }
                        log.add("\(name) ended")
                    }
                }
                for number in 0..<4 { try await queue.put(number) }
                try await loop.sleep(for: .seconds(60))
                queue.finish()
            }
            #expect(log.take() == ["a0", "b1", "a2", "b3", "a ended", "b ended"])
        }
    }

    @Test func iterationEndsWithAnErrorWhenItsTaskIsCancelled_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            let work = loop.async { for try await _ in queue {} }
            try await loop.turns(2)
            work.cancel()
            #expect(await failure { try await work.value } is CancellationError)
            try queue.putNowait(1)
            #expect(queue.count == 1)
        }
    }

    @Test func finishRefusesPutsAndEndsGetsOnceItIsEmpty() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            try queue.putNowait(1)
            let put = loop.async { try await queue.put(2) }
            try await loop.turns(2)
            queue.finish()
            queue.finish()
            #expect(queue.isFinished)
            #expect(await syncFailure { try await put.value } == .finished)
            #expect(await syncFailure { try await queue.put(3) } == .finished)
            #expect(await syncFailure { try queue.putNowait(3) } == .finished)
            #expect(try await queue.get() == 1)
            #expect(await syncFailure { try await queue.get() } == .finished)
            #expect(await syncFailure { try queue.getNowait() } == .finished)
            try queue.taskDone()
            try await queue.join()
        }
    }

    @Test func finishEndsWaitingGets() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>()
            let get = loop.async { try await queue.get() }
            try await loop.turns(2)
            queue.finish()
            #expect(await syncFailure { try await get.value } == .finished)
        }
    }

    @Test func textFormTellsItemsLimitAndWaiters_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 1)
            for number in 0..<2 { loop.spawn { try await queue.put(number) } }
            try await loop.turns(2)
            #expect(
                "\(queue)"
                    == "Queue<Int>(count: 1, maxSize: 1, getters: 0, putters: 1, unfinished: 1)")
            let lifo = LifoQueue<Int>()
            loop.spawn { _ = try await lifo.get() }
            try await loop.turns(2)
            #expect(
                "\(lifo)" == "LifoQueue<Int>"
                    + "(count: 0, maxSize: none, getters: 1, putters: 0, unfinished: 0)")
        }
    }

    @Test func aProducerAndAConsumerMoveEverythingThroughThreePlaces_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = Queue<Int>(maxSize: 3)
            var taken: [Int] = []
            loop.spawn {
                for try await number in queue {
                    #expect(queue.count <= 3)
                    taken.append(number)
                    try await loop.sleep(for: .milliseconds(number % 3))
                    try queue.taskDone()
                }
            }
            for number in 0..<100 { try await queue.put(number) }
            try await queue.join()
            #expect(taken == Array(0..<100))
        }
    }
}
