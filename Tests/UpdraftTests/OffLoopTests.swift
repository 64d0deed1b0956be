import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// `offLoop`, and what `@concurrent` does on a loop. Issue item 5; contract row S5.
@Suite struct OffLoopTests {
    @Test func theClosureRunsOnSwiftsThreadsAndItsResultComesBack() async throws {
        try await withLoop { loop in
            let loopThread = Here()
            #expect(threadName() == "withLoop")
            let places = try await loop.offLoop { await placesOfAllKinds() }
            #expect(places.count == 7)
            for place in places {
                #expect(place.thread != loopThread.thread, "\(place.what)")
                #expect(place.name != "withLoop", "\(place.what)")
                #expect(!place.hasLoop, "\(place.what)")
            }
            #expect(Here() == loopThread)
            #expect(IOLoop.currentIfAny === loop)
        }
    }

    @Test func anErrorComesBackToTheLoop() async throws {
        try await withLoop { loop in
            let error = await failure { try await loop.offLoop { throw Broken(number: 5) } }
            #expect(error as? Broken == Broken(number: 5))
            #expect(IOLoop.currentIfAny === loop)
        }
    }

    @Test func theLoopTurnsMeanwhile() async throws {
        try await withLoop { loop in
            let release = Flag()
            let work = loop.async {
                try await loop.offLoop {
                    while !release.isSet { sched_yield() }
                    return 1
                }
            }
            // Turns, timeouts and descriptors, all while the closure blocks its thread.
            try await loop.sleep(for: .milliseconds(1))
            let (near, far) = try await connectedPair(on: loop)
            try await near.write("ping")
            #expect(try await far.read(exactly: 4) == "ping".bytes)
            #expect(!work.isDone)
            release.set()
            #expect(try await work.value == 1)
            near.close()
            far.close()
        }
    }

    @Test func cancellationReachesTheClosureAndEndsTheCall() async throws {
        try await withLoop { loop in
            let (begun, sawIt) = (Flag(), Flag())
            let work = loop.async {
                try await loop.offLoop {
                    begun.set()
                    while !Task.isCancelled { sched_yield() }
                    sawIt.set()
                }
            }
            try await loop.turns(until: { begun.isSet })
            work.cancel()
            #expect(await failure { try await work.value } is CancellationError)
            try await loop.turns(until: { sawIt.isSet })
        }
    }

    @Test func aTimeLimitCancelsTheClosureAndEndsTheCall() async throws {
        try await withLoop { loop in
            let sawIt = Flag()
            let error = await failure {
                try await withTimeout(.milliseconds(1)) {
                    try await loop.offLoop {
                        while !Task.isCancelled { sched_yield() }
                        sawIt.set()
                    }
                }
            }
            #expect(error is TimeoutError)
            try await loop.turns(until: { sawIt.isSet })
        }
    }

    @Test func aTaskThatIsCancelledAlreadyStartsNothing() async throws {
        try await withLoop { loop in
            let ran = Counter()
            let work = loop.async {
                _ = await failure { try await loop.sleep(for: .seconds(60)) }
                try await loop.offLoop { ran.add() }
            }
            try await loop.turns(3)
            work.cancel()
            #expect(await failure { try await work.value } is CancellationError)
            try await loop.offLoop {}
            #expect(ran.value == 0)
        }
    }

    @Test func theClosureHasTheCallersTaskLocals() async throws {
        try await withLoop { loop in
            let value = try await Local.$value.withValue("bound") {
                try await loop.offLoop { Local.value }
            }
            #expect(value == "bound")
        }
    }

    @Test func theDumpSaysThatATaskWaitsForWorkOffTheLoop() async throws {
        try await withLoop { loop in
            let release = Flag()
            loop.spawn(name: "asker") {
                try await loop.offLoop { while !release.isSet { sched_yield() } }
            }
            try await loop.turns(3)
            #expect(loop.dump().contains("task 'asker': waits for work off the loop"))
            #expect(!loop.dump().contains("waits that no task of the loop's own is in"))
            release.set()
        }
    }

    // MARK: @concurrent

    /// Measured, not wished: a task-executor preference holds for `@concurrent` functions too.
    @Test func aConcurrentFunctionStaysOnTheLoopThatCallsIt() async throws {
        try await withLoop { loop in
            let here = Here()
            #expect(await concurrently() == here)
            #expect(try await loop.async { await concurrently() }.value == here)
            // Nor do the loop's tasks take it along into `offLoop`.
            let away = try await loop.offLoop { await concurrently() }
            #expect(away != here)
        }
    }

    @Test func anOrdinaryActorCalledFromTheLoopRunsThere() async throws {
        try await withLoop { loop in
            #expect(await OrdinaryActor().here() == Here())
        }
    }

    @Test(.interruptsSpinning)
    func theWatchdogNamesAConcurrentFunctionThatBlocks_G2() async throws {
        let lines = LogLines()
        try await withLoop { loop in
            loop.logger = lines.logger
            loop.setBlockingLogThreshold(.milliseconds(20))
            let texts = ["blockConcurrently"]
            try await loop.blockTurns(untilReportedIn: lines, with: texts) { _ in
                try await loop.group { group in
                    group.spawn(name: "mistaken") { await blockConcurrently(untilNamedIn: lines) }
                }
            }
        }
        let line = try #require(lines.with("blockConcurrently").first)
        #expect(line.contains("task 'mistaken'"))
    }
}

private enum Local {
    @TaskLocal static var value = "unbound"
}

/// Where some code runs.
private struct Here: Equatable, Sendable {
    let thread = UInt(pthread_self())
    let name = threadName()
    let hasLoop = IOLoop.currentIfAny != nil
    var what = ""

    static func == (left: Here, right: Here) -> Bool { left.thread == right.thread }

    func at(_ what: String) -> Here {
        var place = self
        place.what = what
        return place
    }
}

private actor OrdinaryActor {
    func here() -> Here { Here() }
}

@concurrent private func concurrently() async -> Here {
    Here()
}

@concurrent @inline(never)
private func blockConcurrently(untilNamedIn lines: LogLines) async {
    let before = lines.with("blockConcurrently").count
    spin { lines.with("blockConcurrently").count > before }
}

private func nonsending() async -> Here {
    Here()
}

/// The kinds of code that a closure off the loop may reach, each with its thread.
@concurrent private func placesOfAllKinds() async -> [Here] {
    var places = [Here().at("the beginning")]
    await Task.yield()
    places.append(Here().at("after a yield"))
    try? await Task.sleep(for: .microseconds(10))
    places.append(Here().at("after a sleep"))
    places.append(await nonsending().at("a function of the caller's isolation"))
    async let child = Here()
    places.append(await child.at("async let"))
    places += await withTaskGroup(of: Here.self) { group in
        group.addTask { Here() }
        return await group.reduce(into: []) { $0.append($1.at("a child of a group")) }
    }
    places.append(await OrdinaryActor().here().at("an ordinary actor"))
    return places
}
