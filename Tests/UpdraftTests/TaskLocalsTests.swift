import CTestMemory
import Synchronization
import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

private enum Trace {
    @TaskLocal static var id = 0
    @TaskLocal static var name = "none"
}

/// What callbacks have seen, in the order in which they ran.
private final class Seen: Sendable {
    private let noted = Mutex<[Int]>([])
    var ids: [Int] { noted.withLock { $0 } }
    func note() { noted.withLock { $0.append(Trace.id) } }
}

/// Contexts where it can be told whether a task has locals, and where it can't: contract rows C1,
/// D1, I3. Every test runs in both ways.
@Suite(.serialized, .timeLimit(.minutes(1))) struct TaskLocalsTests {
    static let bothWays = [true, false]

    /// Runs `body` on a loop whose first task has no locals. Not so `withLoop`, which takes along
    /// those of the test, where the framework keeps things of its own.
    private func withContexts<R: Sendable>(
        telling: Bool,
        _ body: nonisolated(nonsending) @escaping @Sendable (IOLoop) async throws -> R
    ) async throws -> R {
        let canBeTold = TaskLocals.canBeTold
        TaskLocals.isTrusted = telling && canBeTold
        defer { TaskLocals.isTrusted = canBeTold }
        return try await Task.detached {
            try IOLoop.run { loop in try await body(loop) }
        }.value
    }

    @Test func theRuntimeOfThisToolchainIsKnown() {
        #expect(TaskLocals.canBeTold)
    }

    // MARK: Nothing bound

    @Test func nothingIsCapturedWhereNothingIsBound() async throws {
        let captured = try await withContexts(telling: true) { loop in
            var captured: [String] = []
            func look(_ place: String) {
                if loop.captureContext() != nil { captured.append(place) }
            }
            look("run")
            try await withTimeout(.seconds(10)) {
                look("withTimeout")
                try await withTimeout(.seconds(10)) { look("withTimeout twice") }
            }
            try await loop.group { group in
                group.spawn { look("group") }
            }
            Trace.$id.withValue(1) {}
            look("after a binding")
            var ran = 0
            loop.spawn {
                look("spawn")
                loop.spawn { look("spawn in spawn") }
                loop.callLater(.zero) {
                    look("callLater")
                    loop.spawn { look("spawn in a callback") }
                    ran += 1
                }
                loop.addCallback {
                    look("addCallback")
                    ran += 1
                }
                loop.addFuture(Task {}) { _ in ran += 1 }
            }
            try await loop.turns { ran == 3 }
            try await loop.turns(3)
            Trace.$id.withValue(1) { look("bound") }
            return captured
        }
        #expect(captured == ["bound"])
    }

    @Test func aHundredThousandTimeoutsOfATaskTakeNoTaskEach() async throws {
        let count = 100_000
        let bytes = try await withContexts(telling: true) { loop in
            let before = Int(tm_allocated_bytes())
            for _ in 0..<count { loop.callLater(.seconds(100)) {} }
            return Int(tm_allocated_bytes()) - before
        }
        #expect(bytes < count * 200)
    }

    @Test func anotherThreadsTaskWithoutLocalsCapturesNothing_D1() async throws {
        let captured = try await withContexts(telling: true) { loop in
            let executor = loop.executor
            return await Task.detached {
                let bound = Trace.$id.withValue(1) { executor.captureContext() != nil }
                return [executor.captureContext() != nil, bound]
            }.value
        }
        #expect(captured == [false, true])
    }

    // MARK: Something bound

    @Test(arguments: bothWays)
    func everyFormSeesWhatIsBoundInATaskOfTheLoop_I3(telling: Bool) async throws {
        let seen = try await withContexts(telling: telling) { loop in
            let pipe = SystemPipe()
            pipe.put()
            var seen: [String: Int] = [:]
            func note(_ form: String) { seen[form] = Trace.id }
            let periodic = try PeriodicCallback(every: .milliseconds(1)) { note("periodic") }
            try Trace.$id.withValue(7) {
                loop.addCallback { note("addCallback") }
                loop.callLater(.zero) { note("callLater") }
                loop.callAt(loop.now) { note("callAt") }
                loop.addTimeout(loop.now) { note("addTimeout at") }
                loop.addTimeout(.zero) { note("addTimeout after") }
                try loop.addHandler(pipe.readEnd, events: .read) { descriptor, _ in
                    note("addHandler")
                    loop.removeHandler(descriptor)
                }
                loop.addFuture(Task {}) { _ in note("addFuture") }
                periodic.start()
            }
            try await loop.turns { seen.count == 8 }
            periodic.stop()
            return seen
        }
        #expect(Set(seen.values) == [7])
    }

    @Test(arguments: bothWays)
    func aBindingThatHasEndedIsNotSeenAndOneAtItsAddressIsAnother_I3(telling: Bool) async throws {
        let ids = try await withContexts(telling: telling) { loop in
            let seen = Seen()
            for round in 0..<3 {
                Trace.$id.withValue(10 * round + 1) { loop.callLater(.zero) { seen.note() } }
                Trace.$id.withValue(10 * round + 2) { loop.callLater(.zero) { seen.note() } }
                loop.callLater(.zero) { seen.note() }
            }
            try await loop.turns { seen.ids.count == 9 }
            return seen.ids
        }
        #expect(ids == [1, 2, 0, 11, 12, 0, 21, 22, 0])
    }

    @Test(arguments: bothWays)
    func nestedBindingsAreSeenBelowAndAboveAScopeOfTheLibrary_I3(telling: Bool) async throws {
        let ids = try await withContexts(telling: telling) { loop in
            let seen = Seen()
            func add() { loop.addCallback { seen.note() } }
            try await Trace.$id.withValue(1) {
                // The newest binding is the library's own here, and the one below it is not.
                try await withTimeout(.seconds(10)) {
                    add()
                    Trace.$name.withValue("x") { add() }
                    Trace.$id.withValue(2) { add() }
                    add()
                }
            }
            try await withTimeout(.seconds(10)) { add() }
            // So many that they are not looked through.
            try await Trace.$id.withValue(3) {
                try await nest(levels: 20) { add() }
            }
            try await nest(levels: 20) { add() }
            try await loop.turns { seen.ids.count == 7 }
            return seen.ids
        }
        #expect(ids == [1, 1, 2, 1, 0, 3, 0])
    }

    private nonisolated(nonsending) func nest(
        levels: Int, _ body: () -> Void
    ) async throws {
        guard levels > 0 else { return body() }
        try await withTimeout(.seconds(10)) { try await nest(levels: levels - 1, body) }
    }

    @Test(arguments: bothWays)
    func tasksThatInheritPassItOn_I3(telling: Bool) async throws {
        let ids = try await withContexts(telling: telling) { loop in
            let seen = Seen()
            let remote = loop.remote
            @Sendable func add() { remote.addCallback { seen.note() } }
            await Trace.$id.withValue(4) {
                await loop.spawn { add() }.value
                await Task(executorPreference: loop.executor) { add() }.value
                await Task { add() }.value
                await Task.detached { add() }.value
                async let child: Void = add()
                await child
                await withTaskGroup(of: Void.self) { group in
                    group.addTask { add() }
                    group.addTask {
                        await withTaskGroup(of: Void.self) { $0.addTask { add() } }
                        Trace.$id.withValue(5) { add() }
                    }
                    await group.waitForAll()
                    Trace.$id.withValue(6) { group.addTask { add() } }
                }
            }
            try await loop.turns { seen.ids.count == 9 }
            return seen.ids
        }
        #expect(ids.sorted() == [0, 4, 4, 4, 4, 4, 4, 5, 6])
    }

    @Test(arguments: bothWays)
    func childrenOfATaskWithoutLocalsSeeNone_I3(telling: Bool) async throws {
        let ids = try await withContexts(telling: telling) { loop in
            let seen = Seen()
            let remote = loop.remote
            @Sendable func add() { remote.addCallback { seen.note() } }
            // What was there before must not be taken for what is.
            Trace.$id.withValue(1) { Trace.$name.withValue("x") {} }
            async let child: Void = add()
            await child
            await withTaskGroup(of: Void.self) { group in
                group.addTask { add() }
                group.addTask { Trace.$id.withValue(2) { add() } }
            }
            try await loop.turns { seen.ids.count == 3 }
            return seen.ids
        }
        #expect(ids.sorted() == [0, 0, 2])
    }

    @Test(arguments: bothWays)
    func aCallbackPassesOnWhatItHasAndWhatItBinds_I3(telling: Bool) async throws {
        let ids = try await withContexts(telling: telling) { loop in
            let seen = Seen()
            loop.addCallback {
                loop.callLater(.zero) { seen.note() }
                Trace.$id.withValue(1) { loop.callLater(.zero) { seen.note() } }
            }
            try await loop.turns { seen.ids.count == 2 }
            Trace.$id.withValue(2) {
                loop.addCallback {
                    loop.callLater(.zero) { seen.note() }
                    Trace.$id.withValue(3) { loop.callLater(.zero) { seen.note() } }
                }
            }
            try await loop.turns { seen.ids.count == 4 }
            return seen.ids
        }
        #expect(ids == [0, 1, 2, 3])
    }

    // MARK: Callbacks without a context

    @Test func whatAPlainCallbackBindsIsCaptured_I3() async throws {
        let ids = try await withContexts(telling: true) { loop in
            let seen = Seen()
            loop.spawnCallback {
                Trace.$id.withValue(5) {
                    loop.addCallback { seen.note() }
                    loop.withoutContext { loop.addCallback { seen.note() } }
                }
                loop.addCallback { seen.note() }
            }
            try await loop.turns { seen.ids.count == 3 }
            return seen.ids
        }
        #expect(ids == [5, 0, 0])
    }

    @Test(arguments: bothWays)
    func aPlainCallbackSeesNothingOfTheTaskThatRunsTheLoop(telling: Bool) async throws {
        let canBeTold = TaskLocals.canBeTold
        TaskLocals.isTrusted = telling && canBeTold
        defer { TaskLocals.isTrusted = canBeTold }
        let seen = Seen()
        try Trace.$id.withValue(6) {
            let loop = try IOLoop()
            defer { loop.close() }
            loop.spawnCallback {
                seen.note()
                loop.callLater(.zero) {
                    seen.note()
                    loop.stop()
                }
            }
            loop.addCallback { seen.note() }
            try loop.start()
        }
        #expect(seen.ids == [0, 6, 0])
    }
}
