import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows A1-A17.
@Suite struct LoopLifecycleTests {
    @Test func startRunsUntilStop_A6() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            var turns = 0
            func again() {
                turns += 1
                if turns == 5 { loop.stop() } else { loop.addCallback(again) }
            }
            loop.addCallback(again)
            #expect(!loop.isRunning)
            loop.addCallback { #expect(loop.isRunning) }
            try loop.start()
            #expect(turns == 5)
            #expect(!loop.isRunning)
        }
    }

    @Test func stopBeforeStartMakesTheNextStartReturnAtOnceAndIsUsedUp_A8() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            var ran = 0
            loop.stop()
            loop.addCallback { ran += 1 }
            try loop.start()
            #expect(ran == 0)
            loop.addCallback { loop.stop() }
            try loop.start()
            #expect(ran == 1)
        }
    }

    @Test func startsAndStopsAgainAndAgain_A9() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            var ran = 0
            for _ in 0..<3 {
                loop.addCallback {
                    ran += 1
                    loop.stop()
                }
                try loop.start()
            }
            #expect(ran == 3)
        }
    }

    @Test func isRunningEndsWithTheRequestToStop_A10() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            loop.addCallback {
                loop.stop()
                #expect(!loop.isRunning)
            }
            try loop.start()
        }
    }

    @Test func aRunningLoopRefusesAnotherStart() async throws {
        try await withLoop { loop in
            let error = #expect(throws: LoopError.self) { try loop.start() }
            #expect(error?.code == .alreadyRunning)
            let nested = #expect(throws: LoopError.self) {
                try IOLoop.run { _ in }
            }
            #expect(nested?.code == .alreadyRunning)
            let sync = #expect(throws: LoopError.self) { try loop.runSync {} }
            #expect(sync?.code == .alreadyRunning)
        }
    }

    @Test func aSecondLoopOfTheThreadDoesNotStartInsideTheFirst_A17() async throws {
        try await withLoop { loop in
            let other = try IOLoop(name: "other")
            let error = #expect(throws: LoopError.self) { try other.start() }
            #expect(error?.code == .alreadyRunning)
            other.close()
            #expect(IOLoop.current === loop)
        }
    }

    @Test func aClosedLoopDoesNotStart() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            loop.close()
            loop.close()
            let error = #expect(throws: LoopError.self) { try loop.start() }
            #expect(error?.code == .closed)
            #expect(IOLoop.currentIfAny == nil)
        }
    }

    /// Contract row 3.1.40: inside `runSync`.
    @Test func currentIsTheThreadsLoop_A4() async throws {
        try await onFreshThread {
            #expect(IOLoop.currentIfAny == nil)
            let loop = try IOLoop()
            #expect(IOLoop.current === loop)
            try loop.runSync { #expect(IOLoop.current === loop) }
            loop.close()
            #expect(IOLoop.currentIfAny == nil)
        }
    }

    /// Contract row 3.1.36: what `runSync` takes may also return a plain value.
    @Test func callbacksAddedBeforeStartRunInTheFirstTurn_A13() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            var loaded = false
            loop.addCallback { loaded = true }
            let seen = try loop.runSync { loaded }
            #expect(seen)
        }
    }

    @Test func timeIsMonotonicAndUptimeStartsAtZero_A12() async throws {
        try await withVirtualLoop { loop in
            let before = loop.now
            let uptime = loop.uptime
            try await loop.sleep(for: .seconds(5))
            #expect(before.duration(to: loop.now) == .seconds(5))
            #expect(loop.uptime - uptime == .seconds(5))
        }
    }

    // MARK: runSync, A11

    /// Contract rows 3.1.38, 3.1.42: after a wait, from an asynchronous function.
    @Test func runSyncReturnsValuesThatAreNotSendable_A11() async throws {
        final class Local { var number = 7 }
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            let local = try loop.runSync {
                try await loop.sleep(for: .milliseconds(1))
                return Local()
            }
            #expect(local.number == 7)
        }
    }

    @Test func runSyncRethrows_A11() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            #expect(throws: Broken(number: 3)) {
                try loop.runSync { throw Broken(number: 3) }
            }
        }
    }

    /// Contract row 3.1.41.
    @Test func runSyncTimesOutAndCancelsItsBody_A11() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            let ended = Flag()
            let error = #expect(throws: TimeoutError.self) {
                try loop.runSync(timeout: .milliseconds(5)) {
                    defer { ended.set() }
                    try await loop.sleep(for: .seconds(3_600))
                }
            }
            #expect(error?.limit == .milliseconds(5))
            loop.close()
            #expect(ended.isSet)
        }
    }

    /// Contract row 3.1.43.
    @Test func runSyncSaysWhenTheLoopWasStoppedFirst_A11() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            loop.callLater(.milliseconds(1)) { loop.stop() }
            let error = #expect(throws: LoopError.self) {
                try loop.runSync { try await loop.sleep(for: .seconds(3_600)) }
            }
            #expect(error?.code == .stopped)
        }
    }

    @Test func whatIsLeftOfARunSyncThatTimedOutDoesNotStopTheNext() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            #expect(throws: TimeoutError.self) {
                try loop.runSync(timeout: .milliseconds(1)) {
                    try await loop.sleep(for: .seconds(3_600))
                }
            }
            let value = try loop.runSync {
                try await loop.sleep(for: .milliseconds(5))
                return 5
            }
            #expect(value == 5)
        }
    }

    @Test func closeEndsTasksAlsoAfterASecondStop() async throws {
        try await onFreshThread {
            let loop = try IOLoop()
            let ended = Flag()
            try loop.runSync {
                loop.spawn {
                    defer { ended.set() }
                    try await loop.sleep(for: .seconds(3_600))
                }
                try await loop.nextTurn()
            }
            loop.stop()
            loop.close()
            #expect(ended.isSet)
        }
    }

    @Test func runCancelsWhatItsBodySpawned() async throws {
        try await onFreshThread {
            let ended = Flag()
            try IOLoop.run { loop in
                loop.spawn {
                    defer { ended.set() }
                    try await loop.sleep(for: .seconds(3_600))
                }
                try await loop.nextTurn()
            }
            #expect(ended.isSet)
        }
    }

    @Test func closingALoopClosesItsStreamsAndServers() async throws {
        final class Witness: Sendable {
            let freed: Counter
            init(_ freed: Counter) { self.freed = freed }
            deinit { freed.add() }
        }
        try await onFreshThread {
            let freed = Counter()
            for _ in 0..<20 {
                try IOLoop.run { loop in
                    let held = Witness(freed)
                    let server = TCPServer(port: 0)
                    try server.bind()
                    let stream = try await TCPClient.connect(host: "127.0.0.1", port: server.port)
                    stream.onClose { _ = held }
                    try loop.addSignalHandler(.sigusr2) { _ = held }
                }
            }
            #expect(freed.value == 20)
        }
    }
}
