import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, queues: Priority and LIFO orders.
@Suite struct QueueOrderTests {
    private func drain<Element>(_ queue: Queue<Element>) throws -> [Element] {
        var taken: [Element] = []
        while !queue.isEmpty { taken.append(try queue.getNowait()) }
        return taken
    }

    @Test(arguments: [1, 2, 3, 4, 1_500])
    func thePriorityQueueGivesTheLeastFirst_3_7(count: Int) async throws {
        try await withVirtualLoop { _ in
            var random = SeededGenerator(seed: UInt64(count))
            let queue = PriorityQueue<Int>()
            // Twice: a queue that was emptied gives its memory back and works on.
            for _ in 0..<2 {
                for number in (0..<count).shuffled(using: &random) { try queue.putNowait(number) }
                #expect(try drain(queue) == Array(0..<count))
            }
        }
    }

    @Test func equalItemsKeepTheirOrderOfPutting_3_7() async throws {
        try await withVirtualLoop { _ in
            var random = SeededGenerator(seed: 9)
            let queue = PriorityQueue<(priority: Int, number: Int)>(by: {
                $0.priority < $1.priority
            })
            for number in 0..<500 {
                try queue.putNowait((priority: Int(random.next() % 4), number: number))
            }
            let taken = try drain(queue)
            let sorted = zip(taken, taken.dropFirst()).allSatisfy { left, right in
                (left.priority, left.number) < (right.priority, right.number)
            }
            #expect(sorted)
            #expect(taken.count == 500)
        }
    }

    @Test func anOrderOfYourOwnMayPutTheGreatestFirst_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = PriorityQueue<Int>(maxSize: 4, by: >)
            for number in [2, 4, 1, 3] { try queue.putNowait(number) }
            #expect(await syncFailure { try queue.putNowait(5) } == .full)
            #expect(try drain(queue) == [4, 3, 2, 1])
        }
    }

    @Test func theLifoQueueGivesTheLatestFirst_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = LifoQueue<Int>()
            for _ in 0..<2 {
                for number in 0..<1_500 { try queue.putNowait(number) }
                #expect(try drain(queue) == (0..<1_500).reversed())
            }
        }
    }

    @Test func theFifoQueueWorksOnAfterItGaveItsMemoryBack() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>()
            for _ in 0..<2 {
                for number in 0..<1_500 { try queue.putNowait(number) }
                #expect(try drain(queue) == Array(0..<1_500))
            }
        }
    }

    @Test func theItemOfAWaitingPutTakesPartInTheOrder_3_7() async throws {
        try await withVirtualLoop { loop in
            let queue = PriorityQueue<Int>(maxSize: 2)
            try queue.putNowait(2)
            try queue.putNowait(3)
            loop.spawn { try await queue.put(1) }
            try await loop.turns(2)
            #expect(try drain(queue) == [1, 2, 3])
        }
    }

    @Test func everyOrderServesWaitingGettersInTurn_3_7() async throws {
        try await withVirtualLoop { loop in
            for queue in [Queue<Int>(), PriorityQueue<Int>(), LifoQueue<Int>()] {
                let log = Log()
                for getter in ["a", "b"] {
                    loop.spawn { log.add("\(getter)\(try await queue.get())") }
                }
                try await loop.turns(2)
                try await queue.put(2)
                try await queue.put(1)
                try await loop.turns(2)
                #expect(log.take() == ["a2", "b1"])
            }
        }
    }

    @Test func anOrderThatUsesItsQueueStopsTheProgram() async {
        let result = await #expect(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            let loop = try IOLoop()
            var queue: PriorityQueue<Int>?
            queue = PriorityQueue(loop: loop) { left, right in
                left + (queue?.count ?? 0) < right
            }
            for number in 0..<3 { try queue?.putNowait(number) }
        }
        let text = String(decoding: result?.standardErrorContent ?? [], as: UTF8.self)
        #expect(text.contains("overlapping accesses") || text.contains("Simultaneous accesses"))
    }
}
