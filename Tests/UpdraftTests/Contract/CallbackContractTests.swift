import Glibc
import Synchronization
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows D1-D8, I1, conformance list 3.1, 7-9, 21-25, 32, beyond `RemoteTests` and
/// `ContextTests`.
@Suite struct CallbackContractTests {
    // MARK: D2: wake-ups

    @Test func aSleepingLoopIsWokenOnceHoweverManyCallbacksComeMeanwhile_D2_I1() async throws {
        try await onFreshThread {
            let poller = try RecordingPoller()
            let loop = try IOLoop(poller: poller)
            defer { loop.close() }
            let remote = loop.remote
            let pool = try BlockingPool(name: "posting", size: 1)
            defer { pool.close() }
            let ran = Counter()
            var wakes: [UInt64] = []
            poller.onWait = { timeout in
                guard timeout != 0, wakes.isEmpty else { return }
                // The loop has announced its sleep, and has not begun it.
                let isPosted = Flag()
                try? pool.submit {
                    for _ in 0..<1_000 { remote.addCallback { ran.add() } }
                    isPosted.set()
                }
                while !isPosted.isSet { sched_yield() }
                wakes.append(loop.executor.waker.pendingWakes())
            }
            loop.addCallback {}
            func stopLater() {
                if ran.value == 1_000 { loop.stop() } else { loop.runLater(.zero, stopLater) }
            }
            loop.callLater(.milliseconds(1), stopLater)
            try loop.start()
            #expect(wakes == [1])
            #expect(ran.value == 1_000)
        }
    }

    @Test func aLoopThatIsAwakeIsNotWoken_D2() async throws {
        try await withLoop { loop in
            let remote = loop.remote
            let pool = try BlockingPool(name: "posting", size: 1)
            defer { pool.close() }
            let ran = Counter()
            let isPosted = Flag()
            // From its own thread, by either door, and from another one.
            for _ in 0..<100 {
                loop.addCallback { ran.add() }
                remote.addCallback { ran.add() }
            }
            try pool.submit {
                for _ in 0..<100 { remote.addCallback { ran.add() } }
                isPosted.set()
            }
            while !isPosted.isSet { sched_yield() }
            #expect(loop.executor.waker.pendingWakes() == 0)
            try await loop.turns { ran.value == 300 }
        }
    }

    @Test func aFullWakerIsAWakeUpTooAndOneReadEmptiesIt_I1() throws {
        let waker = try Waker()
        defer { waker.close() }
        #expect(waker.pendingWakes() == 0)
        // The most that an eventfd counts.
        var most = UInt64.max - 1
        #expect(write(waker.descriptor, &most, 8) == 8)
        waker.wake()
        #expect(waker.pendingWakes() == most)
        waker.drain()
        #expect(waker.pendingWakes() == 0)
        waker.drain()
    }

    @Test func callbacksOfManyThreadsAllRunOnceAndKeepEachThreadsOrder_D3() async throws {
        try await withLoop { loop in
            let log = RunLog()
            let remote = loop.remote
            let pool = try BlockingPool(name: "many", size: 8)
            defer { pool.close() }
            for thread in 0..<8 {
                try pool.submit {
                    for number in 0..<500 {
                        remote.addCallback { log.add(thread: thread, number) }
                    }
                }
            }
            try await loop.turns { log.count == 4_000 }
            try await loop.turns(3)
            for thread in 0..<8 { #expect(log[thread] == Array(0..<500)) }
        }
    }

    // MARK: D4: closing

    @Test func aThousandCallbacksThatRaceWithCloseNeitherFailNorRun_D4_3_1_9() async throws {
        for _ in 0..<20 {
            let (ran, added) = (Counter(), Counter())
            let (isClosing, isDone) = (Flag(), Flag())
            try await onFreshThread {
                let loop = try IOLoop()
                let remote = loop.remote
                let pool = try BlockingPool(name: "racer", size: 1)
                defer { pool.close() }
                try pool.submit {
                    for number in 0..<1_000 {
                        remote.addCallback { ran.add() }
                        added.add()
                        // Some before the loop is closed, some meanwhile, some after.
                        if number == 100 { isClosing.set() }
                    }
                    isDone.set()
                }
                while !isClosing.isSet { sched_yield() }
                loop.close(allDescriptors: true)
                while !isDone.isSet { sched_yield() }
            }
            #expect(added.value == 1_000)
            #expect(ran.value == 0)
        }
    }

    @Test func whatTheClosingLoopsTasksPostIsDroppedToo_D4() async throws {
        let ran = Flag()
        try await onFreshThread {
            let loop = try IOLoop()
            let remote = loop.remote
            try loop.runSync {
                loop.spawn {
                    defer {
                        remote.addCallback { ran.set() }
                        remote.addCallbackFromSignal { ran.set() }
                        remote.stop()
                    }
                    try await loop.sleep(for: .seconds(3_600))
                }
                try await loop.nextTurn()
            }
            loop.close()
            let error = #expect(throws: LoopError.self) { try loop.start() }
            #expect(error?.code == .closed)
        }
        #expect(!ran.isSet)
    }

    @Test func theLastReferenceToALoopMayGoWhileOthersPost_D4() async throws {
        try await onFreshThread {
            let pool = try BlockingPool(name: "racer", size: 1)
            defer { pool.close() }
            for _ in 0..<50 {
                var loop: IOLoop? = try IOLoop()
                let remote = try #require(loop?.remote)
                let isDone = Flag()
                try pool.submit {
                    for _ in 0..<100 { remote.addCallback {} }
                    isDone.set()
                }
                loop = nil
                while !isDone.isSet { sched_yield() }
            }
        }
    }

    // MARK: D5

    @Test func aCallbackFromASignalRunsOnce_D5_3_1_7() async throws {
        try await withLoop { loop in
            var runs: [Int] = []
            let remote = loop.remote
            let ran = Counter()
            remote.addCallbackFromSignal { ran.add() }
            #expect(ran.value == 0, "never at once")
            try await loop.turns { ran.value == 1 }
            let id = try loop.addSignalHandler(.sigusr2) { runs.append(1) }
            raiseSignal(.sigusr2)
            #expect(runs.isEmpty, "no code of ours in the signal handler")
            try await loop.turns { !runs.isEmpty }
            loop.removeSignalHandler(id)
            try await loop.turns(3)
            #expect(ran.value == 1)
        }
    }

    @Test func aCallbackFromASignalStopsALoopThatSleepsOnAnotherThread_D5_3_1_8() async throws {
        let remotes = Mutex<[IOLoop.Remote]>([])
        let hasStopped = Flag()
        async let other: Void = onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            loop.addCallback { remotes.withLock { $0.append(loop.remote) } }
            try loop.start()
            hasStopped.set()
        }
        while remotes.withLock({ $0.isEmpty }) { await Task.yield() }
        #expect(!hasStopped.isSet)
        remotes.withLock { $0[0] }.addCallbackFromSignal { IOLoop.current.stop() }
        try await other
        #expect(hasStopped.isSet)
    }

