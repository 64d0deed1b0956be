import Testing

@testable import Updraft

/// What a supervisor decides, without processes: contract row K9, conformance 3.6 (1), issue 3 part
/// 9, and the multi-process row of 4.1 (#1912, #2949, restart back-off, rolling restart).
@Suite struct SupervisorMachineTests {
    typealias Action = SupervisorMachine.Action

    /// A machine, a clock, and pids that tell which start of which worker it was: the second of
    /// worker 1 is 1002.
    struct Rig {
        var machine: SupervisorMachine
        var now = LoopInstant(nanoseconds: 0)
        var starts: [Int: Int] = [:]

        init(_ workers: Int, _ change: (inout Prefork.Options) -> Void = { _ in }) {
            var options = Prefork.Options()
            change(&options)
            machine = SupervisorMachine(workers: workers, options: options)
        }

        /// What comes of an event, without what is only logged.
        mutating func on(_ event: SupervisorMachine.Event) -> [Action] {
            machine.handle(event, at: now).filter { if case .log = $0 { false } else { true } }
        }

        mutating func logs(_ event: SupervisorMachine.Event) -> [String] {
            machine.handle(event, at: now).compactMap {
                if case .log(_, let text) = $0 { text } else { nil }
            }
        }

        mutating func started(_ id: Int) -> [Action] {
            starts[id, default: 0] += 1
            return on(.started(id, pid: Int32(id * 1_000 + starts[id, default: 0])))
        }

        /// All have been started and serve.
        mutating func serving() {
            let workers = on(.begin).count
            for id in 0..<workers { _ = started(id) }
            for id in 0..<workers { _ = on(.ready(id)) }
        }

        /// Goes on to the next deadline.
        mutating func nextDeadline() -> [Action] {
            guard let deadline = machine.deadline else { return [] }
            now = deadline
            return on(.timeout)
        }

        mutating func pass(_ duration: Duration) { now = now.advanced(by: duration) }

        var untilDeadline: Duration? { machine.deadline.map { now.duration(to: $0) } }
    }

    // MARK: Starts and restarts

    @Test func workersHaveTaskIdsFromZero() {
        var rig = Rig(3)
        #expect(rig.on(.begin) == [.start(0), .start(1), .start(2)])
    }

