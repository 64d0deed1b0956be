import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// What other threads, signals and blocking work do with a loop. Contract rows D1-D5, A7, S1, S2.
@Suite struct RemoteTests {
    /// Contract row 3.1.3.
    @Test func aCallbackFromAnotherThreadWakesTheLoop_D1() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            let remote = loop.remote
            let pool = try BlockingPool(name: "outside", size: 1)
            let woken = Counter()
            poller.onWait = { timeout in
                guard timeout != 0 else { return }
                // The loop goes to sleep without a deadline: only the wake-up ends that.
                try? pool.submit {
                    remote.addCallback {
                        woken.add()
                        if woken.value == 1_000 { IOLoop.current.stop() }
                    }
                }
            }
            try loop.start()
            pool.close()
            #expect(woken.value == 1_000)
        }
    }

    @Test func callbacksOfOneThreadKeepTheirOrder_D1() async throws {
        let order = try await withLoop { loop in
            let box = SharedLog()
            let remote = loop.remote
            try await loop.runInExecutor {
                for number in 0..<1_000 { remote.addCallback { box.append(number) } }
            }
            try await loop.turns(until: { box.numbers.count == 1_000 })
            return box.numbers
        }
        #expect(order == Array(0..<1_000))
    }

    @Test func callbacksThatRaceWithCloseAreRunOrDropped_D4() async throws {
        for _ in 0..<20 {
            let ran = Counter()
            let pool = try BlockingPool(name: "racers", size: 4)
            let done = Counter()
            try await withLoop { loop in
                let remote = loop.remote
                for _ in 0..<4 {
                    try pool.submit {
                        for _ in 0..<250 { remote.addCallback { ran.add() } }
                        done.add()
                    }
                }
                try await loop.nextTurn()
            }
            while done.value < 4 { await Task.yield() }
            pool.close()
            #expect(ran.value <= 1_000)
        }
    }

    @Test func aClosedLoopIgnoresItsRemote_D4() async throws {
        let remote = try await withLoop { loop in loop.remote }
        let ran = Flag()
        remote.addCallback { ran.set() }
        remote.stop()
        #expect(!ran.isSet)
    }

    @Test func stopFromAnotherThreadEndsASleepingLoop_A7() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            let remote = loop.remote
            let pool = try BlockingPool(name: "stopper", size: 1)
            loop.addCallback { try pool.submit { remote.stop() } }
            try loop.start()
            pool.close()
        }
    }

    @Test func anIdleLoopUsesNoProcessorTime() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            try loop.runSync {
                let pipe = SystemPipe()
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
                defer { loop.removeHandler(pipe.readEnd) }
                let before = threadProcessorNanoseconds()
                try await loop.sleep(for: .milliseconds(300))
                #expect(threadProcessorNanoseconds() - before < 20_000_000)
            }
        }
    }

    // MARK: Signals

    @Test func signalsAreEventsOfTheLoop_D5() async throws {
        try await withLoop { loop in
            var seen: [String] = []
            let first = try loop.addSignalHandler(.sigusr1) { seen.append("first") }
            let second = try loop.addSignalHandler(.sigusr1) { seen.append("second") }
            kill(getpid(), SIGUSR1)
            #expect(seen.isEmpty)
            try await loop.turns(until: { seen.count == 2 })
            #expect(seen == ["first", "second"])
            loop.removeSignalHandler(first)
            kill(getpid(), SIGUSR1)
            try await loop.turns(until: { seen.count == 3 })
            #expect(seen.last == "second")
            let task = loop.async { try await loop.signal([.sigusr1, .sigusr2]) }
            try await loop.turns(3)
            kill(getpid(), SIGUSR1)
            #expect(try await task.value == .sigusr1)
            loop.removeSignalHandler(second)
        }
    }

    @Test func aSignalThatCannotBeCaughtIsAnError() async throws {
        try await withLoop { loop in
            #expect(throws: SystemError.self) { try loop.addSignalHandler(Signal(9)) {} }
            #expect(throws: SystemError.self) { try loop.addSignalHandler(Signal(1_000)) {} }
            let task = await failure { try await loop.signal([Signal(9)]) }
            #expect(task is SystemError)
        }
    }

    // MARK: Blocking work

    /// Contract rows 3.7.c8, 3.7.c11: the call says that a pool runs it, and its result is awaited.
    @Test func blockingWorkComesBackToTheLoop_S2() async throws {
        try await withLoop { loop in
            let (value, wasOnLoop) = try await loop.runInExecutor {
                (42, IOLoop.currentIfAny != nil)
            }
            #expect(value == 42 && !wasOnLoop)
            #expect(IOLoop.currentIfAny === loop)
            let error = await failure {
                try await loop.runInExecutor { throw Broken(number: 2) }
            }
            #expect(error as? Broken == Broken(number: 2))
        }
    }

    @Test func blockingWorkRunsInParallel_S1() async throws {
        try await withLoop { loop in
            let meeting = Counter()
            try await loop.group { group in
                for _ in 0..<4 {
                    group.spawn {
                        try await loop.runInExecutor {
                            meeting.add()
                            while meeting.value < 4 { sched_yield() }
                        }
                    }
                }
            }
            #expect(meeting.value == 4)
        }
    }

    /// Contract row 3.7.c9: on a pool that is passed.
    @Test func workThatHasNotBegunIsLeftOutOnCancellation_S2() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "one", size: 1)
            let release = Flag()
            let ran = Counter()
            let first = loop.async {
                try await loop.runInExecutor(pool) { while !release.isSet { sched_yield() } }
            }
            try await loop.turns(3)
            let second = loop.async { try await loop.runInExecutor(pool) { ran.add() } }
            try await loop.turns(3)
            second.cancel()
            #expect(await failure { try await second.value } is CancellationError)
            release.set()
            try await first.value
            try await loop.runInExecutor(pool) {}
            #expect(ran.value == 0)
            pool.close()
        }
    }

    @Test func aFullPoolAndAClosedPoolRefuseWork_S1() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "small", size: 1, queueMax: 1)
            let release = Flag()
            let begun = Flag()
            let first = loop.async {
                try await loop.runInExecutor(pool) {
                    begun.set()
                    while !release.isSet { sched_yield() }
                }
            }
            try await loop.turns(until: { begun.isSet })
            let second = loop.async { try await loop.runInExecutor(pool) { 2 } }
            try await loop.turns(3)
            let error = await failure { try await loop.runInExecutor(pool) {} }
            #expect((error as? LoopError)?.code == .full)
            release.set()
            try await first.value
            #expect(try await second.value == 2)
            pool.close()
            let closed = await failure { try await loop.runInExecutor(pool) {} }
            #expect((closed as? LoopError)?.code == .closed)
        }
    }

    @Test func aClosedPoolStillRunsWhatWasQueued() async throws {
        let pool = try BlockingPool(name: "ending", size: 1)
        let ran = Counter()
        for _ in 0..<100 { try pool.submit { ran.add() } }
        pool.close()
        while ran.value < 100 { await Task.yield() }
    }
}

/// Filled on one loop's thread only.
private final class SharedLog: @unchecked Sendable {
    private(set) var numbers: [Int] = []
    func append(_ number: Int) { numbers.append(number) }
}

private func threadProcessorNanoseconds() -> Int {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return time.tv_sec * 1_000_000_000 + time.tv_nsec
}
