import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows B1-B5 and docs/turn-order.md.
@Suite struct TurnOrderTests {
    @Test func aTurnIsCallbacksTimeoutsFlushPollHandlers_B1() async throws {
        try await onFreshThread {
            var log: [String] = []
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            let pipe = SystemPipe()
            pipe.put()
            let stream = try IOStream(SinkTransport { _ in log.append("flush") }, loop: loop)
            poller.onWait = { _ in log.append("poll") }
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                log.append("handler")
                loop.removeHandler(descriptor)
                loop.stop()
            }
            loop.callLater(.zero) { log.append("timeout") }
            loop.addCallback {
                log.append("callback")
                loop.addCallback { log.append("callback of the next turn") }
                try stream.enqueue("x".bytes)
            }
            try loop.start()
            #expect(
                log == [
                    "callback", "timeout", "flush", "poll", "handler", "callback of the next turn",
                ])
        }
    }

    @Test func theStopCheckComesAfterTimeoutsAndBeforeThePoll_B5() async throws {
        for stopper in ["callback", "timeout"] {
            try await onFreshThread {
                var log: [String] = []
                let poller = try RecordingPoller()
                let loop = try IOLoop(poller: poller)
                defer { loop.close() }
                poller.onWait = { _ in log.append("poll") }
                let step = { (name: String, isStopper: Bool) in
                    log.append(name)
                    if isStopper { loop.stop() }
                }
                loop.addCallback { step("callback", stopper == "callback") }
                loop.addCallback { step("second callback", false) }
                loop.callLater(.zero) { step("timeout", stopper == "timeout") }
                loop.callLater(.zero) { step("second timeout", false) }
                try loop.start()
                #expect(log == ["callback", "second callback", "timeout", "second timeout"])
            }
        }
    }

    @Test func whatIsWrittenInTheLastTurnIsStillSent() async throws {
        try await onFreshThread {
            var sent = 0
            let loop = try IOLoop()
            defer { loop.close() }
            let stream = try IOStream(SinkTransport { sent += $0.count }, loop: loop)
            loop.addCallback {
                loop.stop()
                try stream.enqueue("goodbye".bytes)
            }
            try loop.start()
            #expect(sent == 7)
        }
    }

    @Test func stopFromAHandlerLetsTheOtherHandlersAndOneMorePhaseRun_B5() async throws {
        try await onFreshThread {
            var handled = 0
            var log: [String] = []
            let loop = try IOLoop()
            defer { loop.close() }
            let pipes = [SystemPipe(), SystemPipe(), SystemPipe()]
            for pipe in pipes {
                pipe.put()
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    pipe.take()
                    handled += 1
                    if handled == 1 {
                        loop.stop()
                        loop.addCallback { log.append("callback") }
                        loop.callLater(.zero) { log.append("timeout") }
                    }
                }
            }
            try loop.start()
            #expect(handled == 3)
            #expect(log == ["callback", "timeout"])
        }
    }

    @Test func callbacksAreASnapshot_B2() async throws {
        try await withLoop { loop in
            var log: [String] = []
            let pipe = SystemPipe()
            pipe.put()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                pipe.take()
                log.append("handler")
            }
            func again(_ left: Int) {
                log.append("callback")
                if left > 0 { loop.addCallback { again(left - 1) } }
            }
            loop.addCallback { again(9) }
            try await loop.turns(until: { log.count == 11 })
            // Ten callbacks, each of which adds the next, do not keep the descriptor waiting.
            #expect(log.firstIndex(of: "handler") ?? 99 <= 2)
        }
    }

    @Test func aTaskChainDoesNotKeepDescriptorsWaitingForEver() async throws {
        try await withLoop { loop in
            loop.limits.extraJobsMax = 10
            let handled = Flag()
            let pipe = SystemPipe()
            pipe.put()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                pipe.take()
                handled.set()
            }
            var yields = 0
            while !handled.isSet {
                yields += 1
                await Task.yield()
            }
            #expect(yields < 1_000)
        }
    }

    @Test func pendingCallbacksMakeThePollLookOnly_B3() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            var timeouts: [Int64] = []
            poller.onWait = { timeouts.append($0) }
            loop.callLater(.zero) {
                // Queued by a timeout: after this turn's callbacks.
                loop.addCallback { loop.stop() }
            }
            try loop.start()
            #expect(timeouts == [0])
        }
    }

    /// Contract row 3.1.e1.
    @Test func thePollWaitsUntilTheNextLiveDeadline_B4() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let clock = ManualClock()
            let loop = try IOLoop(poller: poller, clock: clock)
            defer { loop.close() }
            var timeouts: [Int64] = []
            poller.onWait = { timeout in
                timeouts.append(timeout)
                clock.advance(by: .nanoseconds(max(timeout, 0)))
                loop.remote.addCallback {}
            }
            let removed = loop.callLater(.milliseconds(3)) {}
            loop.callLater(.milliseconds(10)) { loop.stop() }
            loop.removeTimeout(removed)
            try loop.start()
            #expect(timeouts.first == 10_000_000)
        }
    }

    /// Contract row 3.1.e2.
    @Test func aCallbackThatThrowsGoesToTheHookAndTheLoopGoesOn_B9() async throws {
        try await withLoop { loop in
            var caught: [String] = []
            loop.onUnhandledError = { error, place in caught.append("\(place): \(error)") }
            loop.addCallback { throw Broken(number: 1) }
            loop.callLater(.zero) { throw Broken(number: 2) }
            loop.spawn { throw Broken(number: 3) }
            loop.spawn(name: "named") { throw Broken(number: 4) }
            loop.spawn { throw CancellationError() }
            try await loop.turns(5)
            #expect(caught.count == 4)
            #expect(caught.contains { $0.contains("callback") && $0.contains("1") })
            #expect(caught.contains { $0.contains("timeout") && $0.contains("2") })
            #expect(caught.contains { $0.contains("task") && $0.contains("3") })
            #expect(caught.contains { $0.contains("named") && $0.contains("4") })
        }
    }

    @Test func capturesOfCallbacksThatRanAreFreed_B12() async throws {
        final class Large {}
        try await withLoop { loop in
            weak var first: Large?
            weak var second: Large?
            do {
                let large = Large()
                first = large
                loop.addCallback { _ = large }
                let other = Large()
                second = other
                loop.callLater(.zero) { _ = other }
            }
            try await loop.turns(3)
            #expect(first == nil && second == nil)
        }
    }
}
