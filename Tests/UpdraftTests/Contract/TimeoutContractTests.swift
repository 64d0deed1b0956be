import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows E1-E6, B10, G1, G4, G5, conformance list 3.1, 4 and 11-17, beyond `TimeoutTests`
/// and `StallDetectorTests`.
@Suite struct TimeoutContractTests {
    /// The four methods, each with a delay.
    private static let methods: [@Sendable (IOLoop, Duration, @escaping () -> Void) -> Timeout] = [
        { loop, delay, body in loop.addTimeout(loop.now.advanced(by: delay), body) },
        { loop, delay, body in loop.addTimeout(delay, body) },
        { loop, delay, body in loop.callAt(loop.now.advanced(by: delay), body) },
        { loop, delay, body in loop.callLater(delay, body) },
    ]

    @Test func allMethodsFireInOrderWithWhatTheyCapture_E1_E2_E3_3_1_14() async throws {
        try await withVirtualLoop { loop in
            var ran: [String] = []
            for (index, method) in Self.methods.enumerated() {
                let text = "argument \(index)"
                _ = method(loop, .seconds(1)) { ran.append(text) }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(ran == (0..<4).map { "argument \($0)" })
        }
    }

    /// Contract rows 3.1.15, 3.1.16, 3.1.17: each of the methods.
    @Test func allMethodsReturnAHandleThatCancels_E1_E4_3_1_15() async throws {
        try await withVirtualLoop { loop in
            let pending = loop.metrics.timeoutsPending
            for method in Self.methods {
                let handle = method(loop, .seconds(1)) { Issue.record("was cancelled") }
                #expect(loop.metrics.timeoutsPending == pending + 1)
                loop.removeTimeout(handle)
                #expect(loop.metrics.timeoutsPending == pending)
            }
            try await loop.sleep(for: .seconds(2))
        }
    }

    @Test func aRelativeMicrosecondFires_3_1_4() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            let start = loop.now
            loop.addTimeout(.microseconds(1)) { loop.stop() }
            try loop.start()
            #expect(start.duration(to: loop.now) >= .microseconds(1))
        }
    }

    @Test func removingAfterItFiredIsHarmless_3_1_11() async throws {
        try await withVirtualLoop { loop in
            var ran = 0
            let handle = loop.callLater(.zero) { ran += 1 }
            try await loop.turns(2)
            loop.removeTimeout(handle)
            loop.callLater(.zero) { ran += 1 }
            loop.removeTimeout(handle)
            try await loop.turns(2)
            #expect(ran == 2)
        }
    }

    @Test func thousandsOfRemovedTimeoutsHoldNothing_E4_3_1_12() async throws {
        final class Large {}
        try await withVirtualLoop { loop in
            let pending = loop.timers.count
            var kept: [Weak<Large>] = []
            for _ in 0..<2_000 {
                let large = Large()
                kept.append(Weak(large))
                loop.removeTimeout(loop.callLater(.seconds(3_600)) { _ = large })
            }
            #expect(loop.timers.count == pending)
            // Those of a task hold its context until the end of the turn.
            try await loop.nextTurn()
            #expect(kept.allSatisfy { $0.object == nil })
        }
    }

    @Test func theFirstOfThreeDueTimeoutsTakesTheSecondBack_3_1_13() async throws {
        try await withVirtualLoop { loop in
            var ran: [Int] = []
            var second: Timeout?
            loop.callLater(.seconds(1)) {
                ran.append(1)
                if let second { loop.removeTimeout(second) }
            }
            second = loop.callLater(.seconds(1)) { ran.append(2) }
            loop.callLater(.seconds(1)) { ran.append(3) }
            try await loop.sleep(for: .seconds(2))
            #expect(ran == [1, 3])
        }
    }

    @Test func aTimeoutThatArmsItselfAgainComesEveryDay_E3() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var days: [Duration] = []
            func daily() {
                days.append(start.duration(to: loop.now))
                loop.callLater(.seconds(86_400), daily)
            }
            loop.callLater(.seconds(3), daily)
            try await loop.sleep(for: .seconds(86_400 * 3))
            #expect(days == [3, 86_403, 172_803].map(Duration.seconds))
        }
    }

    @Test func handlesAreSmallAndTellTimeoutsApart_E6() async throws {
        try await withVirtualLoop { loop in
            let handles = (0..<100).map { _ in loop.callLater(.seconds(1)) {} }
            #expect(Set(handles).count == 100)
            #expect(MemoryLayout<Timeout>.size <= 24)
        }
    }

    // MARK: The watchdog's arming

    @Test(.interruptsSpinning)
    func theFirstTurnIsWatchedToo_G4() async throws {
        let turns = LogLines()
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            loop.setBlockingSignalThreshold(.milliseconds(20)) { turn in turns.add("\(turn)") }
            // On a machine that has too much to do a report may miss the stack; then it is started
            // again, and the next first turn counts.
            while turns.with("spin(").isEmpty {
                loop.addCallback {
                    spin { !turns.with("spin(").isEmpty }
                    loop.stop()
                }
                try loop.start()
            }
        }
    }

    @Test func theWatchIsOffInThePollAndOnAgainAfterIt_G4() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            loop.setBlockingLogThreshold(.seconds(3_600))
            var inPoll: [Bool] = []
            var inHandler: [Bool] = []
            poller.onWait = { _ in inPoll.append(loop.pulse.busySince != 0) }
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            pipe.put()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                inHandler.append(loop.pulse.busySince != 0)
                if inHandler.count == 3 { loop.stop() }
            }
            try loop.start()
            #expect(inPoll == [false, false, false])
            #expect(inHandler == [true, true, true])
        }
    }

    @Test func anIntervalTimersSignalsAreEventsOfTheLoop_G5() async {
        await #expect(processExitsWith: .success) {
            try await withLoop { loop in
                var beats = 0
                _ = try loop.addSignalHandler(Signal(SIGALRM)) { beats += 1 }
                let period = timeval(tv_sec: 0, tv_usec: 5_000)
                var timer = itimerval(it_interval: period, it_value: period)
                let clock = __itimer_which_t(ITIMER_REAL.rawValue)
                precondition(setitimer(clock, &timer, nil) == 0)
                try await loop.turns { beats >= 3 }
                // Or the next one, without a handler, would end the process.
                timer = itimerval()
                precondition(setitimer(clock, &timer, nil) == 0)
                try await loop.turns(3)
            }
        }
    }

    // MARK: Metrics

    @Test func bytesThatStreamsHoldAreCounted_U1() async throws {
        try await withLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop)
            let before = loop.metrics.bufferedBytes
            try near.enqueue([UInt8](repeating: 7, count: 1_000))
            #expect(loop.metrics.bufferedBytes == before + 1_000, "unsent")
            #expect(try await far.read(exactly: 400).count == 400)
            #expect(loop.metrics.bufferedBytes == before + 600, "unread")
            #expect(try await far.read(exactly: 600).count == 600)
            #expect(loop.metrics.bufferedBytes == before)
            near.abort()
            far.abort()
        }
    }
}

private struct Weak<Object: AnyObject> {
    weak var object: Object?
    init(_ object: Object) { self.object = object }
}
