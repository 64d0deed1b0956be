import TestSupport
import Testing
import Updraft
import UpdraftTesting

/// `spawn`, `group`, `async`: structured work that may use what is on the loop.
@Suite struct TaskTests {
    @Test func spawnNeverBeginsBeforeItReturns() async throws {
        try await withLoop { loop in
            var log: [String] = []
            loop.addCallback {
                loop.spawn { log.append("task") }
                log.append("after spawn")
            }
            loop.spawn {
                loop.spawn { log.append("inner task") }
                log.append("after inner spawn")
            }
            try await loop.turns(4)
            #expect(log.firstIndex(of: "after spawn")! < log.firstIndex(of: "task")!)
            #expect(log.firstIndex(of: "after inner spawn")! < log.firstIndex(of: "inner task")!)
        }
    }

    @Test func cancellingASpawnedTaskEndsEveryKindOfWait() async throws {
        try await withLoop { loop in
            let (near, far) = try await connectedPair(on: loop)
            let pipe = SystemPipe()
            let waits: [(String, nonisolated(nonsending) () async throws -> Void)] = [
                ("sleep", { try await loop.sleep(for: .seconds(3_600)) }),
                ("read", { _ = try await near.read(exactly: 1) }),
                ("write", { try await far.write([UInt8](repeating: 1, count: 9_000_000)) }),
                ("flush", { try await far.flush() }),
                ("closed", { try await near.closed() }),
                ("readable", { try await loop.readable(pipe.readEnd) }),
                ("signal", { _ = try await loop.signal([.sigusr1]) }),
                (
                    "future",
                    {
                        try await loop.async { try await loop.sleep(for: .seconds(60)) }.value
                    }
                ),
                (
                    "group",
                    {
                        try await loop.group { group in
                            group.spawn { try await loop.sleep(for: .seconds(60)) }
                        }
                    }
                ),
                (
                    "work",
                    {
                        let flag = Flag()
                        defer { flag.set() }
                        try await loop.runInExecutor { while !flag.isSet {} }
                    }
                ),
            ]
            for (name, wait) in waits {
                var error: (any Error)?
                let task = loop.spawn { error = await failure(of: wait) }
                try await loop.turns(10)
                #expect(error == nil, "\(name) does not wait")
                task.cancel()
                await task.value
                #expect(error is CancellationError, "\(name) threw \(String(describing: error))")
            }
        }
    }

    @Test func aCancelledTasksNextWaitThrowsAtOnce() async throws {
        try await withLoop { loop in
            var errors: [any Error] = []
            let task = loop.spawn {
                for _ in 0..<3 {
                    if let error = await failure(of: { try await loop.sleep(for: .seconds(60)) }) {
                        errors.append(error)
                    }
                }
            }
            task.cancel()
            await task.value
            #expect(errors.count == 3 && errors.allSatisfy { $0 is CancellationError })
        }
    }

    @Test func cancellationFromAnotherThreadReachesTheWait() async throws {
        try await withLoop { loop in
            for _ in 0..<200 {
                let task = loop.spawn { try await loop.sleep(for: .seconds(3_600)) }
                if Bool.random() { try await loop.nextTurn() }
                try await loop.runInExecutor { task.cancel() }
                await task.value
            }
        }
    }

    // MARK: group

    @Test func aGroupWaitsForAllChildrenAndReturnsTheBodysResult() async throws {
        try await withVirtualLoop { loop in
            var ended = 0
            let result = try await loop.group { group in
                for number in 1...5 {
                    group.spawn {
                        try await loop.sleep(for: .seconds(number))
                        ended += 1
                    }
                }
                #expect(group.count == 5)
                return "body"
            }
            #expect(result == "body" && ended == 5)
        }
    }

    @Test func theFirstErrorCancelsTheOtherChildrenAndIsThrown() async throws {
        try await withVirtualLoop { loop in
            let start = loop.now
            var cancelled = 0
            let error = await failure {
                try await loop.group { group in
                    for _ in 0..<3 {
                        group.spawn {
                            do {
                                try await loop.sleep(for: .seconds(3_600))
                            } catch {
                                cancelled += 1
                                throw Broken(number: 99)
                            }
                        }
                    }
                    group.spawn {
                        try await loop.sleep(for: .seconds(1))
                        throw Broken(number: 1)
                    }
                    group.spawn {
                        try await loop.sleep(for: .seconds(2))
                        throw Broken(number: 2)
                    }
                }
            }
            #expect(error as? Broken == Broken(number: 1))
            #expect(cancelled == 3)
            #expect(start.duration(to: loop.now) == .seconds(1))
        }
    }

    @Test func anErrorOfTheBodyCancelsTheChildren() async throws {
        try await withVirtualLoop { loop in
            var ended = false
            let error = await failure {
                try await loop.group { group in
                    group.spawn {
                        defer { ended = true }
                        try await loop.sleep(for: .seconds(3_600))
                    }
                    try await loop.nextTurn()
                    throw Broken(number: 5)
                }
            }
            #expect(ended)
            #expect(error as? Broken == Broken(number: 5))
        }
    }

    @Test func cancellingTheTaskOfAGroupCancelsItsChildren() async throws {
        try await withVirtualLoop { loop in
            var ended = 0
            var error: (any Error)?
            let task = loop.spawn {
                error = await failure {
                    try await loop.group { group in
                        for _ in 0..<3 {
                            group.spawn {
                                defer { ended += 1 }
                                try await loop.sleep(for: .seconds(3_600))
                            }
                        }
                    }
                }
            }
            try await loop.turns(3)
            task.cancel()
            await task.value
            #expect(ended == 3)
            #expect(error is CancellationError)
        }
    }