    @Test(arguments: [1, 2])
    func aStopBeforeTheBeginStartsNobody(stops: Int) {
        var rig = Rig(2)
        #expect(rig.on(.stop(.sigterm)) == [.closeListeners(0), .closeListeners(1)])
        for _ in 1..<stops { #expect(rig.on(.stop(.sigterm)) == []) }
        #expect(rig.on(.begin) == [.finish(nil)])
    }

    @Test func allReadyIsToldOnceWhenTheLastIs() {
        var rig = Rig(2)
        _ = rig.on(.begin)
        #expect(rig.started(0) == [] && rig.started(1) == [])
        #expect(rig.on(.ready(1)) == [])
        #expect(rig.on(.ready(0)) == [.allReady])
        _ = rig.on(.ended(0, .exited(1)))
        _ = rig.nextDeadline()
        _ = rig.started(0)
        #expect(rig.on(.ready(0)) == [])
    }

    /// Contract row 3.6.1.
    @Test func exit0IsNotRestarted() {
        var rig = Rig(2)
        rig.serving()
        #expect(rig.on(.ended(1, .exited(0))) == [.closeListeners(1)])
        #expect(rig.machine.deadline == nil)
    }

    @Test func itIsDoneWhenAllHaveEndedCleanly() {
        var rig = Rig(2)
        rig.serving()
        _ = rig.on(.ended(1, .exited(0)))
        #expect(rig.on(.ended(0, .exited(0))) == [.closeListeners(0), .finish(nil)])
        #expect(rig.on(.ready(0)) == [] && rig.on(.stop(.sigterm)) == [])
    }

    @Test(arguments: [Updraft.ExitStatus.exited(2), .exited(255), .signalled(Signal(9)), .unknown])
    func anAbnormalEndIsRestartedWithTheSameId(status: Updraft.ExitStatus) {
        var rig = Rig(3)
        rig.serving()
        #expect(rig.on(.ended(1, status)) == [])
        #expect(rig.nextDeadline() == [.start(1)])
        #expect(rig.started(1) == [])
        #expect(rig.machine.deadline == nil)
    }

    @Test func theDelayDoublesForEachRestartOfAWorkerUpToItsMost() {
        var rig = Rig(2) {
            $0.restartDelay = .milliseconds(100)
            $0.restartDelayMax = .seconds(1)
        }
        rig.serving()
        var delays: [Duration] = []
        for _ in 0..<6 {
            _ = rig.on(.ended(0, .exited(1)))
            delays.append(rig.untilDeadline ?? .zero)
            _ = rig.nextDeadline()
            _ = rig.started(0)
        }
        #expect(delays == [100, 200, 400, 800, 1_000, 1_000].map { .milliseconds($0) })
        // The other one has its own.
        _ = rig.on(.ended(1, .exited(1)))
        #expect(rig.untilDeadline == .milliseconds(100))
    }

    @Test func theDelayHasNoOverflowAndMayBeZero() {
        var options = Prefork.Options()
        let most = options.restartDelayMax
        #expect(SupervisorMachine.delay(beforeRestart: 100_000, options) == most)
        options.restartDelay = .zero
        #expect(SupervisorMachine.delay(beforeRestart: 100_000, options) == .zero)
        options.restartDelay = .seconds(60)
        #expect(SupervisorMachine.delay(beforeRestart: 1, options) == most)
    }

    @Test func aWorkerThatHasLivedAWhileBeginsAgainWithTheShortestDelay() {
        var rig = Rig(1) { $0.stableAfter = .seconds(10) }
        rig.serving()
        for _ in 0..<4 {
            _ = rig.on(.ended(0, .exited(1)))
            _ = rig.nextDeadline()
            _ = rig.started(0)
        }
        rig.pass(.seconds(10))
        _ = rig.on(.ended(0, .exited(1)))
        #expect(rig.untilDeadline == .milliseconds(100))
    }

    @Test func theLimitIsAHundredRestartsAsInTornado() {
        #expect(Prefork.Options().restartsMax == 100)
    }

    @Test func atTheLimitTheOthersAreStoppedAndItFails() {
        var rig = Rig(3) { $0.restartsMax = 2 }
        rig.serving()
        for id in [0, 1] {
            _ = rig.on(.ended(id, .exited(1)))
            _ = rig.nextDeadline()
            _ = rig.started(id)
        }
        #expect(
            rig.on(.ended(0, .exited(7)))
                == (0..<3).map { .closeListeners($0) } + [.send(.sigterm, 1), .send(.sigterm, 2)])
        _ = rig.on(.ended(1, .exited(0)))
        let actions = rig.on(.ended(2, .exited(0)))
        guard case .finish(let error?) = actions.last else {
            Issue.record("it did not fail: \(actions)")
            return
        }
        #expect(error.code == .tooManyRestarts)
        #expect(error.message.contains("2 restarts") && error.message.contains("exited with 7"))
    }

    @Test func restartsOfWorkersThatBecameStableDoNotCountForTheLimit() {
        var rig = Rig(1) { $0.restartsMax = 2 }
        rig.serving()
        for _ in 0..<50 {
            rig.pass(.seconds(60))
            #expect(rig.on(.ended(0, .exited(1))) == [])
            #expect(rig.nextDeadline() == [.start(0)])
            _ = rig.started(0)
        }
    }

    @Test func withoutRestartsTheFirstAbnormalEndFails() {
        var rig = Rig(1) { $0.restartsMax = 0 }
        rig.serving()
        let actions = rig.on(.ended(0, .signalled(Signal(11))))
        guard case .finish(let error?) = actions.last else {
            Issue.record("it did not fail: \(actions)")
            return
        }
        #expect(error.code == .tooManyRestarts && error.message.contains("signal 11"))
    }

