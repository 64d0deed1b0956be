import Glibc
import TestSupport
import Testing
import Updraft
import UpdraftTesting

private enum Trace {
    @TaskLocal static var id = 0
    @TaskLocal static var held: Held?
}

/// Tells when it is freed.
private final class Held: Sendable {
    private let freed: Counter
    init(_ freed: Counter) { self.freed = freed }
    deinit { freed.add() }
}

private func holding<R>(_ freed: Counter, _ body: () throws -> R) rethrows -> R {
    try Trace.$held.withValue(Held(freed), operation: body)
}

/// Task-locals of the code that adds something: contract rows C1, D1, D5, D6, D7, I3.
@Suite(.timeLimit(.minutes(1))) struct ContextTests {
    /// Contract row 3.1.e4: a future is among the forms.
    @Test func everyFormSeesTheLocalsOfTheCodeThatAddedIt_I3() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            pipe.put()
            var seen: [String: Int] = [:]
            func note(_ form: String) { seen[form] = Trace.id }
            try Trace.$id.withValue(7) {
                loop.addCallback { note("addCallback") }
                loop.callLater(.zero) { note("callLater") }
                loop.callAt(loop.now) { note("callAt") }
                loop.addTimeout(loop.now) { note("addTimeout at") }
                loop.addTimeout(.microseconds(1)) { note("addTimeout after") }
                try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                    note("addHandler")
                    loop.removeHandler(descriptor)
                }
                loop.addFuture(Task {}) { _ in note("addFuture") }
            }
            try await loop.turns { seen.count == 7 }
            #expect(Set(seen.values) == [7])
            #expect(Trace.id == 0)
        }
    }

    @Test func remoteCallbacksSeeTheLocalsOfTheThreadThatAddedThem_D1() async throws {
        try await withLoop { loop in
            let remote = loop.remote
            let seen = Counter()
            let ran = Counter()
            await Trace.$id.withValue(5) {
                let away = Task.detached {
                    Trace.$id.withValue(3) {
                        remote.addCallback { [seen] in
                            seen.add(Trace.id)
                            ran.add()
                        }
                        remote.addCallbackFromSignal {
                            seen.add(Trace.id * 100)
                            ran.add()
                        }
                    }
                }
                await away.value
                remote.addCallback {
                    seen.add(Trace.id)
                    ran.add()
                }
            }
            try await loop.turns { ran.value == 3 }
            #expect(seen.value == 8)
        }
    }

    /// Contract row 3.1.e3.
    @Test func eachCallbackHasTheLocalsOfItsOwnTime_I3() async throws {
        try await withLoop { loop in
            var seen: [Int] = []
            loop.addCallback { seen.append(Trace.id) }
            Trace.$id.withValue(1) {
                loop.addCallback { seen.append(Trace.id) }
                Trace.$id.withValue(2) { loop.addCallback { seen.append(Trace.id) } }
                loop.addCallback { seen.append(Trace.id) }
            }
            try await Trace.$id.withValue(9) { try await loop.turns { seen.count == 4 } }
            #expect(seen == [0, 1, 2, 1])
        }
    }

    @Test func whatACallbackAddsHasItsLocals_I3() async throws {
        try await withLoop { loop in
            var seen: [Int] = []
            Trace.$id.withValue(4) {
                loop.addCallback {
                    loop.callLater(.zero) { seen.append(Trace.id) }
                    loop.spawn {
                        try await loop.nextTurn()
                        seen.append(Trace.id)
                    }
                    Trace.$id.withValue(5) {
                        loop.addCallback { loop.addCallback { seen.append(Trace.id) } }
                    }
                }
            }
            try await loop.turns { seen.count == 3 }
            #expect(seen.sorted() == [4, 4, 5])
        }
    }

    @Test func detachedFormsSeeNoLocals_D5_D7() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            pipe.put()
            var seen: [Int] = []
            try Trace.$id.withValue(6) {
                loop.spawnCallback {
                    seen.append(Trace.id)
                    loop.addCallback { seen.append(Trace.id) }
                }
                try loop.withoutContext {
                    loop.addCallback { seen.append(Trace.id) }
                    loop.callLater(.zero) { seen.append(Trace.id) }
                    try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                        seen.append(Trace.id)
                        loop.removeHandler(descriptor)
                        loop.addCallback { seen.append(Trace.id) }
                    }
                }
                // And only inside it.
                loop.addCallback { seen.append(Trace.id) }
            }
            try await loop.turns { seen.count == 7 }
            #expect(seen.sorted() == [0, 0, 0, 0, 0, 0, 6])
        }
    }

    /// Neither those of the code that added the handler nor those of the code that the signal
    /// interrupts; and what the handler adds has none either.
    @Test func signalHandlersSeeNoLocals_D5() async throws {
        try await withLoop { loop in
            var seen: [Int] = []
            let id = try Trace.$id.withValue(6) {
                try loop.addSignalHandler(.sigusr1) {
                    seen.append(Trace.id)
                    loop.addCallback { seen.append(Trace.id) }
                }
            }
            try await Trace.$id.withValue(7) {
                kill(getpid(), SIGUSR1)
                try await loop.turns { seen.count == 2 }
            }
            #expect(seen == [0, 0])
            loop.removeSignalHandler(id)
        }
    }

    @Test func capturedAndPlainCallbacksKeepTheirOrder_B11() async throws {
        try await withVirtualLoop { loop in
            var order: [Int] = []
            let when = loop.now.advanced(by: .seconds(1))
            for number in 0..<100 {
                if number.isMultiple(of: 3) {
                    loop.spawnCallback { order.append(number) }
                    loop.withoutContext { _ = loop.callAt(when) { order.append(100 + number) } }
                } else {
                    loop.addCallback { order.append(number) }
                    loop.callAt(when) { order.append(100 + number) }
                }
            }
            try await loop.sleep(for: .seconds(2))
            #expect(order == Array(0..<200))
        }
    }

    @Test func aHandlerHasItsLocalsAtEveryEvent_C1() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            let freed = Counter()
            var seen: [Int] = []
            var events = 0
            try holding(freed) {
                try Trace.$id.withValue(8) {
                    try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                        events += 1
                        seen.append(Trace.held == nil ? -1 : Trace.id)
                        pipe.take()
                        if events == 100 { loop.removeHandler(descriptor) }
                    }
                }
            }
            for number in 1...100 {
                pipe.put()
                try await loop.turns { events == number }
            }
            pipe.put()
            try await loop.turns(3)
            #expect(seen == [Int](repeating: 8, count: 100))
            #expect(freed.value == 1)
        }
    }

    @Test func errorsInAContextReachTheHook_B8_B9() async throws {
        try await withLoop { loop in
            let pipe = SystemPipe()
            let pipe2 = SystemPipe()
            pipe.put()
            pipe2.put()
            var reports: [String] = []
            loop.onUnhandledError = { error, place in reports.append("\(place) \(error)") }
            loop.addCallback { throw Broken(number: 1) }
            loop.spawnCallback { throw Broken(number: 2) }
            loop.callLater(.zero) { throw Broken(number: 3) }
            loop.addFuture(Task<Int, any Error> { throw Broken(number: 4) }) { result in
                _ = try result.get()
            }
            try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                throw Broken(number: 5)
            }
            try loop.addHandler(pipe2.readEnd, events: .read) { descriptor, _ in
                loop.removeHandler(descriptor)
                throw SystemError(errno: 32, operation: "write")
            }
            try await loop.turns { reports.count == 5 }
            try await loop.turns(2)
            for number in 1...5 {
                #expect(reports.count { $0.contains("number: \(number)") } == 1)
            }
            #expect(reports.contains { $0.hasPrefix("A timeout Broken") })
            #expect(reports.contains { $0.hasPrefix("The handler of descriptor") })
        }
    }

    // MARK: Periodic callbacks

    @Test func everyRunOfAPeriodicCallbackHasTheLocalsOfItsStart_I3() async throws {
        try await withVirtualLoop { loop in
            let freed = Counter()
            var seen: [String] = []
            let plain = try PeriodicCallback(every: .seconds(10)) {
                seen.append("plain \(Trace.id)")
                loop.addCallback { seen.append("added \(Trace.id)") }
            }
            let task = try PeriodicCallback(every: .seconds(10)) {
                try await loop.sleep(for: .seconds(1))
                seen.append("task \(Trace.id)")
            }
            holding(freed) { Trace.$id.withValue(7) { plain.start() } }
            holding(freed) { Trace.$id.withValue(8) { task.start() } }
            try await Trace.$id.withValue(9) { try await loop.sleep(for: .seconds(35)) }
            let round = ["plain 7", "added 7", "task 8"]
            #expect(seen == round + round + round)
            #expect(freed.value == 0)
            plain.stop()
            task.stop()
            try await loop.turns(2)
            #expect(freed.value == 2, "one context each, freed when it is stopped")
        }
    }

    @Test func aRestartOfAPeriodicCallbackTakesTheLocalsAnew_I3() async throws {
        try await withVirtualLoop { loop in
            let freed = Counter()
            var seen: [Int] = []
            var periodic: PeriodicCallback?
            periodic = try PeriodicCallback(every: .seconds(1)) {
                seen.append(Trace.id)
                guard seen.count == 2 else { return }
                periodic?.stop()
                holding(freed) { Trace.$id.withValue(5) { periodic?.start() } }
            }
            holding(freed) { Trace.$id.withValue(4) { periodic?.start() } }
            try await loop.sleep(for: .milliseconds(4_500))
            #expect(seen == [4, 4, 5, 5])
            #expect(freed.value == 1)
            periodic?.stop()
            loop.withoutContext { Trace.$id.withValue(6) { periodic?.start() } }
            try await loop.sleep(for: .milliseconds(1_500))
            #expect(seen.last == 0)
            #expect(freed.value == 2)
            periodic?.stop()
            periodic = nil
        }
    }

    @Test func aPeriodicCallbackMakesOneContextForAllItsRuns_I3() async throws {
        try await withVirtualLoop { loop in
            var runs = 0
            var tasks: Set<Int> = []
            let periodic = try PeriodicCallback(every: .seconds(1)) {
                runs += 1
                _ = withUnsafeCurrentTask { tasks.insert($0.hashValue) }
            }
            periodic.start()
            try await loop.sleep(for: .milliseconds(10_500))
            #expect(runs == 10 && tasks.count == 1)
            periodic.stop()
        }
    }

    // MARK: What is dropped

    @Test func whatIsRemovedFreesItsContext_B12() async throws {
        try await withLoop { loop in
            let freed = Counter()
            let pipe = SystemPipe()
            let tasks = loop.taskCount
            func add() throws {
                try holding(freed) {
                    try loop.addHandler(pipe.readEnd, events: .read) { _, _ in }
                }
            }
            var refused = 0
            for _ in 0..<50 {
                let timeout = holding(freed) { loop.callLater(.seconds(100)) {} }
                loop.removeTimeout(timeout)
                try add()
                do { try add() } catch { refused += 1 }
                loop.removeHandler(pipe.readEnd)
            }
            #expect(refused == 50)
            try await loop.turns(2)
            #expect(freed.value == 150)
            #expect(loop.taskCount == tasks)
        }
    }

    @Test func whatHasRunFreesItsContextBeforeThePoll_B12() async throws {
        try await withLoop { loop in
            let freed = Counter()
            holding(freed) {
                loop.addCallback {}
                loop.callLater(.zero) {}
                loop.addFuture(Task {}) { _ in }
                loop.remote.addCallback {}
            }
            try await loop.turns { freed.value == 1 }
        }
    }

    @Test(arguments: [true, false])
    func aLoopThatEndsFreesTheContextsThatWait_D4(isClosed: Bool) async throws {
        let freed = Counter()
        let pipe = SystemPipe()
        let gate = Flag()
        let endless = Task { try await Task.sleep(for: .seconds(1_000)) }
        defer { endless.cancel() }
        var loop: IOLoop? = try IOLoop()
        let remote = loop?.remote
        try loop?.runSync { [unowned loop = try #require(loop)] in
            for _ in 0..<3 {
                try holding(freed) {
                    loop.callLater(.seconds(100)) { gate.set() }
                    try? loop.addHandler(pipe.readEnd, events: .read) { _, _ in gate.set() }
                    loop.addFuture(endless) { _ in gate.set() }
                    try loop.addHandler(pipe.writeEnd, events: .read) { _, _ in gate.set() }
                }
                loop.removeHandler(pipe.writeEnd)
            }
            // After the last turn.
            holding(freed) {
                loop.addCallback {}
            }
        }
        if isClosed {
            loop?.close()
            // And what comes after the end.
            holding(freed) {
                loop?.addCallback { gate.set() }
                loop?.callLater(.zero) { gate.set() }
            }
        }
        loop = nil
        holding(freed) { remote?.addCallback { gate.set() } }
        #expect(!gate.isSet)
        #expect(freed.value == (isClosed ? 6 : 5))
    }

    // MARK: Only the locals

    @Test func whatEndsTheAdderDoesNotEndWhatItsCallbackStarts() async throws {
        try await withLoop { loop in
            let slept = Counter()
            let cancelled = Counter()
            func add() {
                loop.callLater(.milliseconds(2)) {
                    if Task.isCancelled { cancelled.add() }
                    Task(executorPreference: loop.executor) {
                        try await IOLoop.current.sleep(for: .milliseconds(1))
                        slept.add()
                    }
                }
            }
            await #expect(throws: TimeoutError.self) {
                try await withTimeout(.milliseconds(1)) {
                    add()
                    try await loop.sleep(for: .seconds(100))
                }
            }
            let adder = loop.spawn {
                add()
                try await loop.sleep(for: .seconds(100))
            }
            try await loop.turns(2)
            adder.cancel()
            try await loop.turns { slept.value == 2 }
            #expect(cancelled.value == 0)
        }
    }

    @Test func noTaskRunsInsideACallbackOfAContext() async throws {
        try await withLoop { loop in
            var log: [String] = []
            loop.addCallback {
                loop.spawn { log.append("task") }
                log.append("callback")
            }
            try await loop.turns { log.count == 2 }
            #expect(log == ["callback", "task"])
        }
    }

    // MARK: Futures

    @Test func aFuturesCallbackIsNeverCalledAtOnce_D6() async throws {
        try await withLoop { loop in
            let done = Task { 5 }
            _ = await done.value
            var results: [Int] = []
            loop.addFuture(done) { results.append($0.get()) }
            loop.addFuture(done) { results.append($0.get() + 1) }
            #expect(results.isEmpty)
            try await loop.turns { results.count == 2 }
            #expect(results == [5, 6])
            let failed = Task<Int, any Error> { throw Broken(number: 2) }
            var error: (any Error)?
            loop.addFuture(failed) { result in
                if case .failure(let thrown) = result { error = thrown }
            }
            try await loop.turns { error != nil }
            #expect(error as? Broken == Broken(number: 2))
        }
    }
}
