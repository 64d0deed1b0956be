import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// A loop on every poller. Contract rows B6, B7, C1-C9, H1, I1.
@Suite struct PollerLoopTests {
    @Test(arguments: PollerKind.tested)
    func handlersAreLevelTriggeredExactAndRemovable_C5(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.readEnd, events: [.read, .write]) { descriptor, events in
                #expect(descriptor == pipe.readEnd)
                #expect(events == .read)
                calls += 1
                if calls == 5 { pipe.take() }
            }
            try await loop.turns(3)
            #expect(calls == 0)
            pipe.put()
            try await loop.turns(10)
            #expect(calls == 5)
            pipe.put()
            loop.removeHandler(pipe.readEnd)
            try await loop.turns(3)
            #expect(calls == 5)
        }
    }

    @Test(arguments: PollerKind.tested)
    func updateReplacesTheMask_C2(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.writeEnd, events: .read) { _, events in
                #expect(events == .write)
                calls += 1
            }
            try await loop.turns(3)
            #expect(calls == 0)
            try loop.updateHandler(pipe.writeEnd, events: .write)
            try await loop.turns(until: { calls > 0 })
            try loop.updateHandler(pipe.writeEnd, events: [])
            try await loop.nextTurn()
            let before = calls
            try await loop.turns(5)
            #expect(calls == before)
            loop.removeHandler(pipe.writeEnd)
            loop.removeHandler(pipe.writeEnd)
            loop.removeHandler(60_000)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aSecondHandlerIsAnErrorAndTheFirstGoesOn_C8(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in calls += 1 }
            let error = #expect(throws: LoopError.self) {
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            }
            #expect(error?.code == .duplicateHandler)
            pipe.put()
            try await loop.turns(until: { calls > 0 })
            loop.removeHandler(pipe.readEnd)
        }
    }

    @Test(arguments: PollerKind.tested)
    func failuresShowUnaskedWhereThePollerTellsThem_C1(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pipe = SystemPipe()
            var seen: IOEvents = []
            try loop.addHandler(pipe.writeEnd, events: []) { _, events in seen = events }
            pipe.closeRead()
            try await loop.turns(3)
            #expect(seen.meets(.error) == kind.watchesUnasked)
            // On the others it shows as soon as a direction is watched for.
            try loop.updateHandler(pipe.writeEnd, events: .write)
            try await loop.turns(until: { !seen.isEmpty })
            #expect(seen.meets(.error))
            loop.removeHandler(pipe.writeEnd)
        }
    }

    @Test(arguments: PollerKind.tested)
    func aNumberThatIsReusedNeverGetsTheEventOfItsPredecessor_C3(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pipes = [SystemPipe(), SystemPipe()]
            let fresh = SystemPipe()
            var served = 0
            var stale = 0
            for (index, pipe) in pipes.enumerated() {
                let victim = pipes[1 - index]
                try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                    served += 1
                    loop.removeHandler(descriptor)
                    // The victim's event is fetched; its number becomes another pipe, which has
                    // nothing to read.
                    loop.removeHandler(victim.readEnd)
                    #expect(dup2(fresh.readEnd, victim.readEnd) == victim.readEnd)
                    try loop.addHandler(victim.readEnd, events: .read) { _, _ in stale += 1 }
                }
            }
            loop.addCallback { for pipe in pipes { pipe.put() } }
            try await loop.turns(10)
            #expect(served == 1)
            #expect(stale == 0)
            fresh.put()
            try await loop.turns(until: { stale > 0 })
            for pipe in pipes { loop.removeHandler(pipe.readEnd) }
        }
    }

    @Test(arguments: PollerKind.tested)
    func aDescriptorClosedWithItsHandlerStillThereHarmsNobody(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let victim = SocketPair()
            let number = RareNumber(victim.near)
            // epoll goes by the open file, which lives as long as any of its numbers.
            victim.closeNear()
            try loop.addHandler(number.descriptor, events: .read) { _, _ in }
            try await loop.turns(2)
            let closed = number.closed()
            try await loop.turns(3)
            loop.removeHandler(closed)
            // The number serves the next descriptor that gets it.
            let pair = SocketPair()
            #expect(dup2(pair.near, closed) == closed)
            defer { close(closed) }
            pair.send()
            try await loop.readable(closed)
        }
    }

    @Test(arguments: PollerKind.tested)
    func otherThreadsWakeASleepingLoop_I1(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let pool = try BlockingPool(name: "wakes", size: 1)
            defer { pool.close() }
            let remote = loop.remote
            let before = loop.now
            for _ in 0..<50 {
                // Nothing but the other thread ends this before its time.
                let sleeper = loop.spawn { try await loop.sleep(for: .seconds(20)) }
                try pool.submit { remote.addCallback { sleeper.cancel() } }
                await sleeper.value
            }
            #expect(before.duration(to: loop.now) < .seconds(20))
        }
    }

    @Test(arguments: PollerKind.tested)
    func timeoutsAreNeverEarlyAndCostNoTurnsBeforeTheirDeadline_E9(_ kind: PollerKind) async throws
    {
        try await withLoop(poller: kind) { loop in
            for microseconds in [1, 700, 1_300, 12_345] {
                let wait = Duration.microseconds(microseconds)
                let before = loop.now
                let turn = loop.turnNumber
                try await loop.sleep(for: wait)
                #expect(before.duration(to: loop.now) >= wait)
                // Rounded up, so that no turns are spent in the last moment before the deadline.
                #expect(loop.turnNumber - turn <= 3)
            }
        }
    }

    @Test(arguments: PollerKind.tested)
    func anIdleLoopUsesNoCPU_B4_H6(_ kind: PollerKind) async throws {
        try await withLoop(poller: kind) { loop in
            let (near, far) = try await connectedPair(on: loop)
            let listener = TCPServer(port: 0)
            try listener.listen { _ in }
            defer { listener.stop() }
            let pipe = SystemPipe()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            defer { loop.removeHandler(pipe.readEnd) }
            // What has just been set up reports once that it can be written to.
            try await loop.waitUntilIdle()
            let turns = loop.turnNumber
            let used = threadTime()
            // No wait for a state: what is measured is that nothing happens meanwhile.
            try await loop.sleep(for: .milliseconds(300))
            #expect(loop.turnNumber - turns <= 3)
            #expect(threadTime() - used < .milliseconds(15))
            near.close()
            far.close()
        }
    }
}

/// Processor time of the calling thread.
private func threadTime() -> Duration {
    var time = timespec()
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time)
    return .seconds(time.tv_sec) + .nanoseconds(time.tv_nsec)
}
