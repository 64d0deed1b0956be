import TestSupport
import Testing
import UpdraftTesting

@testable import Updraft

/// `withTimeout` and deadlines, in virtual time.
@Suite struct WithTimeoutTests {
    private nonisolated(nonsending) func forever(_ loop: IOLoop) async throws {
        try await loop.sleep(for: .seconds(1_000_000))
    }

    @Test func expiresAtItsLimit() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            let error = await failure {
                try await withTimeout(.seconds(5)) { try await forever(loop) }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(5))
            #expect(start.duration(to: loop.now) == .seconds(5))
            // The task is not cancelled: it goes on.
            try await loop.sleep(for: .seconds(1))
            #expect(!Task.isCancelled)
        }
    }

    @Test func completesFirst() async throws {
        try await withVirtualLoop { loop in
            let value = try await withTimeout(.seconds(5)) {
                try await loop.sleep(for: .seconds(4))
                return 4
            }
            #expect(value == 4)
        }
    }

    @Test func costsOneTimeoutAndNoTaskAndLeavesNothing() async throws {
        try await withVirtualLoop { loop in
            func held() -> [Int] { [loop.timers.count, loop.metrics.tasks] }
            let before = held()
            let within = try await withTimeout(.seconds(5)) {
                try await loop.nextTurn()
                return held()
            }
            #expect(within == [before[0] + 1, before[1]])
            #expect(held() == before)
        }
    }

    @Test func failsFirst() async throws {
        try await withVirtualLoop { loop in
            let error = await failure {
                try await withTimeout(.seconds(5)) {
                    try await loop.sleep(for: .seconds(4))
                    throw Broken(number: 1)
                }
            }
            #expect(error as? Broken == Broken(number: 1))
        }
    }

    @Test func theOuterOneCutsTheInner() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var reachedTheEndOfOuter = false
            let error = await failure {
                try await withTimeout(.seconds(2)) {
                    try await withTimeout(.seconds(10)) { try await forever(loop) }
                    reachedTheEndOfOuter = true
                }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(2))
            #expect(!reachedTheEndOfOuter)
            #expect(start.duration(to: loop.now) == .seconds(2))
        }
    }

    @Test func theInnerOneLeavesTheOuterRunning() async throws {
        try await withVirtualLoop { loop in
            let value = try await withTimeout(.seconds(10)) {
                let error = await failure {
                    try await withTimeout(.seconds(2)) { try await forever(loop) }
                }
                #expect((error as? TimeoutError)?.limit == .seconds(2))
                try await loop.sleep(for: .seconds(5))
                return "outer"
            }
            #expect(value == "outer")
        }
    }

    @Test func theSameLimitTwiceIsTheOutersTimeout() async throws {
        try await withVirtualLoop { loop in
            let error = await failure {
                try await withTimeout(.seconds(3)) {
                    let inner = await failure {
                        try await withTimeout(.seconds(3)) { try await forever(loop) }
                    }
                    #expect(inner != nil)
                    try await loop.nextTurn()
                }
            }
            #expect(error is TimeoutError)
        }
    }

    @Test func anExpiredScopeThrowsAtItsNextWait() async throws {
        try await withVirtualLoop { loop in
            var waits = 0
            let error = await failure {
                try await withTimeout(.seconds(1)) {
                    for _ in 0..<3 {
                        do {
                            try await forever(loop)
                        } catch {
                            waits += 1
                        }
                    }
                    try await loop.nextTurn()
                }
            }
            #expect(waits == 3)
            #expect(error is TimeoutError)
        }
    }

    @Test func cancellationInsideIsNoTimeout() async throws {
        try await withVirtualLoop { loop in
            var error: (any Error)?
            let task = loop.spawn {
                error = await failure {
                    try await withTimeout(.seconds(60)) { try await forever(loop) }
                }
            }
            try await loop.nextTurn()
            task.cancel()
            await task.value
            #expect(error is CancellationError)
        }
    }

    @Test func endsTheChildrenOfAGroupInside() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var ended = 0
            let error = await failure {
                try await withTimeout(.seconds(3)) {
                    try await loop.group { group in
                        for _ in 0..<4 {
                            group.spawn {
                                defer { ended += 1 }
                                try await forever(loop)
                            }
                        }
                    }
                }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(3))
            #expect(ended == 4)
            #expect(start.duration(to: loop.now) == .seconds(3))
        }
    }

    @Test func worksInsideTheChildOfAGroup() async throws {
        try await withVirtualLoop { loop in
            var expired = 0
            try await loop.group { group in
                for number in 1...3 {
                    group.spawn {
                        let error = await failure {
                            try await withTimeout(.seconds(number)) { try await forever(loop) }
                        }
                        if (error as? TimeoutError)?.limit == .seconds(number) { expired += 1 }
                    }
                }
            }
            #expect(expired == 3)
        }
    }

    @Test func endsTheChildrenOfAStandardGroupInside() async throws {
        try await withVirtualLoop { loop in
            let error = await failure {
                try await withTimeout(.seconds(3)) {
                    try await withThrowingTaskGroup(of: Void.self) { group in
                        for _ in 0..<4 {
                            group.addTask { try await IOLoop.current.sleep(for: .seconds(900_000)) }
                        }
                        try await group.waitForAll()
                    }
                }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(3))
            _ = loop
        }
    }

    @Test func worksInsideTheChildOfAStandardGroup() async throws {
        try await withVirtualLoop { _ in
            let results = await withTaskGroup(of: Bool.self, returning: [Bool].self) { group in
                for number in 1...4 {
                    group.addTask {
                        let error = await failure {
                            try await withTimeout(.seconds(number)) {
                                try await IOLoop.current.sleep(for: .seconds(900_000))
                            }
                        }
                        return (error as? TimeoutError)?.limit == .seconds(number)
                    }
                }
                var results: [Bool] = []
                for await result in group { results.append(result) }
                return results
            }
            #expect(results == [true, true, true, true])
        }
    }

    @Test func endsAnAsyncLetInside() async throws {
        try await withVirtualLoop { _ in
            let error = await failure {
                try await withTimeout(.seconds(3)) {
                    async let one: Void = IOLoop.current.sleep(for: .seconds(900_000))
                    async let two: Void = IOLoop.current.sleep(for: .seconds(900_000))
                    _ = try await (one, two)
                }
            }
            #expect((error as? TimeoutError)?.limit == .seconds(3))
        }
    }

    @Test func cancellingAStandardGroupInsideATimeoutIsNoTimeout() async throws {
        try await withVirtualLoop { loop in
            let wasCancelled = try await withTimeout(.seconds(100)) {
                try await withThrowingTaskGroup(of: Bool.self) { group in
                    group.addTask {
                        await failure {
                            try await withTimeout(.seconds(50)) {
                                try await IOLoop.current.sleep(for: .seconds(900_000))
                            }
                        } is CancellationError
                    }
                    try await IOLoop.current.turns(2)
                    group.cancelAll()
                    return try await group.next() ?? false
                }
            }
            #expect(wasCancelled)
            _ = loop
        }
    }

    @Test func aLimitOfNothingStillRunsTheBodyToItsFirstWait() async throws {
        try await withVirtualLoop { loop in
            var began = false
            let error = await failure {
                try await withTimeout(.zero) {
                    began = true
                    try await forever(loop)
                }
            }
            #expect(began && error is TimeoutError)
            let value = try await withTimeout(.zero) { 5 }
            #expect(value == 5)
        }
    }

    @Test func aTaskSpawnedInsideOutlivesTheTimeout() async throws {
        try await withVirtualLoop { loop in
            var ended = false
            let error = await failure {
                try await withTimeout(.seconds(1)) {
                    loop.spawn {
                        try await loop.sleep(for: .seconds(10))
                        ended = true
                    }
                    try await forever(loop)
                }
            }
            #expect(error is TimeoutError)
            try await loop.sleep(for: .seconds(20))
            #expect(ended)
        }
    }

    /// What ended the waits says whose limit it was, and must not keep it.
    @Test func whatHasExpiredIsFreed() async throws {
        try await withVirtualLoop { loop in
            weak var scope: TaskScope?
            let error = await failure {
                try await withTimeout(.seconds(1)) {
                    scope = TaskScope.current
                    #expect(scope != nil)
                    try await forever(loop)
                }
            }
            #expect(error is TimeoutError)
            try await loop.nextTurn()
            #expect(scope == nil)
        }
    }
}
