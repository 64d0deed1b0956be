import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, locks: Lock.
@Suite struct LockTests {
    @Test func theLockIsHandedOverInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let (lock, log) = (Lock(), Log())
            try await lock.acquire()
            for number in 0..<3 {
                loop.spawn { await log.record("\(number)") { try await lock.acquire() } }
            }
            try await loop.turns(2)
            for number in 0..<3 {
                try lock.release()
                #expect(lock.isLocked)
                try await loop.nextTurn()
                #expect(log.take() == ["\(number)"])
            }
            try lock.release()
            #expect(!lock.isLocked)
        }
    }

    @Test func scopedAndPlainHoldersShareOneOrder_3_7() async throws {
        try await withVirtualLoop { loop in
            let (lock, log) = (Lock(), Log())
            try await loop.group { group in
                for number in 0..<6 {
                    group.spawn {
                        if number % 2 == 0 {
                            try await lock.withLock {
                                log.add("\(number)")
                                try await loop.sleep(for: .seconds(1))
                            }
                        } else {
                            try await lock.acquire()
                            log.add("\(number)")
                            try await loop.sleep(for: .seconds(1))
                            try lock.release()
                        }
                    }
                }
            }
            #expect(log.take() == ["0", "1", "2", "3", "4", "5"])
            #expect(!lock.isLocked)
        }
    }

    @Test func nobodyOvertakesTheTaskThatIsHandedTheLock_3_7() async throws {
        try await withVirtualLoop { loop in
            let (lock, log) = (Lock(), Log())
            #expect(lock.tryAcquire())
            loop.spawn { await log.record("waiter") { try await lock.acquire() } }
            try await loop.turns(2)
            try lock.release()
            #expect(!lock.tryAcquire())
            try await loop.nextTurn()
            #expect(log.take() == ["waiter"])
        }
    }

    @Test(arguments: [Duration.seconds(3), .zero, .seconds(-1)])
    func aTimeoutLeavesTheLockLocked_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            try await lock.acquire()
            let start = loop.now
            let error = await failure { try await lock.acquire(timeout: timeout) }
            #expect((error as? TimeoutError)?.limit == timeout)
            #expect(start.duration(to: loop.now) == max(timeout, .zero))
            #expect(lock.isLocked)
            try lock.release()
            #expect(!lock.isLocked)
        }
    }

    @Test(arguments: Ending.allCases)
    func theLockIsNeverLostToAWaitThatEndsInItsTurn_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            try await lock.acquire()
            let outcome = try await race(
                ending, on: loop, wait: { try await lock.acquire(timeout: $0) },
                handOut: { try lock.release() })
            #expect(outcome == ending.outcome)
            #expect(lock.isLocked)
        }
    }

    @Test(arguments: GivingUp.allCases)
    func aHundredWaitersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            try await lock.acquire()
            try await how.waits(100, on: loop) { try await lock.acquire(timeout: $0) }
            #expect("\(lock)" == "Lock(locked, waiters: 0)")
            try lock.release()
            #expect(!lock.isLocked)
        }
    }

    @Test func aReleaseOfAnUnlockedLockIsAnError_3_7() async throws {
        try await withVirtualLoop { _ in
            let lock = Lock()
            #expect(await syncFailure { try lock.release() } == .notLocked)
            try await lock.acquire()
            try lock.release()
            #expect(await syncFailure { try lock.release() } == .notLocked)
            #expect(lock.tryAcquire())
        }
    }

    @Test func aReleaseInsideWithLockIsAnError_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            try await lock.withLock {
                #expect(await syncFailure { try lock.release() } == .heldByScope)
                #expect(lock.isLocked)
            }
            // A scope that was handed the lock is protected before its task runs.
            try await lock.acquire()
            let work = loop.async { try await lock.withLock {} }
            try await loop.turns(2)
            try lock.release()
            #expect(await syncFailure { try lock.release() } == .heldByScope)
            try await work.value
            #expect(!lock.isLocked)
        }
    }

    @Test func askingForTheLockInsideItsOwnWithLockIsAnErrorAndNoHang_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            try await lock.withLock {
                #expect(await syncFailure { try await lock.acquire() } == .wouldDeadlock)
                #expect(await syncFailure { try await lock.withLock {} } == .wouldDeadlock)
                // Another task may well wait for it.
                let other = loop.async { try await lock.acquire(timeout: .seconds(1)) }
                #expect(await failure { try await other.value } is TimeoutError)
            }
            #expect(!lock.isLocked)
        }
    }

    @Test func withLockReleasesOnReturnErrorAndCancellation_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            let text = try await lock.withLock { "result" }
            #expect(text == "result")
            #expect(!lock.isLocked)
            #expect(await failure { try await lock.withLock { throw Broken() } } is Broken)
            #expect(!lock.isLocked)
            let work = loop.async {
                try await lock.withLock { try await loop.sleep(for: .seconds(60)) }
            }
            try await loop.turns(2)
            #expect(lock.isLocked)
            work.cancel()
            #expect(await failure { try await work.value } is CancellationError)
            #expect(!lock.isLocked)
        }
    }

    @Test func withLockThatTimesOutDoesNotRunItsBodyNorRelease_3_7() async throws {
        try await withVirtualLoop { _ in
            let lock = Lock()
            try await lock.acquire()
            var hasRun = false
            let error = await failure {
                try await lock.withLock(timeout: .seconds(1)) { hasRun = true }
            }
            #expect(error is TimeoutError)
            #expect(!hasRun)
            #expect(lock.isLocked)
        }
    }

    @Test func aTimeoutAroundWithLockReleasesIt_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            let error = await failure {
                try await withTimeout(.seconds(1)) {
                    try await lock.withLock { try await loop.sleep(for: .seconds(60)) }
                }
            }
            #expect(error is TimeoutError)
            #expect(!lock.isLocked)
        }
    }

    @Test func aChildOfAStandardGroupWaitsAndIsCancelledToo_3_7() async throws {
        try await withLoop { loop in
            let board = LockedBoard()
            try await board.lock()
            await withTaskGroup(of: Void.self) { group in
                group.addTask { try? await board.lock() }
                while await board.text != "Lock(locked, waiters: 1)" {
                    try? await loop.nextTurn()
                }
                group.cancelAll()
            }
            #expect(await board.text == "Lock(locked, waiters: 0)")
        }
    }

    @Test func textFormTellsStateAndWaiters_3_7() async throws {
        try await withVirtualLoop { loop in
            let lock = Lock()
            #expect("\(lock)" == "Lock(unlocked)")
            try await lock.acquire()
            #expect("\(lock)" == "Lock(locked, waiters: 0)")
            loop.spawn { try await lock.acquire() }
            try await loop.turns(2)
            #expect("\(lock)" == "Lock(locked, waiters: 1)")
        }
    }

    @Test func useOffTheLoopsThreadIsNamed_3_7() async throws {
        let result = try await #require(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            try await withLoop { _ in
                nonisolated(unsafe) let lock = Lock()
                try await onFreshThread { _ = lock.tryAcquire() }
            }
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("Lock.tryAcquire was used outside its loop's thread."))
    }
}

/// A lock in an actor on the loop: what a task that the library did not start can reach.
private actor LockedBoard: LoopBound {
    nonisolated let loopExecutor = LoopExecutor.ofThisThread
    private let held = Lock()

    var text: String { "\(held)" }

    func lock() async throws { try await held.acquire() }
}
