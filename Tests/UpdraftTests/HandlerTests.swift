import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// Contract rows C1-C9, B7, B8.
@Suite struct HandlerTests {
    @Test func aHandlerIsCalledAgainInEveryTurnWhileItsDescriptorIsReady_C5() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, events in
                #expect(descriptor == pipe.readEnd)
                #expect(events == .read)
                calls += 1
                if calls == 5 { pipe.take() }
            }
            try await loop.turns(3)
            #expect(calls == 0)
            pipe.put()
            try await loop.turns(20)
            #expect(calls == 5)
            loop.removeHandler(pipe.readEnd)
        }
    }

    @Test func theMaskIsWhatIsReadyAndAskedFor_C1() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            var writeEvents: [IOEvents] = []
            try loop.addHandler(pipe.writeEnd, events: [.write, .read]) { descriptor, events in
                writeEvents.append(events)
                loop.removeHandler(descriptor)
            }
            try await loop.turns(until: { !writeEvents.isEmpty })
            #expect(writeEvents == [.write])
        }
    }

    @Test(.enabled(if: PollerKind.chosen.watchesUnasked))
    func errorsAreReportedUnasked_C1() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            var seen: [IOEvents] = []
            try loop.addHandler(pipe.writeEnd, events: []) { descriptor, events in
                seen.append(events)
                loop.removeHandler(descriptor)
            }
            try await loop.turns(5)
            #expect(seen.isEmpty)
            pipe.closeRead()
            try await loop.turns(until: { !seen.isEmpty })
            #expect(seen[0].rawValue & IOEvents.error.rawValue != 0)
        }
    }

    @Test func updateReplacesTheMask_C2() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.writeEnd, events: .read) { _, _ in calls += 1 }
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
            let error = #expect(throws: LoopError.self) {
                try loop.updateHandler(pipe.writeEnd, events: .write)
            }
            #expect(error?.code == .noHandler)
        }
    }

    @Test func aHandlerThatWasRemovedDoesNotGetItsFetchedEvent_C3() async throws {
        try await withLoop { loop in
            let pipes = (0..<10).map { _ in SystemPipe() }
            var called: [Int] = []
            for (index, pipe) in pipes.enumerated() {
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in
                    called.append(index)
                    for pipe in pipes { loop.removeHandler(pipe.readEnd) }
                }
            }
            // All are ready in one poll; the first that is served removes all.
            loop.addCallback { for pipe in pipes { pipe.put() } }
            try await loop.turns(10)
            #expect(called.count == 1)
        }
    }

    @Test func aDescriptorThatIsReusedNeverGetsTheEventOfItsPredecessor_C3() async throws {
        try await withLoop { loop in
            let first = SystemPipe()
            let second = SystemPipe()
            let fresh = SystemPipe()
            var stale = 0
            var served = 0
            func reuse(_ victim: SystemPipe) throws {
                served += 1
                // The number of the victim, whose event is fetched, becomes another pipe.
                loop.removeHandler(victim.readEnd)
                #expect(dup2(fresh.readEnd, victim.readEnd) == victim.readEnd)
                try loop.addHandler(victim.readEnd, events: .read) { _, _ in stale += 1 }
            }
            try loop.addHandler(first.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                try reuse(second)
            }
            try loop.addHandler(second.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                try reuse(first)
            }
            loop.addCallback {
                first.put()
                second.put()
            }
            try await loop.turns(10)
            #expect(served == 1)
            #expect(stale == 0)
            fresh.put()
            try await loop.turns(3)
            #expect(stale > 0)
            loop.removeHandler(first.readEnd)
            loop.removeHandler(second.readEnd)
        }
    }

    /// Contract row 3.1.5.
    @Test func aSecondHandlerIsAnError_C8() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            let error = #expect(throws: LoopError.self) {
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            }
            #expect(error?.code == .duplicateHandler)
            loop.removeHandler(pipe.readEnd)
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            loop.removeHandler(pipe.readEnd)
        }
    }

    @Test func removingAnUnknownOrClosedDescriptorIsHarmless_C3() async throws {
        try await withLoop { loop in
            loop.removeHandler(-1)
            loop.removeHandler(100_000)
            let pipe = SystemPipe()
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            let number = pipe.readEnd
            pipe.closeRead()
            loop.removeHandler(number)
            loop.removeHandler(number)
        }
    }

    @Test func whatCannotBeWatchedIsAnErrorAndLeavesNothingBehind() async throws {
        try await withLoop { loop in
            #expect(throws: SystemError.self) {
                try loop.addHandler(-1, events: .read) { _, _ in }
            }
            let file = open("/proc/self/status", O_RDONLY | O_CLOEXEC)
            defer { close(file) }
            for _ in 0..<2 {
                // A plain file can't be watched; the second attempt is no duplicate.
                #expect(throws: SystemError.self) {
                    try loop.addHandler(file, events: .read) { _, _ in }
                }
            }
        }
    }

    @Test func brokenPipesAreQuietAndOtherErrorsGoToTheHook_B8() async throws {
        try await withLoop { loop in
            var errors: [String] = []
            loop.onUnhandledError = { error, place in errors.append("\(place): \(error)") }
            let pipe = SystemPipe()
            var calls = 0
            try loop.addHandler(pipe.writeEnd, events: .write) { descriptor, _ in
                calls += 1
                switch calls {
                case 1: throw SystemError(errno: EPIPE, operation: "write")
                case 2: throw SystemError(errno: EIO, operation: "write")
                case 3: throw Broken(number: 3)
                default: loop.removeHandler(descriptor)
                }
            }
            try await loop.turns(until: { calls == 4 })
            #expect(errors.count == 2)
            #expect(errors.allSatisfy { $0.contains("\(pipe.writeEnd)") })
        }
    }

    @Test func readableAndWritableWait() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            try await loop.writable(pipe.writeEnd)
            loop.callLater(.milliseconds(1)) { pipe.put() }
            try await loop.readable(pipe.readEnd)
            #expect(pipe.take() == [1])
            let error = await failure {
                try await withTimeout(.milliseconds(1)) { try await loop.readable(pipe.readEnd) }
            }
            #expect(error is TimeoutError)
            // The wait that ended has left no handler.
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
            loop.removeHandler(pipe.readEnd)
        }
    }

    @Test func theLoopsOwnDescriptorsAreClosedOnExec_A15() async throws {
        let before = openDescriptorNumbers()
        try await onFreshThread {
            let loop = try IOLoop()
            defer { loop.close() }
            for number in openDescriptorNumbers().subtracting(before) {
                // Others of this process are among them, perhaps just being made.
                var isClosedOnExec = false
                for _ in 0..<10_000 where !isClosedOnExec {
                    let flags = fcntl(number, F_GETFD)
                    isClosedOnExec = flags < 0 || flags & FD_CLOEXEC != 0
                    if !isClosedOnExec { sched_yield() }
                }
                #expect(isClosedOnExec)
            }
        }
    }

    /// Takes its handler along when it goes away.
    private final class Watched {
        let loop: IOLoop
        let pipe = SystemPipe()

        init(_ loop: IOLoop) throws {
            self.loop = loop
            try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
        }

        deinit { loop.removeHandler(pipe.readEnd) }
    }

    @Test func whatGoesAwayWithAHandlerMayRemoveOthers_C3() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            for _ in 0..<20 {
                let watched = try Watched(loop)
                try loop.addHandler(pipe.readEnd, events: .read) { _, _ in _ = watched }
                loop.removeHandler(pipe.readEnd)
            }
            var seen = 0
            try loop.addHandler(pipe.readEnd, events: .read) { [pipe] _, _ in
                pipe.take()
                seen += 1
            }
            pipe.put()
            try await loop.turns(until: { seen == 1 })
            loop.removeHandler(pipe.readEnd)
        }
    }
}

private func openDescriptorNumbers() -> Set<Int32> {
    Set((0..<1_024).filter { fcntl($0, F_GETFD) >= 0 })
}
