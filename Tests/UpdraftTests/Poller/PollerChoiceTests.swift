import Testing
@testable import Updraft
import UpdraftTesting

/// Contract rows A16, H1.
@Suite struct PollerChoiceTests {
    /// Contract row 3.1.52.
    @Test func theBestPollerOfLinuxIsEpoll_H1() throws {
        #expect(PollerChoice.best.resolved == .epoll)
        let best = try PollerChoice.best.makePoller()
        defer { best.close() }
        // In a run with `UPDRAFT_TEST_POLLER` it is what that names.
        #expect(best.name == PollerKind.chosen.rawValue)
        #expect(PollerChoice.allCases.filter(\.isAvailable) == [.best, .epoll, .select])
    }

    /// Any order of what a system has, and of what it lacks.
    @Test(
        "H1: epoll before kqueue before select, whatever the system has",
        arguments: [
            (has: [.select, .kqueue, .epoll, .best], best: .epoll),
            (has: [.best, .epoll, .select], best: .epoll),
            (has: [.best, .select, .kqueue], best: .kqueue),
            (has: [.best, .select], best: .select),
        ] as [(has: [PollerChoice], best: PollerChoice)])
    func epollComesBeforeKqueueBeforeSelect_H1(has: [PollerChoice], best: PollerChoice) {
        #expect(PollerChoice.preferred(among: has) == best)
    }

    /// Contract row 3.1.53.
    @Test(arguments: [PollerChoice.best, .epoll, .select].filter { $0.isTested })
    func aLoopRunsOnThePollerOfItsChoice_A16(_ choice: PollerChoice) async throws {
        try await onFreshThread {
            let name = try IOLoop.run(poller: choice) { loop in
                try await loop.sleep(for: .milliseconds(1))
                return loop.poller.name
            }
            #expect(name == (choice == .best ? PollerKind.chosen.rawValue : choice.rawValue))
        }
    }

    @Test func aChoiceThatTheSystemDoesNotHaveIsAClearError() async throws {
        try await onFreshThread {
            let error = #expect(throws: LoopError.self) { try IOLoop(poller: .kqueue) }
            #expect(error?.code == .pollerUnavailable)
            #expect(error?.message.contains("kqueue") == true)
            #expect(error?.message.contains("epoll") == true)
            #expect(IOLoop.currentIfAny == nil)
            let run = #expect(throws: LoopError.self) {
                try IOLoop.run(poller: .kqueue) { _ in }
            }
            #expect(run?.code == .pollerUnavailable)
            #expect(throws: SystemError.self) { try PollerChoice.kqueue.makePoller() }
        }
    }

    @Test func aPollerOfOnesOwnIsUsed_A16() async throws {
        try await onFreshThread {
            let loop = try IOLoop(poller: try PollerKind.kqueue.make())
            defer { loop.close() }
            #expect(loop.poller.name == "kqueue")
            try loop.runSync { try await loop.sleep(for: .milliseconds(1)) }
        }
    }
}

extension PollerChoice {
    /// `select` is in a process of its own.
    fileprivate var isTested: Bool { self != .select || PollerKind.tested.contains(.select) }
}
