import Glibc
import TestSupport
import Testing
import Updraft

@testable import UpdraftTesting

/// The scripted poller of the testing library: contract row A16.
@Suite(.timeLimit(.minutes(1))) struct ScriptedDescriptorTests {
    /// Contract row 3.1.e1.
    @Test func isReadyAtItsMomentOfVirtualTime_A16() async throws {
        try await withVirtualLoop { loop in
            let begin = loop.now
            let line = try ScriptedDescriptor(on: loop)
            line.become(.read, after: .seconds(3))
            try await loop.readable(line.number)
            #expect(begin.duration(to: loop.now) == .seconds(3))
            line.readiness = []
            line.become(.read, after: .seconds(6))
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.seconds(5)) { try await loop.readable(line.number) }
            }
            #expect(begin.duration(to: loop.now) == .seconds(8))
            try await loop.readable(line.number)
            #expect(begin.duration(to: loop.now) == .seconds(9))
        }
    }

    @Test func aHandlerIsCalledInEveryTurnForExactlyWhatItAskedFor_C5() async throws {
        try await withVirtualLoop { loop in
            let line = try ScriptedDescriptor(on: loop)
            var seen: [IOEvents] = []
            try loop.addHandler(line.number, events: .read) { _, events in
                seen.append(events)
                if seen.count == 3 { line.readiness = .write }
            }
            try await loop.waitUntilIdle()
            #expect(seen.isEmpty)
            line.readiness = [.read, .write]
            try await loop.waitUntilIdle()
            #expect(seen == [.read, .read, .read])
            try loop.updateHandler(line.number, events: .write)
            try await loop.turns { seen.count == 4 }
            #expect(seen.last == .write)
            line.readiness = .error
            try await loop.turns { seen.last == .error }
            loop.removeHandler(line.number)
            try await loop.waitUntilIdle()
        }
    }

    @Test func aHandlerThatIsRemovedInTheBatchGetsNothing_B7_C3() async throws {
        try await withVirtualLoop { loop in
            let lines = try (0..<3).map { _ in try ScriptedDescriptor(on: loop) }
            var log: [Int] = []
            for (index, line) in lines.enumerated() {
                try loop.addHandler(line.number, events: .read) { _, _ in
                    log.append(index)
                    for line in lines { loop.removeHandler(line.number) }
                }
                line.become(.read, after: .seconds(1))
            }
            try await loop.sleep(for: .seconds(2))
            #expect(log == [0])
        }
    }

    @Test func edgesAreToldOnceEachTimeTheyAreSet() throws {
        let clock = ManualClock()
        let poller = try VirtualPoller(clock: clock)
        let loop = try IOLoop(poller: poller, clock: clock)
        defer { loop.close() }
        let line = try ScriptedDescriptor(on: loop)
        let events = UnsafeMutableBufferPointer<PollEvent>.allocate(capacity: 4)
        defer { events.deallocate() }
        func ready() throws -> [IOEvents] {
            let count = try poller.wait(timeoutNanoseconds: 0, into: events)
            return events[..<count].map(\.events)
        }
        line.readiness = .write
        try poller.add(line.number, events: [.read, .write], mode: .edge, token: 99 << 32)
        #expect(try ready() == [.write])
        #expect(try ready() == [])
        line.readiness = [.read, .write]
        #expect(try ready() == [[.read, .write]])
        #expect(try ready() == [])
        poller.rearm(line.number, events: .read)
        #expect(try ready() == [.read])
        try poller.remove(line.number)
        line.readiness = .read
        #expect(try ready() == [])
    }

    @Test func mistakesAreThoseOfOtherPollers_C8() async throws {
        try await withVirtualLoop { loop in
            let poller = try #require(loop.virtualPoller)
            let line = try ScriptedDescriptor(on: loop)
            func errno(_ body: () throws -> Void) -> Int32? {
                do { try body() } catch { return (error as? SystemError)?.errno }
                return nil
            }
            func add() throws {
                try poller.add(line.number, events: .read, mode: .level, token: 1)
            }
            #expect(errno { try poller.remove(line.number) } == ENOENT)
            #expect(
                errno {
                    try poller.modify(line.number, events: .read, mode: .level, token: 1)
                } == ENOENT)
            try add()
            #expect(errno(add) == EEXIST)
            try poller.remove(line.number)
        }
    }

    @Test func realDescriptorsAreServedBesideScriptedOnes() async throws {
        try await withVirtualLoop { loop in
            let pipe = SystemPipe()
            defer { withExtendedLifetime(pipe) {} }
            let lines = try (0..<20).map { _ in try ScriptedDescriptor(on: loop) }
            var served: Set<Int32> = []
            for descriptor in lines.map(\.number) + [pipe.readEnd] {
                try loop.addHandler(descriptor, events: .read) { descriptor, _ in
                    served.insert(descriptor)
                }
            }
            for line in lines { line.readiness = .read }
            pipe.put()
            try await loop.turns { served.count == 21 }
            for descriptor in served { loop.removeHandler(descriptor) }
        }
    }

    @Test func aBatchThatIsFullStarvesNobody() throws {
        let clock = ManualClock()
        let poller = try VirtualPoller(clock: clock)
        let loop = try IOLoop(poller: poller, clock: clock)
        defer { loop.close() }
        let lines = try (0..<5).map { _ in try ScriptedDescriptor(on: loop) }
        for (index, line) in lines.enumerated() {
            line.readiness = .read
            try poller.add(line.number, events: .read, mode: .level, token: UInt64(index))
        }
        let events = UnsafeMutableBufferPointer<PollEvent>.allocate(capacity: 2)
        defer { events.deallocate() }
        var seen: [UInt64] = []
        for _ in 0..<5 {
            let count = try poller.wait(timeoutNanoseconds: 0, into: events)
            seen += events[..<count].map(\.token)
        }
        #expect(seen == [0, 1, 2, 3, 4, 0, 1, 2, 3, 4])
        for line in lines { try poller.remove(line.number) }
    }

    @Test func aWaitThatIsToldToFailEndsTheLoop_B6() async throws {
        let error = await failure {
            try await withVirtualLoop { loop in
                loop.virtualPoller?.failNextWait(SystemError(errno: EBADF, operation: "wait"))
                try await loop.sleep(for: .seconds(1))
            }
        }
        #expect((error as? SystemError)?.errno == EBADF)
    }

    @Test func theLoopKeepsItUntilEitherIsClosed() async throws {
        try await onFreshThread {
            weak var kept: ScriptedDescriptor?
            weak var closed: ScriptedDescriptor?
            let clock = ManualClock()
            let loop = try IOLoop(poller: VirtualPoller(clock: clock), clock: clock)
            try loop.runSync {
                let number = try ScriptedDescriptor(on: loop).number
                kept = loop.virtualPoller?.scripted[number]
                kept?.become(.read, after: .seconds(1))
                try await loop.readable(number)
                let other = try ScriptedDescriptor(on: loop)
                closed = other
                other.close()
                other.close()
                other.readiness = .read
                #expect(fcntl(other.number, F_GETFD) == -1 && other.readiness == [])
            }
            #expect(closed == nil && kept != nil)
            loop.close()
            #expect(kept == nil)
        }
    }

    @Test func aLoopInRealTimeHasNoVirtualPoller() async throws {
        try await withLoop { loop in #expect(loop.virtualPoller == nil) }
    }
}

/// Contract row A12.
@Suite struct ManualClockTests {
    @Test func standsStillUntilItIsMovedAndNeverGoesBack() {
        let clock = ManualClock(start: LoopInstant(nanoseconds: 5))
        #expect(clock.now().nanoseconds == 5)
        clock.advance(by: .seconds(1))
        clock.advance(by: .seconds(-3))
        #expect(clock.now().nanoseconds == 1_000_000_005)
    }

    /// Contract row 3.1.e1.
    @Test func timeoutsFireWhenTheTestMovesTheClock_A12() async throws {
        try await withVirtualLoop { loop in
            let clock = try #require(loop.virtualPoller?.clock)
            var fired: [Int] = []
            for second in [1, 2, 3] {
                loop.callLater(.seconds(second)) { fired.append(second) }
            }
            try await loop.waitUntilIdle()
            #expect(fired == [])
            // As if something had computed for so long.
            clock.advance(by: .milliseconds(2_500))
            try await loop.waitUntilIdle()
            #expect(fired == [1, 2])
        }
    }
}
