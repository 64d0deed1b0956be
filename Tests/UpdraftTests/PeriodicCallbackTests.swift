import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows F1-F4, conformance list 3.1, 49-51, in virtual time.
@Suite struct PeriodicCallbackTests {
    @Test func runsOnAFixedScheduleOncePerPeriodAfterStart_F1_F2() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var starts: [Duration] = []
            let periodic = try PeriodicCallback(every: .seconds(10)) {
                starts.append(begin.duration(to: loop.now))
            }
            try await loop.sleep(for: .seconds(35))
            #expect(starts.isEmpty && !periodic.isRunning, "construction starts nothing")
            periodic.start()
            #expect(periodic.isRunning)
            try await loop.sleep(for: .seconds(35))
            #expect(starts == [.seconds(45), .seconds(55), .seconds(65)])
        }
    }

    @Test func stopInsideTheCallbackIsHonoured_F4_49() async throws {
        try await withVirtualLoop { loop in
            var runs = 0
            var periodic: PeriodicCallback?
            periodic = try PeriodicCallback(every: .milliseconds(10)) {
                runs += 1
                if runs == 3 { periodic?.stop() }
            }
            periodic?.start()
            try await loop.sleep(for: .seconds(1))
            #expect(runs == 3)
            #expect(periodic?.isRunning == false)
        }
    }

    @Test func stopTakesTheTimeoutBack_F2() async throws {
        try await withVirtualLoop { loop in
            var runs = 0
            let periodic = try PeriodicCallback(every: .seconds(1)) { runs += 1 }
            let pending = loop.timers.count
            periodic.start()
            #expect(loop.timers.count == pending + 1)
            periodic.stop()
            periodic.stop()
            #expect(loop.timers.count == pending)
            try await loop.sleep(for: .seconds(5))
            #expect(runs == 0)
        }
    }

    @Test func stopAndStartNeverDoubleTheRuns_F2() async throws {
        try await withVirtualLoop { loop in
            var runs = 0
            let periodic = try PeriodicCallback(every: .seconds(1)) { runs += 1 }
            for _ in 0..<5 {
                periodic.start()
                periodic.start()
                periodic.stop()
            }
            periodic.start()
            try await loop.sleep(for: .milliseconds(10_500))
            #expect(runs == 10)
        }
    }

    @Test func stopAndStartInsideTheCallbackNeverDoubleTheRuns_F2_F4() async throws {
        try await withVirtualLoop { loop in
            var runs = 0
            var periodic: PeriodicCallback?
            periodic = try PeriodicCallback(every: .seconds(1)) {
                runs += 1
                periodic?.stop()
                periodic?.start()
            }
            periodic?.start()
            try await loop.sleep(for: .milliseconds(10_500))
            #expect(runs == 10)
            periodic?.stop()
            periodic = nil
        }
    }

    @Test func stopAndStartDuringAnAsyncRunNeverOverlapIt_F2() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var starts: [Duration] = []
            var running = 0
            let periodic = try PeriodicCallback(every: .seconds(10)) {
                running += 1
                #expect(running == 1)
                starts.append(begin.duration(to: loop.now))
                try await loop.sleep(for: .seconds(starts.count == 1 ? 25 : 1))
                running -= 1
            }
            periodic.start()
            try await loop.sleep(for: .seconds(12))
            periodic.stop()
            #expect(!periodic.isRunning)
            periodic.start()
            #expect(periodic.isRunning)
            try await loop.sleep(for: .seconds(48))
            // The run of 10 s ends at 35 s, past the new schedule's first multiples.
            #expect(starts == [.seconds(10), .seconds(42), .seconds(52)])
            periodic.stop()
        }
    }

    @Test func aRestartDuringAShortAsyncRunBeginsOnePeriodLater_F2() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var starts: [Duration] = []
            let periodic = try PeriodicCallback(every: .seconds(10)) {
                starts.append(begin.duration(to: loop.now))
                try await loop.sleep(for: .seconds(4))
            }
            periodic.start()
            try await loop.sleep(for: .seconds(12))
            periodic.stop()
            periodic.start()
            try await loop.sleep(for: .seconds(22))
            #expect(starts == [.seconds(10), .seconds(22), .seconds(32)])
            periodic.stop()
        }
    }

    @Test func errorsGoToTheHookAndTheTimerGoesOn_F3() async throws {
        try await withVirtualLoop { loop in
            var failures: [String] = []
            loop.onUnhandledError = { error, place in failures.append("\(place): \(error)") }
            var runs = 0
            let plain = try PeriodicCallback(every: .seconds(1)) {
                runs += 1
                throw Broken(number: 1)
            }
            let task = try PeriodicCallback(every: .seconds(1)) {
                try await loop.nextTurn()
                throw Broken(number: 2)
            }
            plain.start()
            task.start()
            try await loop.sleep(for: .milliseconds(3_500))
            #expect(runs == 3)
            let expected = "A periodic callback: Broken(number: "
            #expect(failures.filter { $0 == expected + "1)" }.count == 3)
            #expect(failures.filter { $0 == expected + "2)" }.count == 3)
            plain.stop()
            task.stop()
        }
    }

    @Test func asyncRunsNeverOverlap_F2_50_51() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var (starts, ends) = ([Duration](), 0)
            let periodic = try PeriodicCallback(every: .milliseconds(10)) {
                #expect(starts.count == ends)
                starts.append(begin.duration(to: loop.now))
                try await loop.sleep(for: .milliseconds(25))
                ends += 1
            }
            periodic.start()
            try await loop.sleep(for: .milliseconds(105))
            periodic.stop()
            try await loop.sleep(for: .milliseconds(100))
            #expect(starts == [10, 40, 70, 100].map(Duration.milliseconds))
            #expect(starts.count == ends, "stop lets the last run end")
        }
    }

    @Test func theSynchronousFormStartsNoTask_F1() async throws {
        try await withVirtualLoop { loop in
            let before = loop.taskCount
            var tasks: [Int] = []
            let plain = try PeriodicCallback(every: .seconds(1)) { tasks.append(loop.taskCount) }
            plain.start()
            try await loop.sleep(for: .milliseconds(1_500))
            #expect(tasks == [before])
            plain.stop()
        }
    }

    @Test func jitterComesFromTheGivenSource_F2_47() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var starts: [Duration] = []
            var randoms = [0.5, 1, 0, 0.75, 0.5][...]
            let periodic = try PeriodicCallback(
                every: .seconds(10), jitter: 0.5, random: { randoms.popFirst() ?? 0.5 }
            ) { starts.append(begin.duration(to: loop.now)) }
            periodic.start()
            try await loop.sleep(for: .seconds(42))
            #expect(
                starts == [.seconds(10), .seconds(22.5), .seconds(30), .seconds(41.25)])
            periodic.stop()
        }
    }

    @Test func aPeriodThatIsNotPositiveIsAnError_F2() async throws {
        try await withVirtualLoop { loop in
            #expect(throws: LoopError.self) { try PeriodicCallback(every: .zero) {} }
            #expect(throws: LoopError.self) { try loop.ticks(every: .seconds(-1)) }
        }
    }

    @Test func whatIsStartedNeedsNoOwnerAndWhatIsStoppedIsFreed_F1() async throws {
        try await withVirtualLoop { loop in
            final class Token {}
            var token: Token? = Token()
            weak let watched = token
            var runs = 0
            var periodic: PeriodicCallback? = try PeriodicCallback(every: .seconds(1)) {
                [token] in
                withExtendedLifetime(token) { runs += 1 }
            }
            token = nil
            periodic?.start()
            weak let kept = periodic
            periodic = nil
            try await loop.sleep(for: .milliseconds(2_500))
            #expect(runs == 2 && watched != nil)
            kept?.stop()
            try await loop.sleep(for: .seconds(2))
            #expect(watched == nil && kept == nil)
        }
    }

    @Test func whatOutlivesItsLoopDoesNothing() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            let periodic = try PeriodicCallback(every: .milliseconds(1)) {}
            periodic.start()
            loop.close()
            periodic.stop()
            periodic.start()
        }
    }
}

