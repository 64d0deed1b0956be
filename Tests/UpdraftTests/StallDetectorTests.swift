import Glibc
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// Contract rows G1-G4. What blocks here goes on until the line has come. Turns of a machine that
/// has too much to do may be reported too, so each test looks for the lines of its own function.
@Suite struct StallDetectorTests {
    @Test(.interruptsSpinning)
    func aBlockedTurnIsLoggedOnceWhileItGoesOn_G2_G3() async throws {
        let (lines, later) = (LogLines(), LogLines())
        try await withLoop(making: { try IOLoop(name: "mine") }) { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            // Long after the line the turn is still the same.
            loop.setBlockingSignalThreshold(.milliseconds(100)) { later.add("\($0)") }
            try await loop.group { group in
                group.spawn(name: "digger") {
                    var isDone = false
                    while !isDone {
                        let (log, action) = (lines.with("spin(").count, later.with("spin(").count)
                        spin { lines.with("spin(").count > log }
                        spin { later.with("spin(").count > action }
                        let logged = lines.with("spin(").count - log
                        #expect(logged <= 1)
                        isDone = logged == 1 && later.with("spin(").count > action
                        try await loop.nextTurn()
                    }
                }
            }
        }
        let ours = lines.with("spin(")
        let line = try #require(ours.first)
        #expect(line.hasPrefix("warning: loop 'mine' has been blocked for "))
        #expect(line.contains("(threshold 20.0 ms)"))
        #expect(line.contains("task 'digger'"))
        #expect(line.contains("UpdraftTests"), "the module of the function")
    }

    @Test func aSystemCallThatBlocksShowsItsCaller_G2_G3() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            try await loop.blockTurns(untilReportedIn: lines, with: ["blockInAPoll("]) { _ in
                blockInAPoll()
            }
        }
        #expect(!lines.with("blockInAPoll(", "poll").isEmpty)
    }

    @Test(.interruptsSpinning)
    func everyBlockedTurnHasItsOwnLine_G2() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            for _ in 0..<3 {
                try await loop.blockTurns(untilReportedIn: lines, with: ["spin("]) {
                    spin(until: $0)
                }
            }
        }
        #expect(lines.with("spin(").count >= 3)
    }

    @Test(.interruptsSpinning)
    func theLineSaysWhatTheLoopWasDoing_G2() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            let timeout = ["spin(", " in a timeout\n"]
            try await loop.blockTurns(untilReportedIn: lines, with: timeout) { isReported in
                loop.callLater(.zero) { spin(until: isReported) }
                try await loop.turns(3)
            }
            let callback = ["spin(", " in a callback or a task that was ready\n"]
            try await loop.blockTurns(untilReportedIn: lines, with: callback) { isReported in
                loop.addCallback { spin(until: isReported) }
                try await loop.turns(3)
            }
            let pipe = SystemPipe()
            let handler = ["spin(", " in what waited for descriptor \(pipe.readEnd)\n"]
            try await loop.blockTurns(untilReportedIn: lines, with: handler) { isReported in
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    pipe.take()
                    spin(until: isReported)
                }
                pipe.put()
                try await loop.turns(3)
                loop.removeHandler(pipe.readEnd)
            }
        }
    }

    @Test func idleTimeNeverCounts_G4() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            // Many thresholds of idle time in one poll, and as many in several.
            try await loop.sleep(for: .milliseconds(300))
            for _ in 0..<5 { try await loop.sleep(for: .milliseconds(60)) }
        }
        #expect(lines.with("Poller.wait(").isEmpty)
    }

    @Test func whatIsTurnedOffOrClosedIsNotWatched_G1_G2() async throws {
        let key = try await withLoop { loop in
            let key = ObjectIdentifier(loop.executor)
            #expect(StallMonitor.shared.purposes(of: key).isEmpty)
            loop.setBlockingLogThreshold(.seconds(3_600))
            loop.setBlockingSignalThreshold(.seconds(3_600)) { _ in }
            #expect(StallMonitor.shared.purposes(of: key) == [.log, .signal])
            loop.setBlockingLogThreshold(nil)
            #expect(StallMonitor.shared.purposes(of: key) == [.signal])
            loop.setBlockingSignalThreshold(nil)
            #expect(StallMonitor.shared.purposes(of: key).isEmpty)
            loop.setBlockingLogThreshold(.seconds(3_600))
            return key
        }
        #expect(StallMonitor.shared.purposes(of: key).isEmpty)
    }

    @Test(.interruptsSpinning)
    func anActionGetsTheTurnAndItsStackOffTheLoop_G1() async throws {
        let turns = LogLines()
        try await withLoop(making: { try IOLoop(name: "acted") }) { loop in
            let loopThread = pthread_self()
            loop.setBlockingSignalThreshold(.milliseconds(20)) { turn in
                #expect(turn.loopName == "acted")
                #expect(turn.threshold == .milliseconds(20))
                #expect(turn.duration >= turn.threshold)
                #expect(pthread_equal(pthread_self(), loopThread) == 0)
                turns.add(turn.stack.joined(separator: "\n"))
            }
            try await loop.blockTurns(untilReportedIn: turns, with: ["spin("]) { spin(until: $0) }
        }
        #expect(!turns.with("spin(").isEmpty)
    }

    @Test func withoutAnActionTheProcessIsKilledBySIGALRM_G1() async {
        await #expect(processExitsWith: .signal(SIGALRM)) {
            try IOLoop.run { loop in
                loop.setBlockingSignalThreshold(.milliseconds(20))
                while true { spin { false } }
            }
        }
    }

    @Test func aThreadThatIsGoneGivesNoStack_G2() {
        #expect(StackSample.take(of: Int32.max, in: LoopPulse(), turn: 1) == nil)
    }

    @Test func aTurnThatIsOverGivesNoStack_G2() async throws {
        try await withLoop { loop in
            loop.setBlockingLogThreshold(.seconds(3_600))
            let thread = StackSample.thisThread
            #expect(StackSample.take(of: thread, in: loop.pulse, turn: 1) == nil)
            let turn = loop.pulse.busySince
            let sample = StackSample.take(of: thread, in: loop.pulse, turn: turn)
            #expect(sample?.symbolisedStack().isEmpty == false)
        }
    }

    @Test(.interruptsSpinning)
    func loopsOnSeveralThreadsAreWatchedAtOnce_G2() async throws {
        let lines = LogLines()
        try await withThrowingTaskGroup(of: Void.self) { group in
            for number in 0..<3 {
                group.addTask {
                    try await withLoop(making: { try IOLoop(name: "loop \(number)") }) { loop in
                        loop.logger = lines.logger
                        loop.setBlockingLogThreshold(.milliseconds(20))
                        let texts = ["loop 'loop \(number)'", "spin("]
                        try await loop.blockTurns(untilReportedIn: lines, with: texts) {
                            spin(until: $0)
                        }
                    }
                }
            }
            try await group.waitForAll()
        }
    }
}
