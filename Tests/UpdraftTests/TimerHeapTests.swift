import Testing
import UpdraftTesting

@testable import Updraft

/// The heap against a list that is searched from end to end. Contract rows E4, E5, B11.
@Suite struct TimerHeapTests {
    private struct Naive {
        var live: [(deadline: Int64, sequence: Int, timeout: Timeout)] = []

        mutating func takeDue(_ now: Int64) -> [Int] {
            let due = live.filter { $0.deadline <= now }
                .sorted { ($0.deadline, $0.sequence) < ($1.deadline, $1.sequence) }
            live.removeAll { $0.deadline <= now }
            return due.map(\.sequence)
        }
    }

    @Test(arguments: 1...20)
    func agreesWithANaiveListUnderRandomOperations(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var heap = TimerHeap()
        var naive = Naive()
        var ran: [Int] = []
        var now: Int64 = 0
        var sequence = 0
        var dead: [Timeout] = []
        for _ in 0..<3_000 {
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<5:
                sequence += 1
                let number = sequence
                let deadline = now + Int64.random(in: -3...60, using: &random)
                let timeout = heap.add(deadline: deadline) { ran.append(number) }
                naive.live.append((deadline, number, timeout))
            case 5..<8:
                guard let index = naive.live.indices.randomElement(using: &random) else { break }
                let timeout = naive.live.remove(at: index).timeout
                #expect(heap.isPending(timeout))
                let wasLive = heap.remove(timeout) != nil
                #expect(wasLive)
                dead.append(timeout)
            case 8:
                guard let old = dead.randomElement(using: &random) else { break }
                let wasLive = heap.remove(old) != nil
                #expect(!wasLive)
            default:
                now += Int64.random(in: 0...20, using: &random)
                var due = ContiguousArray<Timeout>()
                heap.collectDue(now: now, into: &due)
                ran = []
                for timeout in due {
                    heap.takeDue(timeout)?()
                    #expect(!heap.isPending(timeout))
                }
                dead.append(contentsOf: due)
                #expect(ran == naive.takeDue(now))
            }
            #expect(heap.count == naive.live.count)
            #expect(heap.nextDeadline == naive.live.map(\.deadline).min())
        }
    }

    @Test func aCollectedTimeoutCanStillBeRemoved() {
        var heap = TimerHeap()
        var ran = 0
        let timeout = heap.add(deadline: 1) { ran += 1 }
        var due = ContiguousArray<Timeout>()
        heap.collectDue(now: 1, into: &due)
        #expect(due.count == 1 && heap.count == 0)
        let wasLive = heap.remove(timeout) != nil
        let action = heap.takeDue(timeout)
        #expect(wasLive && action == nil)
    }

    @Test func thousandsOfCancelledSleepsLeaveNothing() async throws {
        try await withLoop { loop in
            for _ in 0..<30 {
                let tasks = (0..<1_000).map { _ in
                    loop.spawn { try await loop.sleep(for: .seconds(3_600)) }
                }
                try await loop.nextTurn()
                #expect(loop.timers.count >= 1_000)
                for task in tasks { task.cancel() }
                for task in tasks { await task.value }
                #expect(loop.timers.count <= 1)
            }
            #expect(loop.taskCount == 1)
        }
    }
}
