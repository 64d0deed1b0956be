import Synchronization
import Testing

@testable import Updraft

/// What other threads hand over to a loop. Contract rows D1-D4.
@Suite struct InboxTests {
    private final class Holder: Sendable {
        let inbox = Inbox<(thread: Int, number: Int)>()
        let wakeUps = Counter()
    }

    private final class Held: Sendable {}

    private func all<Element>(_ inbox: borrowing Inbox<Element>) -> [Element] {
        var taken = inbox.takeAll()
        var all: [Element] = []
        while let element = taken.popFirst() { all.append(element) }
        return all
    }

    @Test func givesOutInTheOrderOfPuttingIn_D1() {
        let inbox = Inbox<Int>()
        for number in 0..<100 {
            let mustWake = inbox.put(number)
            #expect(!mustWake)
        }
        let taken = all(inbox)
        #expect(taken == Array(0..<100))
        let rest = all(inbox)
        #expect(rest.isEmpty)
    }

    @Test func onlyTheFirstOneWakesASleeper_D2() {
        let inbox = Inbox<Int>()
        let (sleeps, first, second) = (inbox.fallAsleep(), inbox.put(1), inbox.put(2))
        #expect(sleeps && first && !second)
        let sleepsThoughFull = inbox.fallAsleep()
        #expect(!sleepsThoughFull)
        inbox.wakeUp()
        let taken = all(inbox)
        #expect(taken == [1, 2])
    }

    @Test func nobodyWakesALoopThatHasWokenByItself_D2() {
        let inbox = Inbox<Int>()
        _ = inbox.fallAsleep()
        inbox.wakeUp()
        let mustWake = inbox.put(1)
        #expect(!mustWake)
    }

    @Test func dropsWhatIsInAndWhatComesOnceItIsClosed_D4() {
        let inbox = Inbox<Held>()
        weak var early: Held?
        weak var late: Held?
        do {
            let (first, second) = (Held(), Held())
            (early, late) = (first, second)
            _ = inbox.put(first)
            inbox.close()
            let mustWake = inbox.put(second)
            #expect(!mustWake)
        }
        #expect(early == nil && late == nil)
        let rest = all(inbox)
        #expect(rest.isEmpty)
        let sleeps = inbox.fallAsleep()
        #expect(!sleeps)
    }

    @Test func freesWhatNobodyTook() {
        weak var left: Held?
        weak var taken: Held?
        do {
            let inbox = Inbox<Held>()
            let (first, second) = (Held(), Held())
            (taken, left) = (first, second)
            _ = inbox.put(first)
            _ = inbox.takeAll()
            _ = inbox.put(second)
        }
        #expect(left == nil && taken == nil)
    }

    @Test func losesNothingOfManyThreadsAndKeepsTheOrderOfEach_D3() async {
        let holder = Holder()
        let each = 20_000
        await withTaskGroup(of: Void.self) { group in
            for thread in 0..<4 {
                group.addTask { @concurrent in
                    for number in 0..<each {
                        if holder.inbox.put((thread, number)) { holder.wakeUps.add() }
                    }
                }
            }
            group.addTask { @concurrent in
                var next = [0, 0, 0, 0]
                var sleeps = 0
                while next.reduce(0, +) < 4 * each {
                    var taken = holder.inbox.takeAll()
                    while let item = taken.popFirst() {
                        #expect(item.number == next[item.thread])
                        next[item.thread] = item.number + 1
                    }
                    // Asleep, it goes on when somebody has woken it, and only then.
                    guard next.reduce(0, +) < 4 * each, holder.inbox.fallAsleep() else { continue }
                    sleeps += 1
                    while holder.wakeUps.value < sleeps { await Task.yield() }
                }
            }
        }
    }
}
