import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// What must happen before a loop ends: contract rows M3, P2, P3.
@Suite struct StopHookTests {
    private struct DiskFull: Error, CustomStringConvertible {
        var description: String { "the disk is full" }
    }

    // MARK: Hooks

    @Test func hooksRunLastAddedFirstEachOnce_M3() async throws {
        try await withVirtualLoop { loop in
            var ran: [Int] = []
            for number in 1...3 { loop.onStop("hook \(number)") { ran.append(number) } }
            try await loop.finishing {}
            #expect(ran == [3, 2, 1])
            _ = await loop.shutdown.finish()
            #expect(ran == [3, 2, 1])
        }
    }

    @Test func aHookThatWasTakenBackDoesNotRun_M3() async throws {
        try await withVirtualLoop { loop in
            let hook = loop.onStop("never") { Issue.record("it ran") }
            hook.remove()
            hook.remove()
            try await loop.finishing {}
        }
    }

    @Test func aFailingHookMakesRunThrowAndTheOthersRun_M3() async throws {
        try await withVirtualLoop { loop in
            var ran = 0
            loop.onStop("after") { ran += 1 }
            loop.onStop("scores") { throw DiskFull() }
            loop.onStop("before") { ran += 1 }
            let error = await loop.failureOfFinishing {} as? ShutdownError
            #expect(ran == 2)
            #expect(error?.code == .hookFailed)
            #expect(error?.report.failedHooks.map(\.name) == ["scores"])
            let text =
                "Not everything was finished: the stop hook 'scores' failed: the disk is full."
            #expect(error?.description == text)
        }
    }

    @Test func theBodysOwnErrorComesBeforeThatOfAHookWhichIsLogged_M3() async throws {
        try await withVirtualLoop { loop in
            let lines = LogLines()
            loop.logger = lines.logger
            loop.onStop("scores") { throw DiskFull() }
            let error = await loop.failureOfFinishing { throw Broken(number: 4) }
            #expect(error as? Broken == Broken(number: 4))
            let text = "error: the stop hook 'scores' failed: the disk is full"
            #expect(lines.all.last == text)
        }
    }

