import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract 3.7, locks: Semaphore, its scoped use, BoundedSemaphore.
@Suite struct SemaphoreTests {
    @Test func aNegativeNumberOfPermitsIsNamed_3_7() async throws {
        let result = try await #require(
            processExitsWith: .failure, observing: [\.standardErrorContent]
        ) {
            let loop = try IOLoop()
            _ = Semaphore(-1, loop: loop)
        }
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("A Semaphore was made with -1 permits, below zero."))
    }

    @Test func permitsAreHandedOverInTheOrderOfWaiting_3_7() async throws {
        try await withVirtualLoop { loop in
            let (semaphore, log) = (Semaphore(1), Log())
            try await semaphore.acquire()
            for number in 0..<3 {
                loop.spawn { await log.record("\(number)") { try await semaphore.acquire() } }
            }
            try await loop.turns(2)
            for number in 0..<3 {
                semaphore.release()
                try await loop.nextTurn()
                #expect(log.take() == ["\(number)"])
            }
        }
    }

    @Test func nobodyOvertakesTheTaskThatIsHandedAPermit_3_7() async throws {
        try await withVirtualLoop { loop in
            let (semaphore, log) = (Semaphore(1), Log())
            try await semaphore.acquire()
            loop.spawn { await log.record("waiter") { try await semaphore.acquire() } }
            try await loop.turns(2)
            semaphore.release()
            #expect(!semaphore.tryAcquire())
            let error = await failure { try await semaphore.acquire(timeout: .zero) }
            #expect(error is TimeoutError)
            #expect(log.take() == ["waiter"])
        }
    }

    @Test(arguments: [Duration.seconds(3), .zero, .seconds(-1)])
    func acquireThrowsAfterItsTimeoutAndTakesNothing_3_7(timeout: Duration) async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(1)
            try await semaphore.acquire()
            let start = loop.now
            let error = await failure { try await semaphore.acquire(timeout: timeout) }
            #expect((error as? TimeoutError)?.limit == timeout)
            #expect(start.duration(to: loop.now) == max(timeout, .zero))
            semaphore.release()
            #expect(semaphore.available == 1)
        }
    }

    @Test func aReleaseBeforeTheTimeoutPreEmptsIt_3_7() async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(1)
            try await semaphore.acquire()
            loop.callLater(.seconds(1)) { semaphore.release() }
            try await semaphore.acquire(timeout: .seconds(2))
            try await loop.sleep(for: .seconds(5))
            #expect(semaphore.available == 0)
        }
    }

    @Test(arguments: Ending.allCases)
    func aPermitIsNeverLostToAWaitThatEndsInItsTurn_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(0)
            let outcome = try await race(
                ending, on: loop, wait: { try await semaphore.acquire(timeout: $0) },
                handOut: { semaphore.release() })
            #expect(outcome == ending.outcome)
            #expect(semaphore.available == 0)
        }
    }

    @Test func releasesBeyondTheInitialNumberAddPermits_3_7() async throws {
        try await withVirtualLoop { _ in
            let semaphore = Semaphore(0)
            semaphore.release()
            semaphore.release()
            try await semaphore.acquire()
            try await semaphore.acquire()
            #expect(semaphore.available == 0)
        }
    }

    @Test(arguments: GivingUp.allCases)
    func aHundredWaitersThatGaveUpLeaveNothingBehind_3_7(how: GivingUp) async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(0)
            try await how.waits(100, on: loop) { try await semaphore.acquire(timeout: $0) }
            #expect("\(semaphore)" == "Semaphore(available: 0, waiters: 0)")
            semaphore.release()
            #expect(semaphore.available == 1)
        }
    }

    @Test func textFormTellsPermitsAndWaiters_3_7() async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(2)
            #expect("\(semaphore)" == "Semaphore(available: 2)")
            for _ in 0..<3 { loop.spawn { try await semaphore.acquire() } }
            try await loop.turns(2)
            #expect("\(semaphore)" == "Semaphore(available: 0, waiters: 1)")
            #expect("\(BoundedSemaphore(3))" == "BoundedSemaphore(available: 3)")
        }
    }

    // MARK: Scoped use

    @Test func withPermitReleasesOnReturnAndOnError_3_7() async throws {
        try await withVirtualLoop { _ in
            let semaphore = Semaphore(1)
            let result = try await semaphore.withPermit {
                #expect(semaphore.available == 0)
                return 7
            }
            #expect(result == 7)
            #expect(semaphore.available == 1)
            let error = await failure { try await semaphore.withPermit { throw Broken() } }
            #expect(error is Broken)
            #expect(semaphore.available == 1)
        }
    }

    @Test func withPermitReleasesWhenItsTaskIsCancelled_3_7() async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(1)
            let work = loop.async {
                try await semaphore.withPermit { try await loop.sleep(for: .seconds(60)) }
            }
            try await loop.turns(2)
            #expect(semaphore.available == 0)
            work.cancel()
            #expect(await failure { try await work.value } is CancellationError)
            #expect(semaphore.available == 1)
        }
    }

    /// Contract rows 3.7.l28, 3.7.l31: the scope waits by itself; without a permit there is none.
    @Test func withPermitThatTimesOutDoesNotRunItsBodyNorRelease_3_7() async throws {
        try await withVirtualLoop { _ in
            let semaphore = Semaphore(1)
            try await semaphore.acquire()
            var hasRun = false
            let error = await failure {
                try await semaphore.withPermit(timeout: .seconds(1)) { hasRun = true }
            }
            #expect(error is TimeoutError)
            #expect(!hasRun)
            #expect(semaphore.available == 0)
        }
    }

    @Test func withPermitWithATimeoutThatIsKeptRunsAndReleases_3_7() async throws {
        try await withVirtualLoop { loop in
            let semaphore = Semaphore(1)
            try await semaphore.acquire()
            loop.callLater(.seconds(1)) { semaphore.release() }
            let text = try await semaphore.withPermit(timeout: .seconds(2)) {
                // The limit is for the wait, not for the body.
                try await loop.sleep(for: .seconds(60))
                return "\(semaphore.available)"
            }
            #expect(text == "0")
            #expect(semaphore.available == 1)
        }
    }

    @Test func withPermitServesAContestInOrderAndNeverTooMany_3_7() async throws {
        try await withVirtualLoop { loop in
            let (semaphore, log) = (Semaphore(2), Log())
            var inside = 0
            try await loop.group { group in
                for number in 0..<6 {
                    group.spawn {
                        try await semaphore.withPermit {
                            inside += 1
                            #expect(inside <= 2)
                            log.add("\(number)")
                            try await loop.sleep(for: .seconds(1))
                            inside -= 1
                        }
                    }
                }
            }
            #expect(log.take() == ["0", "1", "2", "3", "4", "5"])
            #expect(semaphore.available == 2)
        }
    }

    // MARK: Bounded

    @Test func aBoundedSemaphoreRefusesAReleaseTooMany_3_7() async throws {
        try await withVirtualLoop { _ in
            let semaphore = BoundedSemaphore(1)
            #expect(await syncFailure { try semaphore.release() } == .releasedTooOften)
            try await semaphore.acquire()
            #expect(!semaphore.tryAcquire())
            try semaphore.release()
            #expect(await syncFailure { try semaphore.release() } == .releasedTooOften)
            #expect(semaphore.available == 1)
        }
    }

    @Test func aBoundedSemaphoreNamesTheScopeWhosePermitWasGivenBack_3_7() async throws {
        try await withVirtualLoop { _ in
            let semaphore = BoundedSemaphore(1)
            let code = await syncFailure {
                try await semaphore.withPermit { try semaphore.release() }
            }
            #expect(code == .releasedTooOften)
            let error = await failure {
                try await semaphore.withPermit { throw Broken() }
            }
            #expect(error is Broken)
            #expect(semaphore.available == 1)
        }
    }

    @Test(arguments: Ending.allCases)
    func aBoundedPermitIsNeverLostToAWaitThatEndsInItsTurn_3_7(ending: Ending) async throws {
        try await withVirtualLoop { loop in
            let semaphore = BoundedSemaphore(1)
            try await semaphore.acquire()
            let outcome = try await race(
                ending, on: loop, wait: { try await semaphore.acquire(timeout: $0) },
                handOut: { try semaphore.release() })
            #expect(outcome == ending.outcome)
        }
    }
}
