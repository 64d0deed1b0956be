import Testing

@testable import Updraft

/// The queue of what is ready, after a burst.
@Suite struct RingBufferTests {
    private func pass(_ count: Int, through ring: inout RingBuffer<Int>) {
        for number in 0..<count { ring.append(number) }
        for number in 0..<count { #expect(ring.popFirst() == number) }
        #expect(ring.isEmpty && ring.popFirst() == nil)
    }

    @Test func keepsItsOrderWhileItGrowsAndWraps() {
        var ring = RingBuffer<Int>(capacity: 4)
        var (next, expected) = (0, 0)
        for round in 0..<50 {
            for _ in 0...round {
                ring.append(next)
                next += 1
            }
            for _ in 0..<round {
                #expect(ring.popFirst() == expected)
                expected += 1
            }
        }
        #expect(ring.count == 50 && ring.first == expected)
    }

    @Test func aGreatBurstGivesItsMemoryBackAtOnce() {
        var ring = RingBuffer<Int>()
        pass(100_000, through: &ring)
        #expect(ring.capacity == 64)
        pass(3, through: &ring)
    }

    @Test func aBurstGivesItsMemoryBackWhenLittleIsNeededAgain() {
        var ring = RingBuffer<Int>()
        pass(10_000, through: &ring)
        #expect(ring.capacity == 16_384)
        pass(10, through: &ring)
        #expect(ring.capacity == 64)
    }

    @Test func whatIsNeededEveryTurnIsKept() {
        var ring = RingBuffer<Int>()
        for _ in 0..<5 {
            pass(10_000, through: &ring)
            #expect(ring.capacity == 16_384)
        }
    }
}