/// `IOLoop.ticks(every:)`.
@Suite struct PeriodicTicksTests {
    @Test func comeOnTheScheduleOfPeriodicCallback_F2() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            var pauses = [9, 9, 10, 11, 20, 20, 35, 35, 0, 0, 0].map(Duration.seconds)[...]
            var starts: [Duration] = []
            for try await due in try loop.ticks(every: .seconds(10)) {
                #expect(due == loop.now)
                starts.append(begin.duration(to: due))
                guard let pause = pauses.popFirst(), !pauses.isEmpty else { break }
                try await loop.sleep(for: pause)
            }
            #expect(
                starts == [10, 20, 30, 50, 70, 100, 130, 170, 210, 220, 230].map(Duration.seconds))
        }
    }

    @Test func endWhenTheTaskIsCancelled() async throws {
        try await withVirtualLoop { loop in
            var ticks = 0
            var end: (any Error)?
            let task = loop.spawn {
                end = await failure {
                    for try await _ in try loop.ticks(every: .seconds(1)) { ticks += 1 }
                }
            }
            try await loop.sleep(for: .milliseconds(3_500))
            let pending = loop.timers.count
            task.cancel()
            try await loop.turns { end != nil }
            #expect(ticks == 3)
            #expect(end is CancellationError)
            #expect(loop.timers.count == pending - 1, "no timeout is left behind")
        }
    }

    @Test func aWaitThatTimedOutLosesNoTick() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            let iterator = try loop.ticks(every: .seconds(10)).makeAsyncIterator()
            for _ in 0..<3 {
                let error = await failure {
                    try await withTimeout(.seconds(3)) { try await iterator.next(isolation: nil) }
                }
                #expect(error is TimeoutError)
            }
            let due = try await iterator.next(isolation: nil)
            #expect(due.map { begin.duration(to: $0) } == .seconds(10))
        }
    }
}
