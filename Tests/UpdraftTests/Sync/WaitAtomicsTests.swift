import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract 3.7: beyond the language's own suspension and resumption, and what every wait on the
/// loop costs (`Waiter`), to wait in a lock or queue and to be woken costs no atomics.
@Suite(.countsAtomics) struct WaitAtomicsTests {
    private typealias Step = nonisolated(nonsending) () async throws -> Void

    /// What one wait costs, from its wake-up to the next one's, with the turns of the loop between.
    private nonisolated(nonsending) func cost(
        on loop: IOLoop, _ wait: @escaping Step, _ wake: @escaping () throws -> Void
    ) async throws -> AtomicsCount {
        var woken = 0
        var hasEnded = false
        let waiting = loop.async {
            while !hasEnded {
                try await wait()
                woken += 1
            }
        }
        try await loop.turns(4)
        let before = woken
        var rounds = 0
        let count = try await AtomicsCount.of {
            try wake()
            try await loop.nextTurn()
            try await loop.nextTurn()
            rounds += 1
        }
        #expect(woken - before == rounds)
        hasEnded = true
        waiting.cancel()
        _ = await failure { try await waiting.value }
        return count
    }

    private typealias Wait = (name: String, wait: Step, wake: () throws -> Void)

    /// No wait costs more than a bare one. Out of one list, so that the compiler treats all alike.
    private nonisolated(nonsending) func expect(
        _ waits: [Wait], on loop: IOLoop, costAtMost more: Int = 0
    ) async throws {
        let waiter = Waiter(loop: loop)
        let least: Wait = ("Waiter", { try await waiter.wait() }, { waiter.fire() })
        var bare: AtomicsCount?
        for (name, wait, wake) in [least] + waits {
            let count = try await cost(on: loop, wait, wake)
            if let bare {
                #expect(count.isAtMost(bare, andAtomics: more), "\(name): \(count); \(bare)")
            }
            bare = bare ?? count
        }
    }

    @Test func toWaitForALockCostsNoAtomicsOfItsOwn_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            let semaphore = Semaphore(0)
            let bounded = BoundedSemaphore(1)
            let event = Event()
            let condition = Condition()
            try await lock.acquire()
            try await bounded.acquire()
            let waits: [Wait] = [
                ("Lock", { try await lock.acquire() }, { try lock.release() }),
                ("Semaphore", { try await semaphore.acquire() }, { semaphore.release() }),
                ("BoundedSemaphore", { try await bounded.acquire() }, { try bounded.release() }),
                (
                    "Event", { try await event.wait() },
                    {
                        event.set(); event.clear()
                    }
                ),
                ("Condition", { try await condition.wait() }, { condition.notify() }),
                ("notifyAll", { try await condition.wait() }, { condition.notifyAll() }),
            ]
            try await expect(waits, on: loop)
        }
    }

    @Test func toWaitForAQueueCostsNoAtomicsOfItsOwn_3_7() async throws {
        try await withVirtualLoop { loop in
            let joined = Queue<Int>()
            try joined.putNowait(1)
            let makers: [() -> Queue<Int>] = [
                { Queue(maxSize: 1) }, { PriorityQueue(maxSize: 1) }, { LifoQueue(maxSize: 1) },
            ]
            var waits: [Wait] = [
                (
                    "join", { try await joined.join() },
                    {
                        try joined.taskDone(); try joined.putNowait(1)
                    }
                )
            ]
            for make in makers {
                let (empty, full) = (make(), make())
                try full.putNowait(1)
                waits.append(
                    ("get", { _ = try await empty.get() }, { try empty.putNowait(1) }))
                waits.append(("put", { try await full.put(1) }, { _ = try full.getNowait() }))
            }
            try await expect(waits, on: loop)
        }
    }

    @Test func anObjectIsHandedOverWithoutACount_3_7() async throws {
        final class Item {}
        try await withVirtualLoop { loop in
            let queue = Queue<Item>()
            var item: Item? = Item()
            try await expect(
                [
                    (
                        "get", { item = try await queue.get() },
                        { try queue.putNowait(item.take()!) }
                    )
                ], on: loop)
        }
    }

    /// The timeout's own: what it runs is an object, made, handed over and let go.
    @Test func aWaitWithATimeoutCostsThreeAtomicsMore_3_7() async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(0)
            try await expect(
                [
                    (
                        "Semaphore", { try await semaphore.acquire(timeout: .seconds(100)) },
                        { semaphore.release() }
                    )
                ], on: loop, costAtMost: 3)
        }
    }
}