    // MARK: Errors and re-entrancy

    @Test func startInACallbackIsAnErrorAndNoDeadlock_3_1_21() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            var codes: [LoopError.Code?] = []
            func tryToStart() {
                do { try loop.start() } catch { codes.append((error as? LoopError)?.code) }
            }
            loop.addCallback(tryToStart)
            loop.callLater(.zero) {
                tryToStart()
                loop.stop()
            }
            try loop.start()
            #expect(codes == [.alreadyRunning, .alreadyRunning])
        }
    }

    /// Contract rows 3.1.22, 3.1.23, 3.1.24, 3.1.25: a callback, work that fails at once, work that
    /// fails after a wait, `spawnCallback`.
    @Test func errorsOfEveryKindOfCallbackAreLoggedAndTheLoopGoesOn_D7_D8_3_1_22() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.addCallback { throw Broken(number: 22) }
            loop.spawn { throw Broken(number: 23) }
            loop.spawn {
                try await loop.sleep(for: .milliseconds(1))
                throw Broken(number: 24)
            }
            loop.spawnCallback { throw Broken(number: 25) }
            loop.remote.addCallback { throw Broken(number: 26) }
            try await loop.turns { lines.all.count == 5 }
            for number in 22...26 { #expect(lines.with("number: \(number)", "error: ").count == 1) }
        }
    }

    // MARK: Futures

    @Test func aFutureMayBeWorkOfAPoolAndItsCallbackRunsOnTheLoop_D6_3_1_32() async throws {
        try await withLoop { loop in
            let pool = try BlockingPool(name: "futures", size: 1)
            defer { pool.close() }
            let own = pthread_self()
            var results: [Int] = []
            let future = Task.detached {
                await withCheckedContinuation { continuation in
                    do {
                        try pool.submit { continuation.resume(returning: 32) }
                    } catch {
                        continuation.resume(returning: -1)
                    }
                }
            }
            loop.addFuture(future) { result in
                #expect(pthread_equal(pthread_self(), own) != 0)
                results.append(result.get())
            }
            try await loop.turns { !results.isEmpty }
            #expect(results == [32])
        }
    }
}

/// Filled on one loop's thread only.
private final class RunLog: @unchecked Sendable {
    private var numbers: [Int: [Int]] = [:]
    private(set) var count = 0

    subscript(thread: Int) -> [Int]? { numbers[thread] }

    func add(thread: Int, _ number: Int) {
        numbers[thread, default: []].append(number)
        count += 1
    }
}

extension Waker {
    /// The wake-ups that were written and not drained yet: what an eventfd counts.
    fileprivate func pendingWakes() -> UInt64 {
        var count: UInt64 = 0
        let size = MemoryLayout<UInt64>.size
        guard read(descriptor, &count, size) == size else { return 0 }
        var back = count
        precondition(write(descriptor, &back, size) == size)
        return count
    }
}