    @Test func childrenMayBeAddedFromCallbacksAndFromChildren() async throws {
        try await withVirtualLoop { loop in
            var log: [String] = []
            try await loop.group { group in
                group.spawn {
                    try await loop.sleep(for: .seconds(1))
                    group.spawn {
                        try await loop.sleep(for: .seconds(1))
                        log.append("grandchild")
                    }
                }
                loop.callLater(.milliseconds(500)) {
                    group.spawn {
                        try await loop.sleep(for: .milliseconds(1))
                        log.append("from a callback")
                    }
                }
            }
            #expect(log == ["from a callback", "grandchild"])
        }
    }

    @Test func aChildAddedAfterCancelAllIsCancelled() async throws {
        try await withVirtualLoop { loop in
            var error: (any Error)?
            _ = await failure {
                try await loop.group { group in
                    group.cancelAll()
                    group.spawn {
                        error = await failure { try await loop.sleep(for: .seconds(60)) }
                    }
                }
            }
            #expect(error is CancellationError)
        }
    }

    @Test func groupsNestAndAChildsCancellationStaysInside() async throws {
        try await withVirtualLoop { loop in
            var outerEnded = false
            try await loop.group { outer in
                outer.spawn {
                    let error = await failure {
                        try await loop.group { inner in
                            inner.spawn { throw Broken() }
                            inner.spawn { try await loop.sleep(for: .seconds(60)) }
                        }
                    }
                    #expect(error is Broken)
                }
                outer.spawn {
                    try await loop.sleep(for: .seconds(1))
                    outerEnded = true
                }
            }
            #expect(outerEnded)
        }
    }

    // MARK: async

    @Test func aFutureGivesItsValueToEveryWaiter() async throws {
        try await withVirtualLoop { loop in
            final class Local {}
            let future = loop.async {
                try await loop.sleep(for: .seconds(1))
                return Local()
            }
            #expect(!future.isDone)
            var seen: [Local] = []
            for _ in 0..<3 { loop.spawn { seen.append(try await future.value) } }
            let own = try await future.value
            try await loop.turns(3)
            #expect(future.isDone)
            #expect(seen.count == 3 && seen.allSatisfy { $0 === own })
        }
    }

    @Test func aFutureThrowsItsErrorToEveryWaiter() async throws {
        try await withVirtualLoop { loop in
            let future: LoopFuture<Int> = loop.async { throw Broken(number: 4) }
            for _ in 0..<2 {
                let error = await failure { try await future.value }
                #expect(error as? Broken == Broken(number: 4))
            }
        }
    }

    @Test func cancellingAWaiterOfAFutureLeavesTheWorkRunning() async throws {
        try await withVirtualLoop { loop in
            let future = loop.async {
                try await loop.sleep(for: .seconds(1))
                return 1
            }
            var error: (any Error)?
            let waiter = loop.spawn { error = await failure { try await future.value } }
            try await loop.nextTurn()
            waiter.cancel()
            await waiter.value
            #expect(error is CancellationError)
            #expect(try await future.value == 1)
        }
    }

    @Test func cancellingAFutureEndsItsWork() async throws {
        try await withVirtualLoop { loop in
            let future = loop.async { try await loop.sleep(for: .seconds(60)) }
            try await loop.nextTurn()
            future.cancel()
            #expect(await failure { try await future.value } is CancellationError)
        }
    }

    // MARK: The language's own tasks

    @Test func standardGroupsAndAsyncLetStayOnTheLoop() async throws {
        try await withLoop { loop in
            let remote = loop.remote
            _ = remote
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<10 {
                    group.addTask {
                        await Task.yield()
                        return IOLoop.currentIfAny != nil
                    }
                }
                for await isOnLoop in group { #expect(isOnLoop) }
            }
            async let isOnLoop = { () async -> Bool in IOLoop.currentIfAny != nil }()
            #expect(await isOnLoop)
        }
    }

    @Test func cancellingAStandardGroupEndsItsChildrensWaits() async throws {
        try await withLoop { _ in
            await withTaskGroup(of: Bool.self) { group in
                for _ in 0..<5 {
                    group.addTask {
                        await failure { try await IOLoop.current.sleep(for: .seconds(3_600)) }
                            is CancellationError
                    }
                }
                try? await IOLoop.current.turns(3)
                group.cancelAll()
                for await wasCancelled in group { #expect(wasCancelled) }
            }
        }
    }

    // MARK: Actors

    private actor Board: LoopBound {
        nonisolated let loopExecutor = LoopExecutor.ofThisThread
        private var scores: [Int] = []

        func add(_ score: Int) -> Bool {
            scores.append(score)
            return IOLoop.currentIfAny != nil
        }

        func addSlowly(_ score: Int) async throws -> Bool {
            try await IOLoop.current.sleep(for: .milliseconds(1))
            scores.append(score)
            return IOLoop.currentIfAny?.executor === loopExecutor
        }

        var count: Int { scores.count }
    }

    @Test func aLoopBoundActorLivesOnItsLoop() async throws {
        try await withLoop { loop in
            let board = Board()
            #expect(await board.add(1))
            let slowly = try await board.addSlowly(2)
            async let first = board.add(3)
            async let second = board.addSlowly(4)
            let both = try await [first, second]
            #expect(slowly && both == [true, true])
            let count = await board.count
            #expect(count == 4)
        }
    }

    @Test func aLoopBoundActorIsReachedFromOtherThreads() async throws {
        try await withLoop { loop in
            let board = Board()
            let results = Counter()
            let outside = Task.detached {
                for number in 0..<50 { if await board.add(number) { results.add() } }
            }
            while await board.count < 50 { try await loop.nextTurn() }
            await outside.value
            #expect(results.value == 50)
        }
    }
}
