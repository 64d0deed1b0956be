import CTestAtomics
import Testing
import UpdraftTesting

@testable import Updraft

private final class Item: Comparable {
    let number: Int
    init(_ number: Int) { self.number = number }
    static func < (left: Item, right: Item) -> Bool { left.number < right.number }
    static func == (left: Item, right: Item) -> Bool { left === right }
}

private typealias Step = nonisolated(nonsending) () async throws -> Void

/// Contract 3.7: locks and queues are loop-local, so they cost no atomics.
@Suite(.countsAtomics) struct SyncAtomicsTests {
    /// No step costs more than another: by default, than nothing.
    ///
    /// Out of one list, so that the compiler treats the calls of all alike.
    private nonisolated(nonsending) func expect(
        _ steps: [(String, Step)], costNoMoreThan least: @escaping Step = {}
    ) async throws {
        var bare: AtomicsCount?
        for (name, step) in [("the least", least)] + steps {
            let count = try await AtomicsCount.of(step)
            if let bare { #expect(count.isAtMost(bare), "\(name): \(count); \(bare)") }
            bare = bare ?? count
        }
    }

    @Test func theMeasureSeesAtomicsAndReferenceCounts() async throws {
        var number: Int32 = 0
        let empty = AtomicsCount.of {}
        #expect(empty.isNone, "\(empty)")
        let added = AtomicsCount.of { ta_add_atomically(&number) }
        #expect(added.atomics == 1 && added.retains == 0)
        var items = [Item(1)]
        let copied = AtomicsCount.of { items.append(items[0]) }
        #expect(copied.atomics > 0 && copied.retains > 0)
        let freed = AtomicsCount.of { _ = items.popLast() }
        #expect(freed.atomics > 0 && freed.releases > 0)
    }

    @Test func locksThatAreFreeCostNoAtomics_3_7() async throws {
        try await withVirtualLoop { _ in
            let lock = Lock()
            let semaphore = Semaphore(2)
            let bounded = BoundedSemaphore(2)
            let event = Event()
            let condition = Condition()
            let done = Queue<Int>()
            try await expect([
                (
                    "Lock",
                    {
                        try await lock.acquire(); try lock.release()
                    }
                ),
                (
                    "Lock with a limit",
                    {
                        try await lock.acquire(timeout: .seconds(1))
                        try lock.release()
                    }
                ),
                ("tryAcquire", { if lock.tryAcquire() { try lock.release() } }),
                (
                    "Semaphore",
                    {
                        try await semaphore.acquire(); semaphore.release()
                    }
                ),
                ("its tryAcquire", { if semaphore.tryAcquire() { semaphore.release() } }),
                (
                    "BoundedSemaphore",
                    {
                        try await bounded.acquire(); try bounded.release()
                    }
                ),
                (
                    "Event",
                    {
                        event.set(); try await event.wait(); event.clear()
                    }
                ),
                (
                    "Condition",
                    {
                        condition.notify(); condition.notifyAll()
                    }
                ),
                ("join", { try await done.join() }),
            ])
        }
    }

    /// What a function costs that runs a closure and does something after it.
    private nonisolated(nonsending) func scope(_ body: Step, _ done: inout Int) async throws {
        defer { done += 1 }
        try await body()
    }

    @Test func scopesCostNoMoreThanTheCallOfTheirBody_3_7() async throws {
        try await withVirtualLoop { _ in
            let lock = Lock()
            let semaphore = Semaphore(2)
            let bounded = BoundedSemaphore(2)
            var done = 0
            let body: Step = {}
            try await expect(
                [
                    ("withLock", { try await lock.withLock(body) }),
                    ("withPermit", { try await semaphore.withPermit(body) }),
                    ("bounded withPermit", { try await bounded.withPermit(body) }),
                ], costNoMoreThan: { try await scope(body, &done) })
        }
    }

    private func kinds<Element: Comparable>(of type: Element.Type) -> [(String, Queue<Element>)] {
        [
            ("Queue", Queue<Element>(maxSize: 8)),
            ("PriorityQueue", PriorityQueue<Element>(maxSize: 8)),
            ("LifoQueue", LifoQueue<Element>(maxSize: 8)),
        ]
    }

    @Test(arguments: [0, 1, 5])
    func queuesWithRoomAndItemsCostNoAtomics_3_7(count: Int) async throws {
        try await withVirtualLoop { _ in
            for (name, queue) in kinds(of: Int.self) {
                for number in 0..<count { try queue.putNowait(number) }
                try await expect([
                    (
                        "\(name)",
                        {
                            try await queue.put(3); _ = try await queue.get()
                        }
                    ),
                    (
                        "\(name), nowait",
                        {
                            try queue.putNowait(3); _ = try queue.getNowait()
                        }
                    ),
                    (
                        "\(name), done",
                        {
                            try queue.putNowait(3); try queue.taskDone()
                            _ = try queue.getNowait()
                        }
                    ),
                    ("\(name), counts", { _ = queue.isEmpty || queue.isFull || queue.count > 9 }),
                ])
            }
        }
    }

    @Test(arguments: [0, 1, 5])
    func objectsPassQueuesWithoutACount_3_7(count: Int) async throws {
        try await withVirtualLoop { _ in
            for (name, queue) in kinds(of: Item.self) {
                for number in 0..<count { try queue.putNowait(Item(number)) }
                var item: Item? = Item(3)
                try await expect([
                    (
                        name,
                        {
                            try await queue.put(item.take()!)
                            item = try await queue.get()
                        }
                    ),
                    (
                        "\(name), nowait",
                        {
                            try queue.putNowait(item.take()!)
                            item = try queue.getNowait()
                        }
                    ),
                ])
            }
        }
    }

    /// But the language looks before each item whether the task is on its loop, which is atomic.
    @Test func aLoopOverAQueueCountsNoReferencesPerItem_3_7() async throws {
        try await withVirtualLoop { _ in
            let queue = Queue<Int>()
            var counts: [AtomicsCount] = []
            for items in [2, 12] {
                counts.append(
                    try await AtomicsCount.of { try await pass(items, through: queue) })
            }
            #expect(counts[0].retains <= 1 && counts[0].releases <= 1, "\(counts)")
            #expect(counts[0].retains == counts[1].retains, "\(counts)")
            #expect(counts[0].releases == counts[1].releases, "\(counts)")
        }
    }

    private nonisolated(nonsending) func pass(_ count: Int, through queue: Queue<Int>) async throws
    {
        for number in 0..<count { try queue.putNowait(number) }
        var left = count
        for try await _ in queue {
            left -= 1
            if left == 0 { break }
        }
    }
}