    @Test func withoutAShutdownHooksHaveFiveSeconds_P2() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            var wasCancelled = false
            loop.onStop("endless") {
                do {
                    try await loop.sleep(for: .seconds(3_600))
                } catch {
                    wasCancelled = true
                    throw error
                }
            }
            let error = await loop.failureOfFinishing {} as? ShutdownError
            #expect(journal.elapsed == .seconds(5) && wasCancelled)
            let reason = "had not ended after 5.0 seconds"
            #expect(error?.report.failedHooks.first?.reason == reason)
        }
    }

    @Test func connectionsLeaveTheHooksTheLastQuarter_P3() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            _ = FakeServer(loop, inFlight: 1)
            let server = FakeServer(loop, inFlight: 1)
            server.note = { journal.add($0) }
            loop.onStop("scores") {
                try await loop.sleep(for: .seconds(2))
                journal.add("hook")
            }
            let error =
                await loop.failureOfFinishing {
                    loop.shutDown(within: .seconds(8))
                    try await loop.serve(until: .requested)
                } as? ShutdownError
            let lines = ["drain at 0.0 seconds", "cut at 6.0 seconds", "hook at 8.0 seconds"]
            #expect(journal.lines == lines)
            #expect(error?.report.failedHooks.isEmpty == true)
            #expect(error?.report.cutConnections == 2)
        }
    }

    @Test func aHookThatHangsLeavesTheOthersTheirShareOfTheTime_P3() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let lines = LogLines()
            loop.logger = lines.logger
            loop.onStop("scores") {
                try await loop.sleep(for: .seconds(1))
                journal.add("scores")
            }
            loop.onStop("stuck") { try await loop.sleep(for: .seconds(3_600)) }
            let error = await loop.failureOfFinishing {} as? ShutdownError
            #expect(journal.lines == ["scores at 3.5 seconds"])
            #expect(journal.elapsed == .seconds(5))
            #expect(error?.report.failedHooks.map(\.name) == ["stuck"])
            let waiting = lines.with("info: still waiting for the stop hook 'stuck'")
            #expect(waiting.count >= 2)
            #expect(waiting.first?.hasSuffix("task 'stop hook stuck': waits for a time") == true)
            #expect(lines.with("notice: the stop hook 'stuck' is cancelled").count == 1)
        }
    }

    @Test func hooksWaitAsTheyLikeAlthoughTheBodyWasCancelled_P3() async throws {
        try await withVirtualLoop { loop in
            var isSynced = false
            loop.onStop("scores") {
                try await loop.sleep(for: .seconds(1))
                isSynced = true
            }
            let run = loop.async {
                try await loop.finishing { try await loop.sleep(for: .seconds(3_600)) }
            }
            try await loop.turns(3)
            run.cancel()
            #expect(await failure { try await run.value } is CancellationError)
            #expect(isSynced)
        }
    }

    @Test func aLoopThatIsEndedByAnotherRunsItsHooks_P3() async throws {
        let synced = Flag()
        await #expect(throws: Broken.self) {
            try await onFreshThread {
                let isReady = Flag()
                try IOLoop.run(loops: 2) { loop in
                    if loop.name == "loop-1" {
                        while !isReady.isSet { try await loop.nextTurn() }
                        throw Broken()
                    }
                    loop.onStop("scores") {
                        try await loop.sleep(for: .milliseconds(1))
                        synced.set()
                    }
                    isReady.set()
                    try await loop.sleep(for: .seconds(60))
                }
            }
        }
        #expect(synced.isSet)
    }

    @Test func aLoopThatIsClosedWithItsHooksUnrunGoesAway() async throws {
        try await onFreshThread {
            weak var gone: IOLoop?
            do {
                let loop = try IOLoop()
                loop.onStop("never") { _ = loop.name }
                gone = loop
                loop.close()
            }
            #expect(gone == nil)
        }
    }

    // MARK: Callbacks

    @Test func queuedCallbacksAndWhatTheyAddRunBeforeTheLoopEnds_P3() async throws {
        let written = LogLines()
        try await onFreshThread {
            try IOLoop.run { loop in
                func write(_ number: Int) {
                    written.add("\(number)")
                    if number < 50 { loop.addCallback { write(number + 1) } }
                }
                loop.addCallback { write(1) }
            }
        }
        #expect(written.all == (1...50).map { "\($0)" })
    }

    @Test func callbacksOfOtherThreadsThatAreQueuedRunToo_P3() async throws {
        let ran = Counter()
        try await onFreshThread {
            try IOLoop.run { loop in
                let remote = loop.remote
                try await loop.runInExecutor {
                    for _ in 0..<100 { remote.addCallback { ran.add() } }
                }
            }
        }
        #expect(ran.value == 100)
    }

    @Test func whatHooksAndEndingTasksAddRunsToo_P3() async throws {
        let ran = LogLines()
        try await onFreshThread {
            try IOLoop.run { loop in
                loop.onStop("hook") {
                    loop.addCallback { ran.add("of a hook") }
                }
                loop.spawn {
                    try? await loop.sleep(for: .seconds(60))
                    loop.addCallback { ran.add("of a task") }
                }
                try await loop.nextTurn()
            }
        }
        #expect(ran.all == ["of a hook", "of a task"])
    }

    @Test func aCallbackThatAddsItselfForEverDoesNotHoldTheEnd_P2() async throws {
        try await onFreshThread {
            try IOLoop.run { loop in
                func again() { loop.addCallback(again) }
                again()
            }
        }
    }

    // MARK: Unsent bytes

    @Test func unsentBytesOfOpenStreamsAreWaitedFor_gaps() async throws {
        try await withVirtualLoop { loop in
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1_000)
            let reading = loop.async {
                try await loop.sleep(for: .seconds(2))
                return try await far.read(exactly: 5_000).count
            }
            try await loop.finishing {
                loop.shutDown()
                try near.enqueue([UInt8](repeating: 1, count: 5_000))
            }
            #expect(near.unsentBytes == 0)
            #expect(try await reading.value == 5_000)
            near.abort()
            far.abort()
        }
    }

    @Test func bytesThatNobodyTakesAreToldAtTheDeadline_gaps() async throws {
        try await withVirtualLoop { loop in
            let journal = Journal(loop)
            let (near, far) = try MemoryStream.pair(on: loop, capacity: 1_000)
            let error =
                await loop.failureOfFinishing {
                    loop.shutDown(within: .seconds(3))
                    try near.enqueue([UInt8](repeating: 1, count: 200_000))
                } as? ShutdownError
            #expect(journal.elapsed == .seconds(3))
            #expect(error?.code == .bytesUnsent)
            #expect(error?.report.unsentBytes == near.unsentBytes && near.unsentBytes > 0)
            near.abort()
            far.abort()
        }
    }
}