    @Test func aProgramThatCanNotBeStartedAtAllFailsAtOnce() {
        var rig = Rig(2)
        _ = rig.on(.begin)
        #expect(
            rig.on(.startFailed(0, reason: "no such file")) == [
                .closeListeners(0), .closeListeners(1),
            ])
        let actions = rig.on(.startFailed(1, reason: "no such file"))
        guard case .finish(let error?) = actions.last else {
            Issue.record("it did not fail: \(actions)")
            return
        }
        #expect(error.code == .cannotStart && error.message.contains("no such file"))
    }

    @Test func aRestartThatFailsIsTriedAgainWithBackOffAndCounts() {
        var rig = Rig(1) { $0.restartsMax = 2 }
        rig.serving()
        _ = rig.on(.ended(0, .exited(1)))
        #expect(rig.nextDeadline() == [.start(0)])
        #expect(rig.on(.startFailed(0, reason: "gone")) == [])
        #expect(rig.untilDeadline == .milliseconds(200))
        #expect(rig.nextDeadline() == [.start(0)])
        let actions = rig.on(.startFailed(0, reason: "gone"))
        guard case .finish(let error?) = actions.last else {
            Issue.record("it did not fail: \(actions)")
            return
        }
        #expect(error.code == .tooManyRestarts && error.message.contains("gone"))
    }

    // MARK: The end

    @Test(arguments: [Signal.sigterm, .sigint])
    func stopClosesTheListenersAndForwardsTheSignal(signal: Signal) {
        var rig = Rig(2)
        rig.serving()
        #expect(
            rig.on(.stop(signal))
                == [.closeListeners(0), .closeListeners(1), .send(signal, 0), .send(signal, 1)])
        #expect(rig.untilDeadline == .seconds(30))
        #expect(rig.on(.ended(0, .exited(0))) == [])
        #expect(rig.on(.ended(1, .exited(0))) == [.finish(nil)])
    }

    @Test func whatHasNotEndedByTheDeadlineIsKilledOnceAndNotClean() {
        var rig = Rig(2) { $0.stopTimeout = .seconds(7) }
        rig.serving()
        _ = rig.on(.stop(.sigterm))
        _ = rig.on(.ended(0, .exited(0)))
        #expect(rig.untilDeadline == .seconds(7))
        #expect(rig.nextDeadline() == [.send(Signal(9), 1)])
        #expect(rig.machine.deadline == nil)
        guard case .finish(let error?) = rig.on(.ended(1, .signalled(Signal(9)))).last else {
            Issue.record("a killed worker is not clean")
            return
        }
        #expect(error.code == .notClean && error.message.contains("worker 1 (pid 1001)"))
    }

    @Test func aSecondSignalIsForwardedAndThenKills() {
        var rig = Rig(1)
        rig.serving()
        _ = rig.on(.stop(.sigint))
        rig.pass(.milliseconds(100))
        #expect(rig.on(.stop(.sigint)) == [.send(.sigint, 0)])
        #expect(rig.untilDeadline == .seconds(1))
        #expect(rig.nextDeadline() == [.send(Signal(9), 0)])
    }

    @Test func whatWaitsForItsRestartIsNotStartedAfterAStop() {
        var rig = Rig(2)
        rig.serving()
        _ = rig.on(.ended(0, .exited(1)))
        #expect(rig.on(.stop(.sigterm)).contains(.send(.sigterm, 0)) == false)
        #expect(rig.on(.ended(1, .exited(0))) == [.finish(nil)])
    }

    @Test func whatIsBeingStartedDuringAStopIsStoppedWhenItRuns() {
        var rig = Rig(2)
        _ = rig.on(.begin)
        _ = rig.started(0)
        #expect(rig.on(.stop(.sigterm)).filter { $0 == .send(.sigterm, 1) }.isEmpty)
        #expect(rig.started(1) == [.send(.sigterm, 1)])
    }

    @Test func aWorkerThatIsNotReadyYetMayEndByTheSignalThatAskedIt() {
        var rig = Rig(1)
        _ = rig.on(.begin)
        _ = rig.started(0)
        _ = rig.on(.stop(.sigint))
        #expect(rig.on(.ended(0, .signalled(.sigint))) == [.finish(nil)])
    }

    @Test func aWorkerThatServedAndEndsByTheSignalIsNotClean() {
        var rig = Rig(1)
        rig.serving()
        _ = rig.on(.stop(.sigterm))
        guard case .finish(let error?) = rig.on(.ended(0, .signalled(.sigterm))).last else {
            Issue.record("what it was doing was cut")
            return
        }
        #expect(error.code == .notClean && error.message.contains("was ended by SIGTERM"))
    }

    @Test func otherSignalsArePassedOnToThoseThatRun() {
        var rig = Rig(3)
        rig.serving()
        _ = rig.on(.ended(1, .exited(1)))
        #expect(rig.on(.pass(.sigusr1)) == [.send(.sigusr1, 0), .send(.sigusr1, 2)])
    }

    // MARK: The rolling restart

    @Test func workersAreReplacedOneByOneEachWhenTheOneBeforeIsReady() {
        var rig = Rig(2)
        rig.serving()
        #expect(rig.on(.restartAll) == [.send(.sigterm, 0)])
        #expect(rig.on(.ended(0, .exited(0))) == [.start(0)])
        #expect(rig.started(0) == [])
        #expect(rig.on(.ready(0)) == [.send(.sigterm, 1)])
        #expect(rig.on(.ended(1, .exited(0))) == [.start(1)])
        #expect(rig.started(1) == [])
        #expect(rig.on(.ready(1)) == [])
        #expect(rig.machine.deadline == nil)
    }

    @Test func aWorkerThatDoesNotEndForItsReplacementIsKilled() {
        var rig = Rig(1) { $0.stopTimeout = .seconds(3) }
        rig.serving()
        _ = rig.on(.restartAll)
        #expect(rig.untilDeadline == .seconds(3))
        #expect(rig.nextDeadline() == [.send(Signal(9), 0)])
        #expect(rig.machine.deadline == nil)
        #expect(rig.on(.ended(0, .signalled(Signal(9)))) == [.start(0)])
    }

    @Test func aRollingRestartDoesNotCountAsOneAfterAnAbnormalEnd() {
        var rig = Rig(1) { $0.restartsMax = 0 }
        rig.serving()
        for _ in 0..<3 {
            _ = rig.on(.restartAll)
            #expect(rig.on(.ended(0, .exited(1))) == [.start(0)])
            _ = rig.started(0)
            _ = rig.on(.ready(0))
        }
    }

    @Test func aReplacementThatEndsAbnormallyBreaksTheRestartOff() {
        var rig = Rig(3)
        rig.serving()
        _ = rig.on(.restartAll)
        _ = rig.on(.ended(0, .exited(0)))
        _ = rig.started(0)
        let logs = rig.logs(.ended(0, .exited(1)))
        #expect(logs.contains { $0.contains("broken off") && $0.contains("not restarted: 1, 2") })
        // Alone it goes on trying.
        #expect(rig.nextDeadline() == [.start(0)])
        _ = rig.started(0)
        #expect(rig.on(.ready(0)) == [])
    }

    @Test func aReplacementThatIsNotReadyInTimeBreaksTheRestartOff() {
        var rig = Rig(2) { $0.readyTimeout = .seconds(4) }
        rig.serving()
        _ = rig.on(.restartAll)
        _ = rig.on(.ended(0, .exited(0)))
        _ = rig.started(0)
        #expect(rig.untilDeadline == .seconds(4))
        rig.pass(.seconds(4))
        #expect(rig.logs(.timeout).contains { $0.contains("broken off") })
        #expect(rig.on(.ready(0)) == [])
    }

    @Test func asManyHangUpsAsYouLikeAreOneMoreRestart() {
        var rig = Rig(2)
        rig.serving()
        _ = rig.on(.restartAll)
        #expect(rig.on(.restartAll) == [] && rig.on(.restartAll) == [])
        // Worker 0 is started after the last of them, so it is not restarted twice.
        _ = rig.on(.ended(0, .exited(0)))
        _ = rig.started(0)
        #expect(rig.on(.ready(0)) == [.send(.sigterm, 1)])
        _ = rig.on(.ended(1, .exited(0)))
        _ = rig.started(1)
        // This one comes when both run again: both are due once more.
        #expect(rig.on(.restartAll) == [])
        #expect(rig.on(.ready(1)) == [.send(.sigterm, 0)])
    }

    @Test func whatHasEndedForGoodOrWaitsIsSkippedByARollingRestart() {
        var rig = Rig(3)
        rig.serving()
        _ = rig.on(.ended(0, .exited(0)))
        _ = rig.on(.ended(1, .exited(1)))
        #expect(rig.on(.restartAll) == [.send(.sigterm, 2)])
    }

    @Test func aStopDuringARollingRestartDoesNotSignalTheRetiringOneTwice() {
        var rig = Rig(2)
        rig.serving()
        _ = rig.on(.restartAll)
        #expect(rig.on(.stop(.sigterm)).filter { $0 == .send(.sigterm, 0) }.isEmpty)
        #expect(rig.on(.ended(0, .exited(0))) == [])
        #expect(rig.on(.ended(1, .exited(0))) == [.finish(nil)])
    }
}
