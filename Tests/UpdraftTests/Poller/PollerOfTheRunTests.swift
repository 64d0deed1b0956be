import Testing
import Updraft
import UpdraftTesting

/// Puts the loops of a run with `UPDRAFT_TEST_POLLER` on the poller that it names, unless they name
/// one themselves. `CKeventStandIn` calls it before `main`.
@c(updraft_tests_will_begin)
public func testsWillBegin() {
    guard let kind = PollerKind.named else { return }
    PollerChoice.makeBest { try kind.make() }
}

/// Tests make loops in many ways; in a run with `UPDRAFT_TEST_POLLER` all are on what it names.
/// `SelectProcessTests` runs this suite on select.
@Suite(.timeLimit(.minutes(1))) struct PollerOfTheRunTests {
    @Test func isThatOfLoopsThatNameNone() async throws {
        let name = PollerKind.chosen.rawValue
        try await onFreshThread {
            let loop = try IOLoop()
            #expect(loop.poller.name == name)
            loop.close()
            let ofRun = try IOLoop.run { loop in loop.poller.name }
            #expect(ofRun == name)
        }
        let ofHelper = try await UpdraftTesting.withLoop { loop in loop.poller.name }
        #expect(ofHelper == name)
    }

    @Test func isThatOfSeveralLoops() async throws {
        let name = PollerKind.chosen.rawValue
        try await onFreshThread {
            try IOLoop.run(loops: 2) { loop in #expect(loop.poller.name == name) }
        }
    }

    @Test func isThatOfExitTests() async {
        await #expect(processExitsWith: .success) {
            let loop = try IOLoop()
            precondition(loop.poller.name == PollerKind.chosen.rawValue)
        }
    }

    @Test func isNotThatOfALoopThatNamesAnother() async throws {
        try await onFreshThread {
            let loop = try IOLoop(poller: .epoll)
            defer { loop.close() }
            #expect(loop.poller.name == "epoll")
        }
    }
}
