import TestSupport
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
                let wasPending = heap.isPending(timeout)
                #expect(wasPending)
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
                    try? heap.takeDue(timeout)?.run()
                    let isPending = heap.isPending(timeout)
                    #expect(!isPending)
                }
                dead.append(contentsOf: due)
                #expect(ran == naive.takeDue(now))
            }
            let (count, next) = (heap.count, heap.nextDeadline)
            #expect(count == naive.live.count)
            #expect(next == naive.live.map(\.deadline).min())
        }
    }

    @Test func aCollectedTimeoutCanStillBeRemoved() {
        var heap = TimerHeap()
        var ran = 0
        let timeout = heap.add(deadline: 1) { ran += 1 }
        var due = ContiguousArray<Timeout>()
        heap.collectDue(now: 1, into: &due)
        let count = heap.count
        #expect(due.count == 1 && count == 0)
        let wasLive = heap.remove(timeout) != nil
        let action = heap.takeDue(timeout)
        #expect(wasLive && action == nil)
    }

    /// Deadlines as they come: around now, all the same, one after the other, and from one end of
    /// time to the other.
    private static func deadline(
        _ kind: Int, _ now: Int64, _ number: Int, _ random: inout SeededGenerator
    ) -> Int64 {
        switch kind {
        case 0: now + Int64.random(in: 0...1_000_000_000, using: &random)
        case 1: now + 30_000_000_000
        case 2: now + 60_000_000_000 + Int64(number)
        case 3: Int64.random(in: .min ... .max, using: &random)
        case 4: now + Int64.random(in: 0...3, using: &random)
        default: Int64.max - Int64(number)
        }
    }

    /// Enough for groups to be parted, cleaned and parted again.
    @Test(arguments: 1...6)
    func agreesWithASortedListOfTensOfThousands_E5(seed: Int) {
        var random = SeededGenerator(seed: UInt64(seed))
        var heap = TimerHeap()
        var live: [Timeout] = []
        var sorted: [Timeout] = []
        var now: Int64 = 0
        for round in 0..<24 {
            let kind = Int.random(in: 0..<6, using: &random)
            for number in 0..<5_000 {
                let deadline = Self.deadline(kind, now, number, &random)
                live.append(heap.add(deadline: deadline) {})
            }
            live.shuffle(using: &random)
            for _ in 0..<Int.random(in: 0..<live.count, using: &random) {
                guard let timeout = live.popLast() else { break }
                let wasLive = heap.remove(timeout) != nil
                #expect(wasLive)
            }
            sorted = live.sorted { $0.precedes($1) }
            let (count, dead, next) = (heap.count, heap.deadKeys, heap.nextDeadline)
            #expect(count == live.count && next == sorted.first?.deadline)
            #expect(dead <= max(512, count), "E4: dead keys are purged")
            let few = heap.nextDeadlines(7)
            #expect(few == sorted.prefix(7).map(\.deadline))

            now += round % 3 == 0 ? 40_000_000_000 : 100_000_000
            var due = ContiguousArray<Timeout>()
            heap.collectDue(now: now, into: &due)
            #expect(due.elementsEqual(sorted.prefix { $0.deadline <= now }))
            live.removeAll { $0.deadline <= now }
            for timeout in due { _ = heap.takeDue(timeout) }
        }
    }

    @Test func aRemovedTimeoutLetsGoOfWhatItHoldsAtOnce_E4() {
        final class Held {}
        var heap = TimerHeap()
        weak var held: Held?
        var timeouts: [Timeout] = []
        for number in 0..<10_000 {
            let object = Held()
            if number == 7_777 { held = object }
            timeouts.append(heap.add(deadline: Int64(number)) { _ = object })
        }
        heap.remove(timeouts[7_777])
        let dead = heap.deadKeys
        #expect(held == nil && dead == 1)
    }

    @Test func aBurstGivesItsMemoryBackThoughOneTimeoutStays() {
        var heap = TimerHeap()
        let early = heap.add(deadline: 1) {}
        var timeouts = (0..<300_000).map { heap.add(deadline: Int64($0) + 10) {} }
        let late = heap.add(deadline: 1_000_000_000) {}
        let full = heap.capacity
        #expect(full >= 300_002)
        var random = SeededGenerator(seed: 3)
        timeouts.shuffle(using: &random)
        for timeout in timeouts.prefix(150_000) { heap.remove(timeout) }
        var due = ContiguousArray<Timeout>()
        heap.collectDue(now: 300_020, into: &due)
        #expect(due.count == 150_001)
        for timeout in due { _ = heap.takeDue(timeout) }
        let (count, left, dead) = (heap.count, heap.capacity, heap.deadKeys)
        #expect(count == 1 && left <= 3 * 4_096 && dead <= 512)
        let (isPast, isThere) = (!heap.isPending(early), heap.isPending(late))
        #expect(isPast && isThere)
    }

    @Test func handlesOfAGoneBurstStayHarmless_E4() {
        var heap = TimerHeap()
        let stays = heap.add(deadline: 0) {}
        let gone = (0..<20_000).map { heap.add(deadline: Int64($0) + 1) {} }
        for timeout in gone { heap.remove(timeout) }
        let fresh = (0..<20_000).map { heap.add(deadline: Int64($0) + 1) {} }
        for timeout in gone {
            let action = heap.remove(timeout)
            #expect(action == nil)
        }
        let count = heap.count
        #expect(count == fresh.count + 1)
        let isThere = heap.isPending(stays)
        #expect(isThere)
    }
}
