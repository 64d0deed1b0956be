import Testing

@testable import Updraft

/// What waits for a thread of a pool. Contract row S1.
@Suite struct JobQueueTests {
    private let job = BlockingJob(run: { nil }, refuse: { _ in })

    @Test func jobsComeOutInTheirOrderWithoutThoseTakenBack() {
        var queue = JobQueue()
        for ticket in UInt64(1)...6 { queue.append(job, ticket) }
        for ticket in [UInt64(1), 4, 6] { #expect(queue.remove(ticket) != nil) }
        #expect(queue.remove(4) == nil)
        #expect(queue.count == 3)
        var tickets: [UInt64] = []
        while let next = queue.popFirst() { tickets.append(next.ticket) }
        #expect(tickets == [2, 3, 5])
        #expect(queue.remove(2) == nil)
    }

    @Test func ticketsOfJobsTakenBackDoNotPileUp() {
        var queue = JobQueue()
        queue.append(job, 1)
        for ticket in UInt64(2)...100_000 {
            queue.append(job, ticket)
            _ = queue.remove(ticket)
        }
        #expect(queue.order.count < 200)
        #expect(queue.popFirst()?.ticket == 1)
        #expect(queue.popFirst() == nil)
    }
}
