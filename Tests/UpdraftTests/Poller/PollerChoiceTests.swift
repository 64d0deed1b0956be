import Testing
import Updraft
import UpdraftTesting

/// Contract rows A16, H1.
@Suite struct PollerChoiceTests {
    @Test func theBestPollerOfLinuxIsEpoll_H1() throws {
        #expect(PollerChoice.best.resolved == .epoll)
        #expect(try PollerChoice.best.makePoller().name == "epoll")
        #expect(PollerChoice.allCases.filter(\.isAvailable) == [.best, .epoll, .select])
    }

    @Test(arguments: [PollerChoice.best, .epoll, .select])
    func aLoopRunsOnThePollerOfItsChoice_A16(_ choice: PollerChoice) async throws {
        try await onFreshThread {
            let name = try IOLoop.run(poller: choice) { loop in
                try await loop.sleep(for: .milliseconds(1))
                return loop.poller.name
            }
            #expect(name == choice.resolved.rawValue)
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
            let loop = try IOLoop(poller: try SelectPoller())
            defer { loop.close() }
            #expect(loop.poller.name == "select")
            try loop.runSync { try await loop.sleep(for: .milliseconds(1)) }
        }
    }
}
