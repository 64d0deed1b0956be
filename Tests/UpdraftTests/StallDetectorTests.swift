import Glibc
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows G1-G4. What blocks here goes on until the line has come, so a test waits exactly
/// as long as it must.
@Suite struct StallDetectorTests {
    @Test func aBlockedTurnIsLoggedOnceWhileItGoesOn_G2_G3() async throws {
        let (logged, longPast) = (Flag(), Flag())
        let lines = LogLines { _ in logged.set() }
        try await withLoop(making: { try IOLoop(name: "mine") }) { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            // Long after the line the turn is still the same.
            loop.setBlockingSignalThreshold(.milliseconds(100)) { _ in longPast.set() }
            try await loop.group { group in
                group.spawn(name: "digger") {
                    spinUntilSet(logged)
                    spinUntilSet(longPast)
                }
            }
        }
        #expect(lines.all.count == 1)
        let line = try #require(lines.all.first)
        #expect(line.hasPrefix("warning: loop 'mine' has been blocked for "))
        #expect(line.contains("(threshold 20.0 ms)"))
        #expect(line.contains("task 'digger'"))
        #expect(line.contains("spinUntilSet("))
        #expect(line.contains("UpdraftTests"), "the module of the function")
    }

    @Test func aSystemCallThatBlocksShowsItsCaller_G2_G3() async throws {
        let pipe = SystemPipe()
        let (readEnd, writeEnd) = (pipe.readEnd, pipe.writeEnd)
        _ = fcntl(readEnd, F_SETFL, 0)
        let lines = LogLines { _ in _ = Glibc.write(writeEnd, [1], 1) }
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            loop.spawn { blockInAReadOf(readEnd) }
            try await loop.turns(3)
        }
        #expect(lines.all.count == 1)
        #expect(lines.all.first?.contains("blockInAReadOf(") == true, "\(lines.all)")
        withExtendedLifetime(pipe) {}
    }

    @Test func everyBlockedTurnHasItsOwnLine_G2() async throws {
        let flags = [Flag(), Flag(), Flag()]
        let count = Counter()
        let lines = LogLines { _ in
            flags[min(count.value, 2)].set()
            count.add()
        }
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            for flag in flags {
                spinUntilSet(flag)
                try await loop.nextTurn()
            }
        }
        #expect(lines.all.count == 3)
    }

    @Test func theLineSaysWhatTheLoopWasDoing_G2() async throws {
        let flags = [Flag(), Flag(), Flag()]
        let count = Counter()
        let lines = LogLines { _ in
            flags[min(count.value, 2)].set()
            count.add()
        }
        let pipe = SystemPipe()
        let (readEnd, writeEnd) = (pipe.readEnd, pipe.writeEnd)
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            var handled = false
            loop.callLater(.zero) { spinUntilSet(flags[0]) }
            try await loop.turns { flags[0].isSet }
            loop.addCallback { spinUntilSet(flags[1]) }
            try await loop.turns { flags[1].isSet }
            try loop.addHandler(readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                spinUntilSet(flags[2])
                handled = true
            }
            _ = Glibc.write(writeEnd, [1], 1)
            try await loop.turns { handled }
        }
        let all = lines.all
        try #require(all.count == 3)
        #expect(all[0].contains(" in a timeout\n"))
        #expect(all[1].contains(" in a callback or a task that was ready\n"))
        #expect(all[2].contains(" in what waited for descriptor \(readEnd)\n"))
        withExtendedLifetime(pipe) {}
    }

    @Test func idleTimeNeverCounts_G4() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(200))
            // Two thresholds of idle time in one poll, and as many in several.
            try await loop.sleep(for: .milliseconds(450))
            for _ in 0..<5 { try await loop.sleep(for: .milliseconds(90)) }
        }
        #expect(lines.all.isEmpty)
    }

    @Test func whatIsTurnedOffOrClosedIsNotWatched_G1_G2() async throws {
        let (lines, seen) = (LogLines(), Flag())
        let key = try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(5))
            loop.setBlockingLogThreshold(nil)
            loop.setBlockingSignalThreshold(.milliseconds(30)) { _ in seen.set() }
            spinUntilSet(seen)
            #expect(StallMonitor.shared.isWatching(ObjectIdentifier(loop.executor)))
            return ObjectIdentifier(loop.executor)
        }
        #expect(lines.all.isEmpty)
        #expect(!StallMonitor.shared.isWatching(key))
    }

    @Test func anActionGetsTheTurnAndItsStackWhileItIsBlocked_G1() async throws {
        let (turns, seen) = (LogLines(), Flag())
        try await withLoop(making: { try IOLoop(name: "acted") }) { loop in
            let loopThread = pthread_self()
            loop.setBlockingSignalThreshold(.milliseconds(20)) { turn in
                #expect(turn.loopName == "acted")
                #expect(turn.threshold == .milliseconds(20))
                #expect(turn.duration >= turn.threshold)
                #expect(turn.stack.contains { $0.contains("spinUntilSet(") })
                #expect(pthread_equal(pthread_self(), loopThread) == 0)
                turns.add("\(turn)")
                seen.set()
            }
            spinUntilSet(seen)
            try await loop.nextTurn()
        }
        #expect(turns.all.count == 1)
    }

    @Test func withoutAnActionTheProcessIsKilledBySIGALRM_G1() async {
        await #expect(processExitsWith: .signal(SIGALRM)) {
            try IOLoop.run { loop in
                loop.setBlockingSignalThreshold(.milliseconds(20))
                try await loop.nextTurn()
                spinUntilSet(Flag())
            }
        }
    }

    @Test func aThreadThatIsGoneOrElsewhereGivesNoStack_G2() async throws {
        let pulse = LoopPulse()
        #expect(StackSample.take(of: Int32.max, in: pulse, turn: 1) == nil)
    }

    @Test func loopsOnSeveralThreadsAreWatchedByOneThread_G2() async throws {
        let released = Flag()
        let count = Counter()
        let lines = LogLines { _ in
            count.add()
            if count.value == 3 { released.set() }
        }
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 {
                group.addTask {
                    try await withLoop(making: { try IOLoop(name: "loop \(number)") }) { loop in
                        loop.logger = lines.logger
                        loop.setBlockingLogThreshold(.milliseconds(20))
                        spinUntilSet(released)
                    }
                }
            }
            try await group.waitForAll()
        }
        for number in 0..<3 {
            #expect(lines.all.filter { $0.contains("loop 'loop \(number)'") }.count == 1)
        }
    }
}
