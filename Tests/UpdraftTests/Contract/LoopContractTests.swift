import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows A1-A17 and the conformance list 3.1, 27-31 and 37-43, beyond
/// `LoopLifecycleTests`.
@Suite struct LoopContractTests {
    @Test func everythingRunsOnTheThreadThatStartedTheLoop_A1() async throws {
        try await withLoop { loop in
            let own = pthread_self()
            let (seen, wrong) = (Counter(), Counter())
            @Sendable func note() {
                if pthread_equal(pthread_self(), own) == 0 { wrong.add() }
                seen.add()
            }
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            pipe.put()
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                note()
            }
            loop.addCallback(note)
            loop.callLater(.zero, note)
            loop.spawn { note() }
            loop.addFuture(Task.detached {}) { _ in note() }
            let id = try loop.addSignalHandler(.sigusr2, note)
            raiseSignal(.sigusr2)
            let remote = loop.remote
            try await loop.runInExecutor { remote.addCallback(note) }
            try await loop.turns { seen.value >= 7 }
            loop.removeSignalHandler(id)
            #expect(wrong.value == 0)
        }
    }

    @Test func everyThreadHasALoopOfItsOwn_A2() async throws {
        try await withLoop { loop in
            let remote = loop.remote
            try await onFreshThread {
                #expect(IOLoop.currentIfAny == nil, "asking makes none (A3)")
                let own = try IOLoop()
                defer { own.close() }
                #expect(IOLoop.current === own)
                #expect(IOLoop.current === own)
                remote.addCallback { #expect(IOLoop.currentIfAny != nil) }
            }
            #expect(IOLoop.current === loop)
        }
    }

    @Test func whatLivesOnALoopTakesTheOneItIsGivenOrTheCurrentOne_A5() async throws {
        try await onFreshThread {
            let first = try IOLoop(name: "first")
            let second = try IOLoop(name: "second")
            defer {
                second.close()
                first.close()
            }
            var runs = 0
            let given = try PeriodicCallback(every: .milliseconds(1), on: second) {
                runs += 1
                second.stop()
            }
            let current = try PeriodicCallback(every: .seconds(3_600)) {}
            let stream = try IOStream(SinkTransport { _ in }, loop: second)
            given.start()
            current.start()
            #expect(first.metrics.timeoutsPending == 1 && second.metrics.timeoutsPending == 1)
            #expect(first.metrics.streamsOpen == 0 && second.metrics.streamsOpen == 1)
            try second.start()
            #expect(runs == 1)
            current.stop()
            stream.abort()
        }
    }

    @Test(arguments: [true, false])
    func anAnswerThatStopsTheLoopMayComeBeforeOrAfterTheStart_A8(isEarly: Bool) async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            var polls = 0
            poller.onWait = { _ in polls += 1 }
            func ask(_ answer: @escaping () -> Void) {
                if isEarly { answer() } else { loop.callLater(.milliseconds(1), answer) }
            }
            ask(loop.stop)
            try loop.start()
            #expect(polls == (isEarly ? 0 : 1))
            // The request was used up: this one runs until it is stopped anew.
            loop.callLater(.milliseconds(1)) { loop.stop() }
            let before = polls
            try loop.start()
            #expect(polls > before)
        }
    }

    @Test func aStopThatAnotherThreadPostedBeforeTheStartEndsItsFirstTurn_A8() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            poller.onWait = { _ in Issue.record("the first turn ends before the poll") }
            var ran = 0
            loop.remote.stop()
            loop.addCallback { ran += 1 }
            try loop.start()
            poller.onWait = { _ in }
            #expect(ran == 1)
            loop.addCallback {
                ran += 1
                loop.stop()
            }
            try loop.start()
            #expect(ran == 2)
        }
    }

    @Test func aLoopThatWasLeftIsNotWatched_A9_G4() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            for _ in 0..<2 {
                loop.addCallback {
                    #expect(loop.pulse.busySince != 0)
                    loop.stop()
                }
                try loop.start()
                #expect(loop.pulse.busySince == 0)
            }
        }
    }

    @Test func theClockIsTheSystemsMonotonicOneAndUptimeBeginsWithTheLoop_A12() async throws {
        try await onFreshThread {
            func monotonic() -> Int64 {
                var time = timespec()
                clock_gettime(CLOCK_MONOTONIC, &time)
                return Int64(time.tv_sec) * 1_000_000_000 + Int64(time.tv_nsec)
            }
            let before = monotonic()
            let loop = try IOLoop()
            defer { loop.close() }
            let now = loop.now.nanoseconds
            #expect(before <= now && now <= monotonic())
            #expect(loop.uptime.wholeNanoseconds <= monotonic() - before)
            let clock = ManualClock()
            let second = try IOLoop(clock: clock)
            defer { second.close() }
            #expect(second.uptime == .zero)
            clock.advance(by: .seconds(3))
            #expect(second.uptime == .seconds(3))
            // Deadlines are on that clock.
            second.callAt(clock.now()) { second.stop() }
            try second.start()
        }
    }

    @Test func wakersDoNotBlockAndAreClosedOnExec_A15() async throws {
        try await withLoop { loop in
            let waker = loop.executor.waker.descriptor
            #expect(fcntl(waker, F_GETFL) & O_NONBLOCK != 0)
            #expect(fcntl(waker, F_GETFD) & FD_CLOEXEC != 0)
        }
    }

    // MARK: A17: one process, one running loop a thread

    @Test(arguments: [true, false])
    func aLoopDoesNotRunInAChildMadeByFork_A17(isRunning: Bool) async throws {
        let result = try await #require(
            processExitsWith: .success, observing: [\.standardErrorContent]
        ) { [isRunning] in
            try await onFreshThread {
                let loop = try IOLoop()
                loop.addCallback {
                    // The child returns into the turn.
                    if isRunning, isTrappedChild() { return }
                    loop.stop()
                }
                try loop.start()
                if !isRunning, isTrappedChild() { try loop.start() }
            }
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("was used in a child made by fork."))
    }

    @Test func aChildMadeByForkMayMakeALoopOfItsOwn_A17() async {
        await #expect(processExitsWith: .success) {
            try await onFreshThread {
                let loop = try IOLoop()
                let child = fork()
                if child == 0 {
                    guard IOLoop.currentIfAny == nil, let own = try? IOLoop() else { _exit(1) }
                    own.callLater(.milliseconds(1)) { own.stop() }
                    guard (try? own.start()) != nil else { _exit(2) }
                    _exit(0)
                }
                precondition(exitStatus(of: child) == 0)
                withExtendedLifetime(loop) {}
            }
        }
    }

    // MARK: 3.1.27-31

    @Test func loopsAreMadeAndClosedOnTwoThreadsAtOnce_3_1_27() async throws {
        let made = Counter()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for _ in 0..<2 {
                group.addTask {
                    try await onFreshThread {
                        for _ in 0..<200 {
                            let loop = try IOLoop()
                            loop.addCallback { loop.stop() }
                            try loop.start()
                            loop.close(allDescriptors: true)
                            made.add()
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(made.value == 400)
    }

    @Test func aLoopThatIsNotCurrentIsSoOnlyWhileItRuns_3_1_29() async throws {
        try await onFreshThread {
            let first = try IOLoop(name: "first")
            let second = try IOLoop(name: "second")
            defer {
                second.close()
                first.close()
            }
            for _ in 0..<3 {
                #expect(IOLoop.current === first)
                second.addCallback {
                    #expect(IOLoop.current === second)
                    second.stop()
                }
                try second.start()
            }
            #expect(IOLoop.current === first)
        }
    }

    @Test func aLoopIsMadeCurrentOnRequest_3_1_30() async throws {
        try await onFreshThread {
            let first = try IOLoop(name: "first")
            let second = try IOLoop(name: "second")
            second.makeCurrent()
            #expect(IOLoop.current === second)
            second.close()
            #expect(IOLoop.currentIfAny == nil)
            first.close()
        }
    }

    @Test func closingWhatIsNotCurrentLeavesTheCurrentOne_3_1_31() async throws {
        try await onFreshThread {
            let first = try IOLoop(name: "first")
            let second = try IOLoop(name: "second")
            second.close()
            #expect(IOLoop.currentIfAny === first)
            first.close()
            first.close()
            #expect(IOLoop.currentIfAny == nil)
        }
    }

    // MARK: 3.1.37-43: runSync

    @Test func runSyncThrowsWhatItsBodyThrowsBeforeAndAfterAWait_3_1_37_39() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            #expect(throws: Broken(number: 1)) { try loop.runSync { throw Broken(number: 1) } }
            #expect(throws: Broken(number: 2)) {
                try loop.runSync {
                    try await loop.nextTurn()
                    throw Broken(number: 2)
                }
            }
            #expect(try loop.runSync(timeout: .seconds(3_600)) { 5 } == 5)
            #expect(loop.metrics.timeoutsPending == 0, "the limit was taken back")
        }
    }
}

/// Forks, and returns true in the child, which is expected to be stopped by a misuse.
private func isTrappedChild() -> Bool {
    let child = fork()
    if child == 0 { return true }
    let status = exitStatus(of: child)
    precondition(status == -SIGABRT || status == -SIGILL || status == -SIGTRAP, "\(status)")
    return false
}

/// What a child ended with; minus the signal that killed it.
private func exitStatus(of child: pid_t) -> Int32 {
    var status: Int32 = 0
    while waitpid(child, &status, 0) < 0, errno == EINTR {}
    let signal = status & 0x7F
    return signal == 0 ? status >> 8 & 0xFF : -signal
}
