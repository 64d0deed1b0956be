import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows B2-B12 and G4, conformance list 3.1, 1-2, beyond `TurnOrderTests`.
@Suite struct TurnContractTests {
    /// A loop whose polls are recorded, and do not wait: they move the clock.
    private func withRecordedLoop(
        _ body: @escaping @Sendable (IOLoop, ManualClock, PollLog) throws -> Void
    ) async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let clock = ManualClock()
            let loop = try IOLoop(poller: poller, clock: clock)
            defer { loop.close() }
            let log = PollLog()
            poller.onWait = { timeout in
                log.timeouts.append(timeout)
                log.onPoll()
                guard timeout != 0 else { return }
                if timeout > 0 { clock.advance(by: .nanoseconds(timeout)) }
                // Makes the poll end at once.
                loop.remote.addCallback {}
            }
            try body(loop, clock, log)
            poller.onWait = { _ in }
        }
    }

    @Test func callbacksThatHaveRunLeaveNothingToSpinOn_3_1_1() async throws {
        try await withRecordedLoop { loop, _, log in
            for _ in 0..<3 { loop.addCallback {} }
            loop.spawnCallback {}
            loop.spawn {}
            loop.callLater(.milliseconds(50)) { loop.stop() }
            try loop.start()
            #expect(log.timeouts == [50_000_000])
        }
    }

    @Test func whatAHandlerAddsRunsBeforeTheNextPoll_3_1_2() async throws {
        try await withRecordedLoop { loop, _, log in
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            pipe.put()
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                loop.addCallback { loop.stop() }
            }
            try loop.start()
            #expect(log.timeouts.count == 1)
        }
    }

    @Test func aCallbackAddedByACallbackDoesNotWaitInThePoll_3_1_2() async throws {
        try await withRecordedLoop { loop, _, log in
            loop.callLater(.seconds(3_600)) {}
            loop.addCallback { loop.addCallback { loop.addCallback { loop.stop() } } }
            try loop.start()
            #expect(log.timeouts == [0, 0])
        }
    }

    @Test func thePollsTimeoutCountsFromAfterTheCallbacksAndIsNeverNegative_B4() async throws {
        try await withRecordedLoop { loop, clock, log in
            loop.callLater(.milliseconds(10)) {}
            loop.addCallback { clock.advance(by: .milliseconds(4)) }
            // In the second turn the first of two timeouts takes longer than the other has left.
            loop.callLater(.milliseconds(20)) { clock.advance(by: .milliseconds(7)) }
            loop.callLater(.milliseconds(25)) { loop.stop() }
            try loop.start()
            #expect(log.timeouts.filter { $0 >= 0 } == log.timeouts)
            #expect(log.timeouts == [6_000_000, 10_000_000, 0])
        }
    }

    @Test func withoutADeadlineThePollHasNoLimit_B4() async throws {
        try await withRecordedLoop { loop, _, log in
            let remote = loop.remote
            log.onPoll = { remote.stop() }
            try loop.start()
            #expect(log.timeouts == [-1])
        }
    }

    @Test func stopInATaskLetsTheTurnEndWithoutAPoll_B5() async throws {
        try await withRecordedLoop { loop, _, log in
            var order: [String] = []
            loop.spawn {
                order.append("task")
                loop.stop()
            }
            loop.addCallback { order.append("callback") }
            loop.callLater(.zero) { order.append("timeout") }
            try loop.start()
            #expect(order == ["task", "callback", "timeout"])
            #expect(log.timeouts == [])
        }
    }

    @Test func stopInAHandlerServesTheOthersAndOneMorePhaseAndPollsNoMore_B5() async throws {
        try await withRecordedLoop { loop, _, log in
            let pipes = [SystemPipe(), SystemPipe(), SystemPipe()]
            var order: [String] = []
            for pipe in pipes {
                pipe.put()
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    if order.isEmpty {
                        loop.addCallback {
                            order.append("callback")
                            loop.addCallback { order.append("too late") }
                        }
                        loop.callLater(.zero) { order.append("timeout") }
                        loop.stop()
                    }
                    order.append("handler")
                }
            }
            try loop.start()
            #expect(order == ["handler", "handler", "handler", "callback", "timeout"])
            #expect(log.timeouts.count == 1)
            withExtendedLifetime(pipes) {}
        }
    }

    @Test func ofTwoHandlersThatAreReadyTheFirstRemovesTheOther_B7_3_1_26() async throws {
        try await withRecordedLoop { loop, _, log in
            let pipes = [SystemPipe(), SystemPipe()]
            var calls = 0
            for (index, pipe) in pipes.enumerated() {
                pipe.put()
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    calls += 1
                    loop.removeHandler(pipes[1 - index].readEnd)
                    loop.stop()
                }
            }
            try loop.start()
            #expect(calls == 1)
            #expect(loop.metrics.readyDescriptorsLast == 3, "both were fetched, and the waker")
        }
    }

    @Test func capturesAreFreedBeforeThePoll_B12() async throws {
        final class Large {}
        try await withRecordedLoop { loop, _, log in
            weak var inCallback: Large?
            weak var inTimeout: Large?
            weak var inHandler: Large?
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            pipe.put()
            do {
                let (first, second, third) = (Large(), Large(), Large())
                (inCallback, inTimeout, inHandler) = (first, second, third)
                loop.addCallback { _ = first }
                loop.callLater(.zero) { _ = second }
                try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                    loop.removeHandler(descriptor)
                    _ = third
                }
            }
            log.onPoll = {
                #expect(inCallback == nil && inTimeout == nil)
                if log.timeouts.count == 1 {
                    #expect(inHandler != nil)
                } else {
                    #expect(inHandler == nil)
                    loop.stop()
                }
            }
            try loop.start()
            #expect(log.timeouts.count == 2)
        }
    }
}

/// The timeouts of polls, in nanoseconds, and what to do before each.
private final class PollLog {
    var timeouts: [Int64] = []
    var onPoll: () -> Void = {}
}
